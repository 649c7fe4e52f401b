"""Immutable values and their bytes: blob, tree, commit.  Pure: no I/O, no clock."""
