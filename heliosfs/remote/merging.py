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
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.remote.boundary import IDLE, read_boundary
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.remote.download import objects_of_frames
from heliosfs.remote.layout import (
    REF_BYTES_MAX,
    REFS,
    decode_ref,
    index_key,
    pack_key,
    ref_of,
    trees_key,
)
from heliosfs.remote.mergeorder import Places, in_packs
from heliosfs.remote.mergeplan import MergePlan, Run, TreesNode, is_merged, read_versioned
from heliosfs.remote.packfile import FinishedPack, PackName, PackWriter, RemoteObject, read_pack
from heliosfs.remote.packtable import NamedPack, PackTableWriter, read_index, split_rows
from heliosfs.remote.treesfile import PushedTrees, TreesWriter, replace_bases
from heliosfs.remote.upload import SMALL_BYTES, SMALL_DECODED_BYTES
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


class _KeptPack(NamedTuple):
    """A pack that stays as it is, and its rows."""

    pack: NamedPack
    rows: bytes


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
    runs = plan.changes()
    for count, run in enumerate(runs):
        yield from on_thread(partial(merging.merge, run))
        yield Progress(count, len(runs), "merges")
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

    def merge(self, run: Run) -> None:
        """Put one object in the place of a run, unless others are quicker."""
        bases = self._plan.bases_of(run)
        if len(run) == 1:
            trees, version = read_versioned(self._bucket, run[0].commit)
            self._replace(run[0], version, replace_bases(trees, bases), _names(trees), bases)
            return
        try:
            merged = _MergedRun(self._bucket, run)
        except (MissingObject, NoObject, CorruptObject):
            # Another one has merged it, and what that has replaced is gone; or a pack is damaged,
            # which a fetch tells of, and which must not keep all else from being merged.
            return
        data = merged.write(bases)
        if self._replace(run[0], merged.version, data, merged.named, bases):
            result = self.result
            self.result = MergedRuns(result.run_count + 1, result.merged_count + len(run))

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


class _MergedRun:
    """The objects of a run, and the object that they become."""

    def __init__(self, bucket: Bucket, run: Run) -> None:
        """Read a run, the oldest first.  MissingObject, NoObject, CorruptObject."""
        self.version = ""
        """Version of the object whose place is taken."""
        self.named: list[str] = []
        """Digests, in hex, of all packs and indexes of the new object."""
        self._bucket = bucket
        self._others: dict[Oid, RemoteObject] = {}
        """Commits, trees and lists of parts, the oldest first."""
        self._contents: dict[Oid, RemoteObject] = {}
        self._kept: dict[PackName, _KeptPack] = {}
        for node in reversed(run):
            trees, self.version = read_versioned(bucket, node.commit)
            self._take(objects_of_frames(f"trees/{node.commit.hex()[:12]}", trees))
            for pack, rows in self._packs(trees):
                if is_merged(pack):
                    data = bucket.get(pack_key(pack.name.digest), 0, pack.name.size + 1).data
                    self._take(read_pack(pack.name, data))
                else:
                    self._kept[pack.name] = _KeptPack(pack, rows)

    def _take(self, objects: Iterable[RemoteObject]) -> None:
        for found in objects:
            among = self._contents if found.kind is Kind.BLOB else self._others
            among.setdefault(found.oid, found)

    def _packs(self, trees: PushedTrees) -> Iterator[tuple[NamedPack, bytes]]:
        """Yield the packs of an object with their rows; those at the end of a pack are not read."""
        for index, packs in trees.table.indexed():
            data = self._bucket.get(index_key(index.digest), 0, index.size + 1).data
            yield from split_rows(packs, read_index(index, data))
        yield from split_rows(trees.table.beside(), trees.table.rows)

    def write(self, bases: list[CommitId]) -> bytes:
        """Write packs and indexes; return the bytes of the object that names them."""
        trees, overflow, contents = TreesWriter(), PackWriter(), PackWriter()
        table = PackTableWriter(self._create_index)
        for kept in self._kept.values():
            self.named.append(kept.pack.name.digest.hex())
            named = FinishedPack(kept.pack.name, b"", kept.rows)
            table.add(named, holds_trees=kept.pack.holds_trees)
        for found in self._others.values():
            if not trees.is_full:
                trees.add(found)
                continue
            overflow.add(found)
            if overflow.is_full:
                self._send(overflow, table, holds_trees=True)
        if not overflow.is_empty:
            self._send(overflow, table, holds_trees=True)
        commits = [each for each in self._others.values() if each.kind is Kind.COMMIT]
        places = Places(self._others, reversed(commits))
        is_little = sum(len(each.data) for each in self._contents.values()) <= SMALL_DECODED_BYTES
        for full in in_packs(dict(self._contents), places, contents):
            if is_little and full.stored_bytes <= SMALL_BYTES:
                for found in self._contents.values():
                    trees.add(found)
            else:
                self._send(full, table, holds_trees=False)
        return trees.finish(bases, table)

    def _send(self, pack: PackWriter, table: PackTableWriter, *, holds_trees: bool) -> None:
        finished = pack.finish()
        with suppress(Changed):
            self._bucket.create(pack_key(finished.name.digest), finished.data)
        self.named.append(finished.name.digest.hex())
        table.add(finished, holds_trees=holds_trees)

    def _create_index(self, digest: bytes, data: bytes) -> None:
        with suppress(Changed):
            self._bucket.create(index_key(digest), data)
        self.named.append(digest.hex())
