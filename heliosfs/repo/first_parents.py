"""First parents of commits: a jump down the chain that `~n` follows, without reading all of it.

The *depth* of a commit is the number of first parents below it.  Commits whose depth is a multiple
of 64 are *milestones*: the state has a record for each of them, which names the milestones 64,
4,096 and 262,144 commits below, as far as the depth is a multiple of that.  So a walk of n commits
down the chain reads up to 127 commits, and about n / 4,096 + 128 records.  It is a skip list whose
towers are placed by depth, which makes a record a function of the commit: it never changes, and two
chains that meet can be compared at equal depths.

git has generation numbers in its commit-graph file instead.  They let a walk stop early, but not
jump, and must be computed for a whole history at once.

A record also counts the merges on the chain.  If two chains have none above the commit where they
meet, nothing else can be an ancestor of both, and the merge base is known without a walk.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from heliosfs.errors import StoreError
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.repo import keys
from heliosfs.steps import TURN, Steps

STRIDES = (64, 64**2, 64**3)
"""Numbers of commits that the jumps of a record skip, the shortest first."""
_STRIDE = STRIDES[0]
_RECORD = struct.Struct("<QQ")
_KEPT_MAX = 4096
_LINK = struct.Struct(f"<{OID_BYTES}s?")
"""A commit on a chain that is being walked, and True if it has several parents."""


class Records(Protocol):
    """The part of a store that has the records."""

    def get(self, key: bytes) -> bytes | None:
        """Return the state under `key`, or None."""

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set the state under `key` in the batch."""


class Place(NamedTuple):
    """Place of a commit on its chain of first parents."""

    depth: int
    """Number of first parents below it."""
    merge_count: int
    """Number of commits with several parents on the chain, itself included."""
    milestone: CommitId
    """The nearest milestone at or below it."""


class Milestone(NamedTuple):
    """Decoded record of a milestone."""

    depth: int
    merge_count: int
    jumps: Sequence[CommitId]
    """The milestone below at each distance of STRIDES, as far as the depth is a multiple of it."""


class Fork(NamedTuple):
    """The highest commit that two chains have in common."""

    oid: CommitId
    is_linear: bool
    """True if no commit above it, on either chain, is a merge."""


