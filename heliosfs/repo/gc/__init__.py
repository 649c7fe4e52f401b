"""Garbage collection: its roots, the time that the rest is kept, and the run itself."""
