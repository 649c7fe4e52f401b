"""Import of history from git, export to git, and the comparison of the two."""
