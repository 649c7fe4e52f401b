"""Merging of a bucket: many small pushes become few objects, which everybody reads as before.

The object of a run takes the place of its first one, under the same name and by a swap, so that
refs and bases which name that stay true; refs that name another one of the run are swapped, too.
What is replaced stays for as long as things wait for their deletion.

A run writes packs before anything names them, and names objects that others may stop to reach.  So
it makes a ref of its own first, of a kind that collections take for a later version's, with the
names of all these; it goes when the run has ended.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import NamedTuple

from heliosfs.objects.ids import CommitId
from heliosfs.remote.boundary import IDLE, read_boundary
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.remote.layout import (
    REF_BYTES_MAX,
    REFS,
    decode_ref,
    ref_of,
    trees_key,
)
from heliosfs.remote.mergedrun import MergedRun, RunReader
from heliosfs.remote.mergeplan import MergePlan, TreesNode, read_versioned
from heliosfs.remote.treesfile import PushedTrees, replace_bases
from heliosfs.steps import Progress, Steps, on_thread, read_far

MERGES = "merges"
"""Kind of the refs that keep what a merge needs while it goes on."""
MERGES_PREFIX = f"{REFS}{MERGES}/"
_NAMED_MAX = 1_500
"""Largest number of objects that such a ref names."""
_FIRST = ("refs/heads/main", "refs/heads/master")
"""Refs whose history is put into runs before that of others."""


class MergedRuns(NamedTuple):
    """The results of a merge."""

    run_count: int = 0
    """Objects with trees that were written."""
    merged_count: int = 0
    """Objects with trees that became these."""


def merge(bucket: Bucket) -> Steps[MergedRuns]:
    """Merge what refs reach, if nothing is condemned.

    Whatever fails, refs reach what they did.  MissingObject, CorruptObject, Unreachable.
    """
    boundary, _ = yield from read_far(partial(read_boundary, bucket))
    if boundary.state != IDLE:
        return MergedRuns()
    refs = yield from read_far(partial(_refs, bucket))
    plan = MergePlan(bucket)
    yield from plan.read()
    yield from plan.survey(dict.fromkeys(each.trees for each in refs))
    merging = _Merging(bucket, boundary.stage, plan)
    with closing(RunReader(bucket, plan.runs)) as reader:
        for count, run in enumerate(plan.runs):
            for merged in (yield from on_thread(partial(reader.read, run))):
                yield from on_thread(partial(merging.put, merged))
            yield Progress(count, len(plan.runs), "merges")
    for run in plan.runs:
        if len(run) == 1 and plan.bases_of(run) != run[0].bases:
            yield from on_thread(partial(merging.put_bases, run[0]))
    for ref in refs:
        if plan.resolve(ref.trees) != ref.trees:
            yield from on_thread(partial(merging.move, ref))
    return merging.result


class _Ref(NamedTuple):
    """A ref that may name another object afterwards."""

    key: str
    data: bytes
    version: str
    trees: CommitId


def _refs(bucket: Bucket) -> list[_Ref]:
    """Return the refs of known kinds, the main ones first."""
    found = []
    for key in [each.key for each in bucket.list(REFS)]:
        with suppress(NoObject):
            if ref_of(key) is not None:
                data, version = bucket.get(key, 0, REF_BYTES_MAX)
                found.append(_Ref(key, data, version, decode_ref(key, data).trees))
    return sorted(found, key=lambda each: (each.key not in _FIRST, each.key))


class _Merging:
    """The merge of one run after another; methods run on a thread."""

    def __init__(self, bucket: Bucket, stage: int, plan: MergePlan) -> None:
        self.result = MergedRuns()
        self._bucket = bucket
        self._stage = stage
        self._plan = plan

    def put_bases(self, node: TreesNode) -> None:
        """Let an object name the tops of runs as bases, unless others are quicker."""
        bases = self._plan.bases_of([node])
        trees, version = read_versioned(self._bucket, node.commit)
        self._replace(node, version, replace_bases(trees, bases), _names(trees), bases)

    def put(self, merged: MergedRun) -> None:
        """Put one object in the place of a run, unless others are quicker."""
        bases = self._plan.bases_of(merged.run)
        data = merged.write(bases)
        top = merged.run[0]
        if self._replace(top, top.version, data, merged.named, bases):
            # I81: whatever another merge does, it has all of them from here on.
            self._plan.note_merged(merged.run)
            count, merged_count = self.result
            self.result = MergedRuns(count + 1, merged_count + len(merged.run))

    def _replace(
        self, top: TreesNode, version: str, data: bytes, named: list[str], bases: list[CommitId]
    ) -> bool:
        ids = [top.commit.hex(), *named, *(each.hex() for each in bases)]
        if version != top.version or len(ids) > _NAMED_MAX:
            return False
        with suppress(Changed), self._kept(ids) as is_kept:
            if is_kept:
                self._bucket.swap(trees_key(top.commit), data, version)
                return True
        return False

    @contextmanager
    def _kept(self, ids: Iterable[str]) -> Iterator[bool]:
        """Keep objects by a ref; yield False if a collection may have deleted some before that."""
        key = f"{MERGES_PREFIX}{secrets.token_hex(16)}"
        version = self._bucket.create(key, json.dumps({"needed": list(ids)}).encode())
        try:
            # I74: no collection has begun before the ref was there, so each one reads it.
            yield read_boundary(self._bucket)[0].stage == self._stage
        finally:
            self._bucket.delete(key, version)

    def move(self, ref: _Ref) -> None:
        """Let a ref name the object that now has what it named, unless it has moved."""
        trees = self._plan.resolve(ref.trees)
        document = json.loads(ref.data)
        # Other fields, of a later version, stay as they are.
        document["trees"] = trees.hex()
        document["generation"] += 1
        with suppress(Changed), self._kept([trees.hex()]) as is_kept:
            if is_kept:
                self._bucket.swap(ref.key, json.dumps(document).encode() + b"\n", ref.version)


def _names(trees: PushedTrees) -> list[str]:
    packs = [each.name.digest.hex() for each in trees.packs]
    return packs + [each.digest.hex() for each in trees.table.indexes]
