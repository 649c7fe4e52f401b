"""Extended attributes (xattr(7)) of the namespace `user.`, the only one there is."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from heliosfs.errors import PosixError
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import Node

XATTRS_MAX_BYTES = 128 * 1024
"""Largest size of a file's xattr names and values together; one value may have 64 KiB in Linux."""
XATTR_NAMES_MAX_BYTES = 64 * 1024
"""Largest list of names that listxattr(2) can return (XATTR_LIST_MAX)."""


def get_xattr(node: StatInode, name: bytes) -> bytes:
    """Return the value of an extended attribute.

    Fail with ENODATA if there is none, with EOPNOTSUPP for a name outside of `user.`.
    """
    _check_name(name)
    value = _xattrs_of(node).get(name)
    if value is None:
        raise PosixError(errno.ENODATA)
    return bytes(value)


def list_xattrs(node: StatInode) -> list[bytes]:
    """Return the names of the extended attributes, in byte order."""
    return sorted(_xattrs_of(node))


def set_xattr(filesystem: FileSystem, node: StatInode, name: bytes, value: bytes | None) -> None:
    """Set an extended attribute, or remove it if the value is None.

    Fail with ENODATA, EOPNOTSUPP, EROFS, EPERM or ENOSPC.
    """
    _check_name(name)
    changed = filesystem.check_writable(node)
    xattrs = dict(changed.xattrs or {})
    if value is not None:
        xattrs[name] = value
    elif xattrs.pop(name, None) is None:
        raise PosixError(errno.ENODATA)
    names_bytes = sum(len(key) + 1 for key in xattrs)
    if (
        names_bytes > XATTR_NAMES_MAX_BYTES
        or names_bytes + sum(map(len, xattrs.values())) > XATTRS_MAX_BYTES
    ):
        raise PosixError(errno.ENOSPC)
    changed.touch()
    changed.xattrs = xattrs or None
    changed.ctime_ns = filesystem.repository.clock.now_ns()


def _xattrs_of(node: StatInode) -> Mapping[bytes, bytes]:
    return (node.xattrs if isinstance(node, Node) else None) or {}


def _check_name(name: bytes) -> None:
    if not name.startswith(b"user."):
        raise PosixError(errno.EOPNOTSUPP)
    if name == b"user.":
        raise PosixError(errno.EINVAL)
