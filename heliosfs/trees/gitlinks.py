"""Gitlinks: entries that stand for a commit of another repository (git's submodules).

A gitlink is stored as an empty directory with the commit in a user xattr.  Once the directory is
not empty, merges and diffs treat it as any other directory.
"""

from __future__ import annotations

from heliosfs.objects.tree import Entry
from heliosfs.trees.stored import EMPTY_TREE

GITLINK = b"user.heliosfs.gitlink"
"""Extended attribute of a submodule's directory that holds the commit, in hex."""


def gitlink_of(entry: Entry) -> bytes:
    """Return the raw commit id that a submodule directory stands for; b"" for other entries."""
    if not entry.xattrs or not entry.is_dir:
        return b""
    try:
        return bytes.fromhex(entry.xattrs.get(GITLINK, b"").decode("ascii"))
    except ValueError:
        return b""


def is_gitlink(entry: Entry) -> bool:
    """Return True if the entry is a submodule with an empty directory: 0.2 us."""
    return entry.is_dir and entry.oid == EMPTY_TREE and bool(gitlink_of(entry))


def is_directory(entry: Entry) -> bool:
    """Return True if the entry is a directory and not a gitlink."""
    return entry.is_dir and not is_gitlink(entry)


def plain_xattrs(entry: Entry) -> dict[bytes, bytes]:
    """Return the extended attributes without the one that marks a submodule."""
    return {name: value for name, value in (entry.xattrs or {}).items() if name != GITLINK}
