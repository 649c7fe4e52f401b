"""Inodes, with a record of what the kernel has cached of each.

The kernel counts its references to an inode: each reply that names the inode adds one, and FORGET
takes them back.  It caches attributes, bytes and listings until it is told that they are invalid.
All this is recorded here, and changed only by the methods of these classes
(tests/unit/test_inode.py): a wrong record would show old bytes to a program, or drop a node that
the kernel still refers to.
"""

from __future__ import annotations

KEPT_NOTHING, KEPT_PAGES, KEPT_ALL = range(3)
"""Bytes of a file that the kernel has cached: none, the whole pages that were written, or all."""


class Inode:
    """Inode number with the references to it."""

    __slots__ = ("ino", "lookups")

    opens: int
    """Number of open handles."""

    # I12: the attributes below are written by methods of `Inode` and its subclasses alone.
    def __init__(self, ino: int) -> None:
        self.ino = ino
        self.lookups = 0
        """Number of references that the kernel holds (the lookup count)."""

    def refer(self) -> None:
        """Count a reference that the kernel gets from a reply."""
        self.lookups += 1

    def forget(self, count: int) -> bool:
        """Take back `count` references; return True if nothing refers to the inode any more."""
        self.lookups -= count
        return self.lookups <= 0 and not self.opens

    def take_over(self, other: Inode) -> None:
        """Take over the kernel's references from another inode object of the same number."""
        self.lookups = other.lookups

    @property
    def is_kept(self) -> bool:
        """Return True if the kernel may cache the name's inode and its attributes."""
        return True

    @property
    def is_used(self) -> bool:
        """Return True if the kernel or an open handle refers to the inode."""
        return bool(self.lookups or self.opens)


class StatInode(Inode):
    """Inode with the attributes that stat(2) returns; only `Listed` children have none."""

    __slots__ = ("atime_ns", "attr", "ctime_ns", "gid", "mode", "mtime_ns", "opens", "uid")

    is_listing_stale = False
    """True for a directory whose names changed, or may change, without the kernel's knowledge."""

    def __init__(self, ino: int, mode: int, uid: int, gid: int, mtime_ns: int) -> None:
        # As `Inode.__init__`, without its call.
        self.ino = ino
        self.lookups = 0
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime_ns = mtime_ns
        self.ctime_ns = mtime_ns
        self.atime_ns = mtime_ns
        self.opens = 0
        self.attr: bytes | None = None
        """Encoded reply to a request for the attributes; None once one of them has changed."""

    def note_sent(self, answer: bytes) -> None:
        """Keep the encoded reply that contains the attributes."""
        self.attr = answer

    def outdate(self) -> None:
        """Record that attributes have changed, so that the next reply is encoded anew."""
        self.attr = None

    def open(self) -> None:
        """Count a handle that was opened."""
        self.opens += 1

    def close(self) -> None:
        """Count a handle that was closed."""
        self.opens -= 1

    @property
    def size(self) -> int:
        """`st_size`."""
        return 0

    @property
    def data_bytes(self) -> int:
        """`st_blocks` in bytes, not rounded: the size without the holes."""
        return self.size

    @property
    def link_count(self) -> int:
        """`st_nlink`."""
        raise NotImplementedError

    @property
    def rdev(self) -> int:
        """`st_rdev`."""
        return 0
