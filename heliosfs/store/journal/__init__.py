"""The journal: what was published since the last drain, and how it is read after a crash."""
