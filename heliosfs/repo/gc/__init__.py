"""Garbage collection: the roots of what stays, how long the rest stays, and the run itself."""
