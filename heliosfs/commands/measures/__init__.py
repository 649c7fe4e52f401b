"""Measures of the running process: the `table` of them, `stats`, which shows it, and its `page`."""
