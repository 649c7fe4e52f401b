"""Garbage collection in L2: marks, better encodings of marked objects, the sweep of the rest."""
