"""Runs of a merge: their objects, which are read anew, and the objects that they become.

What is merged has no dictionaries: the object of a run has all that its own frames need, and can be
read before anything else.  So the objects of dictionaries that lie outside of a run are looked for
in the others, which are read from the oldest on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from heliosfs.errors import CorruptObject, MissingObject, TooLarge
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.remote.frames import NamedObject, objects_of
from heliosfs.remote.layout import index_key, pack_key
from heliosfs.remote.mergeorder import Places, in_packs
from heliosfs.remote.mergeplan import Run, TreesNode, is_merged, read_versioned
from heliosfs.remote.packfile import FinishedPack, PackName, PackWriter, RemoteObject, read_pack
from heliosfs.remote.packtable import NamedPack, PackTableWriter, read_index, split_rows
from heliosfs.remote.treesfile import PushedTrees, TreesWriter
from heliosfs.remote.upload import SMALL_BYTES, SMALL_DECODED_BYTES
from heliosfs.remote.waitingframes import WaitingFrames

_BAD = (MissingObject, NoObject, CorruptObject)
"""Errors for what another one has merged, of which the rest is gone, and for what is damaged: a
fetch tells of that, and it must not keep all else from being merged."""
_FoundPacks = list[tuple[NamedPack, bytes]]
"""Packs, and their rows."""


class RunReader:
    """The objects of runs, which are read one after another, from the oldest on; close it."""

    def __init__(self, bucket: Bucket, runs: Sequence[Run]) -> None:
        """Prepare to read runs, in the order in which they are read."""
        self._bucket = bucket
        self._frames = WaitingFrames()
        self._open: dict[int, MergedRun] = {}
        """Runs that are to be merged, and were not returned, by their numbers."""
        self._count = 0
        if any(node.named for run in runs for node in run if len(run) > 1):
            self._expect(runs)

    def _expect(self, runs: Sequence[Run]) -> None:
        """Keep what frames need; if that is too much, what those of the oldest runs need."""
        for run in runs:
            for named in (named for node in run for named in node.named):
                try:
                    self._frames.expect(named)
                except TooLarge:
                    # Others stay as they are, until these are merged.
                    return

    def close(self) -> None:
        """Forget everything."""
        self._frames.close()

    def read(self, run: Run) -> list[MergedRun]:
        """Read a run, if it is to be merged or others may need it; on a thread.

        Return the runs that are whole now, this one or earlier ones.
        """
        number, self._count = self._count, self._count + 1
        if len(run) > 1:
            self._open[number] = MergedRun(self._bucket, run)
        elif not self._frames.expects_any:
            return []
        packs: _FoundPacks = []
        for node in reversed(run):
            try:
                packs += self._read_frames(node, number)
            except _BAD:
                self._open.pop(number, None)
        for pack, rows in packs:
            self._read_pack(pack, rows, number)
        self._take_held()
        waiting = self._frames.owners() if self._frames.count else set()
        return [self._open.pop(each) for each in list(self._open) if each not in waiting]

    def _read_frames(self, node: TreesNode, number: int) -> _FoundPacks:
        """Take the objects of frames, or hold these; return the packs."""
        trees, version = read_versioned(self._bucket, node.commit)
        if version != node.version:
            raise MissingObject("another one has merged it")
        for frame in trees.frames():
            if frame.named:
                self._frames.hold(trees.shown, frame, number)
            else:
                self._take(objects_of(trees.shown, frame), self._open.get(number))
        return list(self._packs(trees))

    def _packs(self, trees: PushedTrees) -> Iterator[tuple[NamedPack, bytes]]:
        """Yield the packs of an object with their rows; those at the end of a pack are not read."""
        for index, packs in trees.table.indexed():
            data = self._bucket.get(index_key(index.digest), 0, index.size + 1).data
            yield from split_rows(packs, read_index(index, data))
        yield from split_rows(trees.table.beside(), trees.table.rows)

    def _read_pack(self, pack: NamedPack, rows: bytes, number: int) -> None:
        """Take the objects of a pack that is written again, or that may have what others need."""
        run = self._open.get(number)
        is_searched = self._frames.expects_any and not pack.row_count
        if run is not None and not is_merged(pack):
            run.keep(pack, rows)
            run = None
        if run is None and not is_searched:
            return
        try:
            data = self._bucket.get(pack_key(pack.name.digest), 0, pack.name.size + 1).data
            self._take(read_pack(pack.name, data), run)
        except _BAD:
            if run is not None:
                del self._open[number]

    def _take_held(self) -> None:
        """Take the objects of frames that need nothing more which was not found."""
        while (held := self._frames.next(lambda wanted: False)) is not None:
            try:
                frame, older = self._frames.take(held, _not_here)
                self._take(objects_of(held.shown, frame, older), self._open.get(held.owner))
            except CorruptObject:
                self._open.pop(held.owner, None)

    def _take(self, objects: Iterable[RemoteObject], run: MergedRun | None) -> None:
        for found in objects:
            self._frames.arrived(found)
            if run is not None:
                run.take(found)


def _not_here(wanted: NamedObject) -> bytes:
    raise AssertionError(f"object {wanted[1].hex()} is not kept")


class _KeptPack(NamedTuple):
    """A pack that stays as it is, and its rows."""

    pack: NamedPack
    rows: bytes


class MergedRun:
    """The objects of a run, and the object that they become."""

    def __init__(self, bucket: Bucket, run: Run) -> None:
        """Begin with none; they are taken from the oldest on, as far as it is known."""
        self.run = run
        self.named: list[str] = []
        """Digests, in hex, of all packs and indexes of the new object."""
        self._bucket = bucket
        self._others: dict[Oid, RemoteObject] = {}
        """Commits, trees and lists of parts, the oldest first."""
        self._contents: dict[Oid, RemoteObject] = {}
        self._kept: dict[PackName, _KeptPack] = {}

    def take(self, found: RemoteObject) -> None:
        """Take an object."""
        among = self._contents if found.kind is Kind.BLOB else self._others
        among.setdefault(found.oid, found)

    def keep(self, pack: NamedPack, rows: bytes) -> None:
        """Take a pack that stays as it is."""
        self._kept[pack.name] = _KeptPack(pack, rows)

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
