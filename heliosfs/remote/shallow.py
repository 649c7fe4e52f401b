"""Fetches into a shallow history: which commits come, and which refs are left out.

A branch comes with all its commits down to those that are here, or with the last ones of them if a
depth is asked for.  Tags and experiments of a history that is not here are left out, as git leaves
tags out, and noted with their versions, so that no later fetch reads them again before they change.
`--unshallow` takes all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from heliosfs.objects.ids import CommitId
from heliosfs.remote.foundrefs import FoundRefs, MovedRef, RefName
from heliosfs.remote.within import Wanted
from heliosfs.repo.deepening import move_edge
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, TAGS, TrackedRef
from heliosfs.repo.repository import Repository


class Extent(NamedTuple):
    """The part of the history that a fetch is to bring."""

    depth: int = 0
    """Number of commits of each branch; 0 for those down to what is here."""
    is_whole: bool = False
    """True to bring what lies below the edge, too."""

    @property
    def goes_below(self) -> bool:
        """True if the remote is read without regard to what is here."""
        return bool(self.depth or self.is_whole)


DOWN_TO_KNOWN = Extent()
"""All commits down to those that are here."""


class ShallowFetch:
    """A fetch into a history that is shallow, or is to be so."""

    def __init__(
        self, repository: Repository, remote: str, extent: Extent, *, is_named: bool
    ) -> None:
        """Prepare it; with `is_named`, somebody asked for these refs, and none is left out."""
        self.extent = extent
        self.below: dict[RefName, str] = {}
        """Refs that were left out, with their versions."""
        self._repository = repository
        self._remote = remote
        self._history = repository.history
        notes = repository.remotes.notes
        self._known = notes.left_below(remote) if self._history.edge else {}
        self._leaves_out = not is_named
        self._there: dict[RefName, TrackedRef] = {}

    @property
    def _is_shallow(self) -> bool:
        return not self.extent.is_whole and bool(self._history.edge or self.extent.depth)

    def is_left_out(self, name: RefName, version: str) -> bool:
        """Return True for a ref that was left out in this version, and is so again."""
        return not self.extent.goes_below and self._known.get(name) == version

    def note_there(self, before: Mapping[RefName, TrackedRef], gone: Iterable[MovedRef]) -> None:
        """Note the refs that the remote had before, and which of them are gone by now."""
        lost = {(each.kind, each.name) for each in gone}
        self._there = {name: seen for name, seen in before.items() if name not in lost}

    def wanted(
        self, refs: Mapping[RefName, TrackedRef], *, is_alone: bool = False
    ) -> Wanted | None:
        """Return the commits that refs need and that are not here; None if there is nothing.

        With `is_alone`, no other refs of the remote are of interest.
        """
        lacking: dict[CommitId, CommitId] = {}
        optional: dict[CommitId, CommitId] = {}
        leaves_out = self._is_shallow and self._leaves_out
        for (kind, _), seen in refs.items():
            if seen.commit in self._history:
                continue
            if not leaves_out or kind == HEADS:
                lacking[seen.commit] = seen.trees
            elif kind == EXPERIMENTS:
                optional[seen.commit] = seen.trees
            # A tag is taken if a branch brings its commit.
        if not self.extent.depth and not (self.extent.is_whole and self._history.edge):
            return Wanted(lacking, optional) if lacking or optional else None
        every = refs if is_alone else {**self._there, **refs}
        return Wanted(
            lacking,
            optional,
            tuple(self._below_edge()) if self.extent.is_whole else (),
            tuple(dict.fromkeys(seen.trees for seen in every.values())),
            (*lacking, *(seen.commit for (kind, _), seen in every.items() if kind == HEADS)),
        )

    def _below_edge(self) -> Iterable[CommitId]:
        """Return the commits below the edge that are not here."""
        edge = self._history.edge
        found = (parent for oid in edge for parent in edge.parents(oid))
        return [each for each in dict.fromkeys(found) if each not in self._history]

    def leave_out(self, found: FoundRefs) -> list[RefName]:
        """Take out the refs whose commits were not brought, note them, and return them."""
        if self._is_shallow and self._leaves_out:
            for (kind, name), seen in found.seen().items():
                if kind in (TAGS, EXPERIMENTS) and seen.commit not in self._history:
                    self.below[kind, name] = seen.version
                    del found.records[kind, name]
        return list(self.below)

    def keep(self) -> bool:
        """Put into the batch what was left out, and where the history ends now.

        Return True if it goes further down than before.
        """
        notes = self._repository.remotes.notes
        for kind, name in self._known.keys() | self.below.keys():
            version = self.below.get((kind, name))
            is_seen = self._repository.remotes.tracked(self._remote, kind, name) is not None
            if version is not None or is_seen or self.extent.is_whole:
                notes.leave_below(self._remote, kind, name, version)
        if not move_edge(self._repository):
            return False
        # What lies further down was not looked at when that was noted.
        notes.note_kept(self._remote, b"")
        return True