class FirstParents:
    """The places of commits, found by the records of milestones, or by a short walk to one.

    A chain without records, as in a store of an earlier version, is walked like any other; then
    `index` writes its records.
    """

    def __init__(
        self, records: Records, read: Callable[[CommitId], Commit], kept_max: int = _KEPT_MAX
    ) -> None:
        self._records = records
        self._kept_max = kept_max
        self._read = read
        self._kept: dict[CommitId, Place | None] = {}
        """Places that were found; None on a chain without records.  Bounded, the oldest go."""

    def note(self, oid: CommitId, parents: Sequence[CommitId]) -> None:
        """Take a new commit, whose parents are stored; put its record if it is a milestone.

        Cost: 0.5 us, and every 64 commits a record.
        """
        # One call for each commit made: what the common case needs is written out here.
        kept = self._kept
        place: Place | None = None
        if not parents:
            place = Place(0, 0, oid)
        else:
            # A chain without records stays so until `index`: no walk at each of its commits.
            first = parents[0]
            below = kept[first] if first in kept else self._find(first)
            if below is not None:
                depth, merge_count, milestone = below
                if (depth + 1) % _STRIDE and len(parents) == 1:
                    place = tuple.__new__(Place, (depth + 1, merge_count, milestone))
                else:
                    place = self._above(oid, below, len(parents) > 1)
        if len(kept) < self._kept_max:
            kept[oid] = place
        else:
            self._keep(oid, place)

    def forget(self) -> None:
        """Forget the places that were found, since chains go on where they had ended."""
        self._kept = {}

    def index(self, tips: Iterable[CommitId], publish: Callable[[], None]) -> Steps[None]:
        """Write the records that the chains of `tips` lack, in steps, and publish now and then.

        Cost: a commit read and 33 bytes of memory for each commit of the longest of these chains.
        """
        for tip in tips:
            links = bytearray()
            at, place = tip, self._known(tip)
            while place is None:
                parents = self._read(at).parents
                if parents:
                    links += _LINK.pack(at, len(parents) > 1)
                    at = parents[0]
                    place = self._known(at)
                else:
                    place = Place(0, 0, at)
                yield TURN
            while links:
                oid, is_merge = _LINK.unpack_from(links, len(links) - _LINK.size)
                del links[-_LINK.size :]
                place = self._above(CommitId(Oid(oid)), place, is_merge)
                if place.depth % STRIDES[1] == 0:
                    publish()
                yield TURN
            self._keep(tip, place)
            publish()

    def place(self, oid: CommitId) -> Place | None:
        """Return the place of a commit; None on a chain without records.

        Cost: up to 64 commits.
        """
        kept = self._kept.get(oid)
        return kept if kept is not None else self._find(oid)

    def below(self, oid: CommitId, count: int) -> CommitId | None:
        """Return the commit `count` first parents below; None if the chain is shorter.

        Cost: up to 127 commits, and count / 4,096 + 128 records.

        Raise MissingObject or CorruptObject.
        """
        place = self.place(oid) if count > _STRIDE else None
        if place is not None:
            if count > place.depth:
                return None
            at = place.milestone
            left = count - place.depth % _STRIDE
            while left >= _STRIDE:
                record = self._milestone(at)
                if record is None:
                    return self._walk(at, left)
                stride, at = _longest(record, left)
                left -= stride
            return self._walk(at, left)
        return self._walk(oid, count)

    def fork(self, one: CommitId, other: CommitId) -> Fork | None:
        """Return the highest commit that two chains have in common.

        None if there is none, or a chain has no records.  The cost is that of two calls of `below`.
        """
        places = self.place(one), self.place(other)
        if places[0] is None or places[1] is None:
            return None
        depth = min(places[0].depth, places[1].depth)
        low = self.below(one, places[0].depth - depth), self.below(other, places[1].depth - depth)
        if low[0] is None or low[1] is None:
            return None
        found = self._meet(low[0], low[1], depth)
        place = self.place(found) if found is not None else None
        if found is None or place is None:
            return None
        is_linear = places[0].merge_count == places[1].merge_count == place.merge_count
        return Fork(found, is_linear)

    def _meet(self, one: CommitId, other: CommitId, depth: int) -> CommitId | None:
        """Return the highest common commit of two chains from commits of the same depth."""
        while one != other:
            if depth % _STRIDE == 0:
                records = self._milestone(one), self._milestone(other)
                if records[0] is None or records[1] is None:
                    return None
                # The longest jump after which they still differ; what they have in common is below.
                pairs = list(zip(STRIDES, records[0].jumps, records[1].jumps, strict=False))
                far = [pair for pair in pairs if pair[1] != pair[2]]
                if far:
                    stride, one, other = far[-1]
                    depth -= stride
                    continue
            parents = self._read(one).parents, self._read(other).parents
            if not parents[0] or not parents[1]:
                return None
            one, other = parents[0][0], parents[1][0]
            depth -= 1
        return one

    def _walk(self, oid: CommitId, count: int) -> CommitId | None:
        for _ in range(count):
            parents = self._read(oid).parents
            if not parents:
                return None
            oid = parents[0]
        return oid

    def _find(self, oid: CommitId) -> Place | None:
        """Walk to the next milestone, or to the first commit, and return the place of `oid`."""
        merges: list[bool] = []
        at, place = oid, self._known(oid)
        while place is None and len(merges) < _STRIDE:
            try:
                parents = self._read(at).parents
            except StoreError:
                # Nothing is known of a chain that is damaged, or that git did not have whole.
                return None
            if parents:
                merges.append(len(parents) > 1)
                at = parents[0]
                place = self._known(at)
            else:
                place = Place(0, 0, at)
        if place is None:
            return None
        depth = place.depth + len(merges)
        if depth // _STRIDE != place.depth // _STRIDE:
            # A milestone was passed that has no record.
            return None
        place = Place(depth, place.merge_count + sum(merges), place.milestone)
        self._keep(oid, place)
        return place

    def _known(self, oid: CommitId) -> Place | None:
        kept = self._kept.get(oid)
        if kept is not None:
            return kept
        record = self._milestone(oid)
        return Place(record.depth, record.merge_count, oid) if record is not None else None

    def _above(self, oid: CommitId, below: Place, is_merge: bool) -> Place:
        """Return the place of a commit from that of its first parent; put its record if due."""
        depth, merge_count, milestone = below
        depth += 1
        merge_count += is_merge
        if depth % _STRIDE:
            return Place(depth, merge_count, milestone)
        ids = b"".join(self._jumps(depth, milestone))
        self._records.put(keys.MILESTONE + oid, _RECORD.pack(depth, merge_count) + ids)
        return Place(depth, merge_count, oid)

    def _jumps(self, depth: int, milestone: CommitId) -> list[CommitId]:
        """Return the jumps of a milestone above another one; fewer, if a record is missing."""
        jumps = [milestone]
        for level, stride in enumerate(STRIDES[1:]):
            if depth % stride:
                break
            at = milestone
            # From record to record, at the distance that is known already: 63 times.
            for _ in range(stride // STRIDES[level] - 1):
                record = self._milestone(at)
                if record is None or len(record.jumps) <= level:
                    return jumps
                at = record.jumps[level]
            jumps.append(at)
            milestone = at
        return jumps

    def _milestone(self, oid: CommitId) -> Milestone | None:
        try:
            value = self._records.get(keys.MILESTONE + oid)
            return decode_milestone(value) if value is not None else None
        except (StoreError, ValueError):
            # The commits say the same: a commit must not fail for a damaged record.  fsck lists it.
            return None

    def _keep(self, oid: CommitId, place: Place | None) -> None:
        kept = self._kept
        if len(kept) >= self._kept_max:
            # The newest stay: they are the parents of what comes.
            for old in list(kept)[: self._kept_max // 2]:
                del kept[old]
        kept[oid] = place


def decode_milestone(data: bytes) -> Milestone:
    """Read a record.  Raise ValueError if its length is wrong."""
    ids = data[_RECORD.size :]
    if len(data) < _RECORD.size or len(ids) % OID_BYTES or len(ids) > len(STRIDES) * OID_BYTES:
        raise ValueError(f"the record of a milestone has {len(data)} bytes")
    depth, merge_count = _RECORD.unpack_from(data)
    jumps = [CommitId(Oid(ids[at : at + OID_BYTES])) for at in range(0, len(ids), OID_BYTES)]
    return Milestone(depth, merge_count, jumps)


def _longest(record: Milestone, left: int) -> tuple[int, CommitId]:
    """Return the longest jump of at most `left` commits, and where it leads."""
    fitting = [pair for pair in zip(STRIDES, record.jumps, strict=False) if pair[0] <= left]
    return fitting[-1]
