"""Plan of a merge: which objects with trees become one, so that a history is read by few requests.

Beginning at each ref, objects are put into *runs*, the newest first: an object, and what is read
after it.  Each run becomes one object, under the name of its first one, and its size is limited: to
a MiB at first, to eight times as much in the next run, and so on.  So whoever lacks the last few
pushes does not read all of history again, and each object is merged a few times at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.layout import TREES, commit_of, trees_key
from heliosfs.remote.packfile import PACK_FULL_BYTES
from heliosfs.remote.packtable import NamedPack
from heliosfs.remote.reading import READERS
from heliosfs.remote.threads import mapped
from heliosfs.remote.treesfile import TREES_MAX, PushedTrees, read_trees
from heliosfs.steps import TURN, Progress, Steps, read_far

RUN_BYTES = 1024 * 1024
"""Largest size of the newest run: reading it takes about as long as a request."""
_RUN_GROWTH = 8
RUN_MAX_BYTES = 32 * 1024 * 1024
"""Largest size of any run."""
_RUN_DECODED_BYTES = 256 * 1024 * 1024
"""Decoded bytes from which a run takes no further object: a merge has it in memory."""
_SMALL_PACK_BYTES = PACK_FULL_BYTES // 2
"""Size below which a pack is merged into another one."""
_AT_ONCE = 4 * READERS


class TreesNode(NamedTuple):
    """An object with trees, as it was read."""

    commit: CommitId
    version: str
    size: int
    """Bytes that a merge writes again."""
    bases: list[CommitId]
    pack_count: int
    decoded_bytes: int
    """Bytes of all its frames, decoded."""
    named: tuple[bytes, ...]
    """Objects of dictionaries, as each frame names them."""


Run = list[TreesNode]
"""Objects that become one, the newest first, which names it."""


def is_merged(pack: NamedPack) -> bool:
    """Return True if the objects of a pack are written again."""
    return pack.row_count is None or pack.name.size < _SMALL_PACK_BYTES


def read_versioned(bucket: Bucket, commit: CommitId) -> tuple[PushedTrees, str]:
    """Return an object with trees, and its version.  MissingObject, CorruptObject."""
    key = trees_key(commit)
    try:
        data, version = bucket.get(key, 0, TREES_MAX + 1)
    except NoObject:
        raise MissingObject(f"the remote has no {key}") from None
    return read_trees(f"trees/{commit.hex()[:12]}", data), version


class MergePlan:
    """The objects that refs reach, and the runs that they are put into."""

    def __init__(self, bucket: Bucket) -> None:
        self.runs: list[Run] = []
        """Runs in the order in which they are merged: of the first ref first, from its oldest."""
        self._bucket = bucket
        self._read: dict[CommitId, TreesNode] = {}
        self._placed: set[CommitId] = set()
        """Objects that are in a run."""
        self._tops: dict[CommitId, CommitId] = {}
        """The top of the run of each object that was merged."""

    def note_merged(self, run: Run) -> None:
        """Note that the object of a run is there, with all that the objects of the run have."""
        self._tops.update({node.commit: run[0].commit for node in run})

    def resolve(self, commit: CommitId) -> CommitId:
        """Return the commit after which the object is named that now has what another one had.

        Only what was written has it: that the top of a run reaches the others is not enough, since
        another merge may let it reach them by way of what is to name the top from here on.
        """
        return self._tops.get(commit, commit)

    def read(self) -> Steps[None]:
        """Read all objects with trees, several at once; damaged ones are left out."""
        listed = yield from read_far(lambda: [each.key for each in self._bucket.list(TREES)])
        commits = [commit for commit in map(commit_of, listed) if commit is not None]
        for at in range(0, len(commits), _AT_ONCE):
            batch = commits[at : at + _AT_ONCE]
            found = yield from read_far(partial(self._read_all, batch))
            self._read.update({each.commit: each for each in found if each is not None})
            yield Progress(at, len(commits), "trees")

    def survey(self, refs: Iterable[CommitId]) -> Steps[None]:
        """Make runs of what refs reach, of the first ref first.  MissingObject, CorruptObject."""
        for first in refs:
            line: list[TreesNode] = []
            parents: list[int] = []
            pending = [(first, -1)]
            while pending:
                commit, parent = pending.pop()
                if commit in self._placed:
                    continue
                if commit not in self._read:
                    self._read[commit] = yield from read_far(partial(self._node, commit))
                node = self._read[commit]
                self._placed.add(commit)
                pending += [(base, len(line)) for base in reversed(node.bases)]
                line.append(node)
                parents.append(parent)
                yield TURN
            self._make_runs(line, parents)

    def _make_runs(self, line: list[TreesNode], parents: list[int]) -> None:
        """Put objects in the order in which they are read into runs."""
        runs: list[Run] = []
        limit, begin, size, decoded = RUN_BYTES, 0, 0, 0
        for place, node in enumerate(line):
            # What is in a run is reached from its top.
            is_below = parents[place] >= begin and place > begin
            is_room = size + node.size <= limit and decoded <= _RUN_DECODED_BYTES
            if place and not (is_below and is_room):
                if is_below:
                    limit = min(_RUN_GROWTH * limit, RUN_MAX_BYTES)
                runs.append(line[begin:place])
                begin, size, decoded = place, 0, 0
            size += node.size
            decoded += node.decoded_bytes
        if line:
            runs.append(line[begin:])
        self.runs += reversed(runs)

    def bases_of(self, run: Run) -> list[CommitId]:
        """Return the bases of the object that a run becomes, as far as others were merged."""
        inside = {node.commit for node in run}
        bases = {self.resolve(base): None for node in run for base in node.bases}
        return [base for base in bases if base not in inside]

    def _read_all(self, commits: list[CommitId]) -> list[TreesNode | None]:
        def read(commit: CommitId) -> TreesNode | None:
            try:
                return self._node(commit)
            except (MissingObject, CorruptObject):
                return None

        return mapped(read, commits, READERS)

    def _node(self, commit: CommitId) -> TreesNode:
        trees, version = read_versioned(self._bucket, commit)
        small = [each.name.size for each in trees.packs if is_merged(each)]
        size = len(trees.data) + sum(small)
        decoded = 0
        named: list[bytes] = []
        for frame in trees.frames():
            decoded += frame.size
            named += [frame.named] if frame.named else []
        count = len(trees.packs)
        return TreesNode(commit, version, size, trees.bases, count, decoded, tuple(named))
