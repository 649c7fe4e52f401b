"""Encodings of objects, whole or as deltas, and the packs of large ones."""
