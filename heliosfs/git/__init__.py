"""History in from git and out to it: import, export, and the comparison of the two."""
