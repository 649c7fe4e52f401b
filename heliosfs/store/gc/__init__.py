"""Garbage collection in L2: marks, better encodings of what stays, and the sweep of the rest."""
