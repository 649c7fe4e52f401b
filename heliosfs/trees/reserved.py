"""The names that no commit and no workspace takes from its files."""

from __future__ import annotations

DOT_HELIOS = b".helios"
"""Name that programs cannot make at any depth, because it is that of the workspace's own directory.
A tree can have it nevertheless: git repositories are imported as they are, since what they export
again must have the same ids."""
DOT_GIT = b".git"
"""Name of git's own directory, or of the file that leads to it: part of a working tree, at any
depth, and of no commit (see gitless.py)."""
