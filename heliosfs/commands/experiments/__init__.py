"""Experiments: the verb `experiment`, and the table that its lists are made from."""
