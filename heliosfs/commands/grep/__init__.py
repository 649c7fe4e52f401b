"""Search for lines that match a pattern: the verb `grep`, and the form of its reply."""
