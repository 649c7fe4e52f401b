"""Verbs: one table of them, and a function for each from a request to its reply."""
