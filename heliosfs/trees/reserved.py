"""The name that no workspace shows from a tree, because it is that of its own directory."""

from __future__ import annotations

DOT_HELIOS = b".helios"
"""Name that programs cannot make at any depth.  A tree can have it nevertheless: git repositories
are imported as they are, since what they export again must have the same ids."""
