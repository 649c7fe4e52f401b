"""Checks of a tree that came from elsewhere: entries that no workspace has are refused.

The id of a tree says that its bytes are those which someone wrote, not that they make sense.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator

from heliosfs.errors import CorruptObject
from heliosfs.objects.tree import Entry, decode_entry, decode_index, is_index, split_leaf
from heliosfs.remote.packfile import RemoteObject
from heliosfs.trees.reserved import DOT_GIT

_KINDS = frozenset(
    (
        stat.S_IFREG,
        stat.S_IFDIR,
        stat.S_IFLNK,
        stat.S_IFIFO,
        stat.S_IFSOCK,
        stat.S_IFBLK,
        stat.S_IFCHR,
    )
)


_TARGET_MAX_BYTES = 4_095
"""Longest target of a symbolic link (PATH_MAX without the NUL)."""


def check_tree(found: RemoteObject) -> None:
    """Check that a tree has names that files can have, once each and in order.  CorruptObject."""
    try:
        if is_index(found.data):
            names = [leaf.first for leaf in decode_index(found.data)]
        else:
            names = [_checked(entry).name for entry in _entries(found.data)]
    except (ValueError, IndexError, struct.error) as error:
        raise CorruptObject(f"tree {found.oid.hex()} cannot be read: {error}") from error
    last = b""
    for name in names:
        # The empty name is not greater than what comes before the first one.
        if not last < name or name in (b".", b"..") or b"/" in name or b"\0" in name:
            raise CorruptObject(f"tree {found.oid.hex()} has names that no directory has")
        last = name


def has_git_dir(found: RemoteObject) -> bool:
    """Return True if a tree that was checked has an entry `.git`, which no commit has today."""
    if DOT_GIT not in found.data or is_index(found.data):
        return False
    return any(entry.name == DOT_GIT for entry in _entries(found.data))


def _entries(data: bytes) -> Iterator[Entry]:
    return (decode_entry(raw)[0] for raw in split_leaf(data))


def _checked(entry: Entry) -> Entry:
    if stat.S_IFMT(entry.mode) not in _KINDS:
        raise ValueError(f"an entry of mode {entry.mode:o}")
    if b"\0" in entry.target or len(entry.target) > _TARGET_MAX_BYTES:
        raise ValueError("a target that no symbolic link has")
    # Those of other namespaces are capabilities and labels: the system would obey them.
    if any(not name.startswith(b"user.") or b"\0" in name for name in entry.xattrs or ()):
        raise ValueError("an attribute that is not of the user")
    return entry
