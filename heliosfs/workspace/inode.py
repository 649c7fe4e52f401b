"""What an inode number leads to, and what the kernel knows of it.

The kernel counts its references to an inode: each answer that names one gives it one, and FORGET
takes them back.  It keeps attributes, bytes and listings until it is told otherwise.  These are
noted here, and are changed by the methods of these classes only (tests/unit/test_inode.py): a
note that is wrong shows a program old bytes, or lets go of a node that the kernel still has.
"""

from __future__ import annotations

KEPT_NOTHING, KEPT_PAGES, KEPT_ALL = range(3)
"""Of a file's bytes: nothing; what was written, but for a last page that is no whole one; all."""


class Inode:
    """A number, and the references to it."""

    __slots__ = ("ino", "lookups")

    opens: int
    """Open handles."""

    # I12: the attributes below are written by methods of `Inode` and its subclasses alone.
    def __init__(self, ino: int) -> None:
        self.ino = ino
        self.lookups = 0
        """References that the kernel holds (its lookup count)."""

    def refer(self) -> None:
        """Count a reference that an answer gives to the kernel."""
        self.lookups += 1

    def forget(self, count: int) -> bool:
        """Take back `count` references; return True if nothing refers to it any more."""
        self.lookups -= count
        return self.lookups <= 0 and not self.opens

    def take_over(self, other: Inode) -> None:
        """Stand for another one of the same number, with the references to it."""
        self.lookups = other.lookups

    @property
    def is_kept(self) -> bool:
        """Whether the kernel may keep what the name means, and the attributes."""
        return True

    @property
    def is_used(self) -> bool:
        """Whether the kernel or a handle refers to it."""
        return bool(self.lookups or self.opens)


class StatInode(Inode):
    """An inode with the attributes that stat(2) tells: all but a child that was only listed."""

    __slots__ = ("atime_ns", "attr", "ctime_ns", "gid", "mode", "mtime_ns", "opens", "uid")

    is_listing_stale = False
    """Of a directory: whether its names changed behind the kernel's back, or may at any time."""

    def __init__(self, ino: int, mode: int, uid: int, gid: int, mtime_ns: int) -> None:
        super().__init__(ino)
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime_ns = mtime_ns
        self.ctime_ns = mtime_ns
        self.atime_ns = mtime_ns
        self.opens = 0
        self.attr: bytes | None = None
        """The answer to who asks for the attributes, for as long as none of them changes."""

    def told(self, answer: bytes) -> None:
        """Keep the answer that tells the attributes."""
        self.attr = answer

    def outdate(self) -> None:
        """Note that attributes have changed, so that they are told anew."""
        self.attr = None

    def open(self) -> None:
        """Count a handle."""
        self.opens += 1

    def close(self) -> None:
        """Count a handle less."""
        self.opens -= 1

    @property
    def size(self) -> int:
        """`st_size`."""
        return 0

    @property
    def link_count(self) -> int:
        """`st_nlink`."""
        raise NotImplementedError

    @property
    def rdev(self) -> int:
        """`st_rdev`."""
        return 0
