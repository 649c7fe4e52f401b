"""Comparisons of two entries that disregard times, or times and links."""

from __future__ import annotations

from heliosfs.objects.tree import Entry

_MTIME = slice(10, 18)
_DIRECTORY = 0o040000
_KIND_MASK = 0o170000


def differs(old: Entry | None, new: Entry | None) -> bool:
    """Return True if two entries differ in more than times and the contents of a directory."""
    if old is None or new is None:
        return old is not new
    if old.mode & _KIND_MASK == _DIRECTORY and new.mode & _KIND_MASK == _DIRECTORY:
        return (old.mode, old.uid, old.gid, old.xattrs or {}) != (
            new.mode,
            new.uid,
            new.gid,
            new.xattrs or {},
        )
    return old._replace(mtime_ns=0) != new._replace(mtime_ns=0)


def is_same_but_link(one: Entry, other: Entry) -> bool:
    """Return True if two files differ at most in name, time and link group."""
    return one._replace(name=b"", mtime_ns=0, group=0) == other._replace(
        name=b"", mtime_ns=0, group=0
    )


def same_but_times(old: bytes, new: bytes) -> bool:
    """Return True if two encoded entries are equal except for their mtime."""
    return old[: _MTIME.start] == new[: _MTIME.start] and old[_MTIME.stop :] == new[_MTIME.stop :]
