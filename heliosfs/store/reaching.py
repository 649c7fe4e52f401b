"""Reaching: the half of a garbage collection, or of a check, that finds what is needed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.references import Reference


class Reaching(Protocol):
    """The objects of a store, and which of them were reached."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Return a context in which one thread may call the methods up to `is_old`."""

    def read(self, oid: Oid, kind: Kind) -> bytes:
        """Read as `Store.read` does, but without a change of L1."""

    def mark(self, oid: Oid) -> bool:
        """Keep an object; return True if it was not marked before.  Raise MissingObject."""

    def enter(self, kind: Kind, oid: Oid, *, reads_blob: bool = False) -> list[Reference] | None:
        """Mark an object, and return those to which it refers; None if it was marked before.

        Those to which a surveyed commit refers are left to `follow`.  Blobs are read only if
        `reads_blob`; one that is promised is marked as such, and None is returned.  References that
        a tree shares with one that was entered may be left out.  Raise MissingObject, or
        CorruptObject after marking.
        """

    def survey(self, *, reads_blobs: bool = False) -> bool:
        """Read some of all objects in the order in which they lie; return True if there are more.

        Afterwards, what a commit reaches is found by `follow`, in a tenth of the time.  Worth it
        when most objects are reached; a store may find that it is not, and do nothing.
        """

    def links_of(self, oid: Oid) -> CommitLinks | None:
        """Return the links of a commit that was surveyed, once; None if they must be read."""

    def enter_surveyed(self, commits: Iterable[Oid]) -> list[Oid]:
        """Enter those of the commits that were surveyed: 0.3 us each; return the others."""

    def follow(self, limit: int) -> tuple[int, list[Reference]] | None:
        """Enter what surveyed objects refer to that were entered, at most about `limit` objects.

        Return the number of those that were not marked before, and references to be entered by
        `enter`, before the next call; None if nothing is left to follow.  Raise CorruptObject.
        """

    def is_marked(self, oid: Oid) -> bool:
        """Return True if an object is in the store and will stay."""


class Unsurveyed:
    """The part of a collection that surveys and recalls nothing: all is entered one by one."""

    def survey(self, *, reads_blobs: bool = False) -> bool:
        return False

    def is_old(self, oid: Oid) -> bool:
        return False

    def links_of(self, oid: Oid) -> CommitLinks | None:
        return None

    def enter_surveyed(self, commits: Iterable[Oid]) -> list[Oid]:
        return list(commits)

    def follow(self, limit: int) -> tuple[int, list[Reference]] | None:
        return None
