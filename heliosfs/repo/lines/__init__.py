"""Comparison of the lines of two files, for `diff`, `blame` and merges."""
