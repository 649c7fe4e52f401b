"""Download: the objects that some commits need, out of a bucket into the store, and their check.

A lazy one leaves contents where they are, and keeps their places as promises: it reads no pack,
but for those of trees.  Promises are on the disk before a commit that needs them is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import partial

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.remote.arrived import Arrived, OlderHere
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.closure import Beyond, NewCommits
from heliosfs.remote.damage import told_as_local
from heliosfs.remote.likeness import LikelyBases
from heliosfs.remote.packfile import PackName, PackRow, RemoteObject, content_rows, read_pack
from heliosfs.remote.packtable import NamedPack, PackTable, split_rows
from heliosfs.remote.reading import AHEAD_BYTES, READERS, BucketReader
from heliosfs.remote.treechecks import TreeChecks
from heliosfs.remote.treesfile import PushedTrees, read_trees
from heliosfs.remote.waitingframes import WaitingFrames
from heliosfs.remote.within import Wanted
from heliosfs.repo.history import decoded
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Progress, Steps, Turn, on_thread
from heliosfs.store.base import Bulk
from heliosfs.store.promises import PackRows

_DECODED_BYTES = 4 * 1024 * 1024
"""Bytes of objects that are decoded in one go."""
_DECODED_COUNT = 2_000
_WRITTEN_BYTES = 8 * 1024 * 1024
_UNWRITTEN_COUNT = 100_000
"""Objects that are written in one go, however small they are."""
_ANNOUNCED_COUNT = 500
_PROMISED_COUNT = 200_000
"""Rows from which those that were noted are written."""


class Download:
    """The objects of some commits on their way out of a bucket."""

    def __init__(
        self, repository: Repository, bucket: Bucket, remote: str, *, is_lazy: bool
    ) -> None:
        self.commit_count = self.object_count = self.promised_count = 0
        self._repository = repository
        self._store = repository.store
        self._bases = LikelyBases()
        self._trees = TreeChecks()
        self._packs: set[PackName] = set()
        self._waiting: list[PackName] = []
        """Packs that are to be read."""
        self._reader = BucketReader(bucket, repository.history)
        self._remote = remote
        self._is_lazy = is_lazy
        self._tables: set[tuple[PackName, int]] = set()
        """Packs of which rows were noted, and the bytes of these."""
        self._rows: list[PackRows] = []
        """Contents that are to be promised."""
        self._row_count = 0
        self._arrived = Arrived()
        self._frames = WaitingFrames()
        self._older = OlderHere(self._store, self._arrived)
        self._promised: list[str] = []
        """Names of the promises that were made."""

    @property
    def got_bytes(self) -> int:
        """Bytes that were received, but for refs."""
        return self._reader.got_bytes

    @property
    def has_git_dirs(self) -> bool:
        """True if a commit has a `.git`, as those of an early version may."""
        return self._trees.has_git_dirs

    def take(self, bulk: Bulk, wanted: Wanted) -> Steps[None]:
        """Store commits with all that they need, and list them.  MissingObject, CorruptObject."""
        try:
            with closing(self._frames):
                new = yield from self._take_all(bulk, wanted)
        except BaseException:
            self._store.promises.take_back(self._promised)
            raise
        yield from self._announce(new)
        if self._promised:
            yield from on_thread(partial(self._store.promises.settle, self._remote))

    def _take_all(self, bulk: Bulk, wanted: Wanted) -> Steps[NewCommits]:
        """Store the objects, and promise what is left there; return the new commits, checked."""
        pending, is_below_left = wanted.named(), not wanted.trees
        seen = set(pending)
        while True:
            left = yield from self._read_all(bulk, pending, seen, is_below_left=is_below_left)
            try:
                self._frames.check_none()
                new = yield from self._find_new(bulk, wanted)
                yield from self._check(new)
            except MissingObject:
                if not left:
                    raise
                # What is named after a commit may lead to others than those below it; and in a
                # shallow history not all that is below a commit is here.
                pending, is_below_left = left, False
            else:
                return new

    def _find_new(self, bulk: Bulk, wanted: Wanted) -> Steps[NewCommits]:
        """Return the commits that are to be listed.  MissingObject, CorruptObject."""
        new, history = NewCommits(self._store, (), self._arrived), self._repository.history
        for oid in wanted.lacking:
            yield from new.walk(oid, history)
        for oid in (*wanted.below, *wanted.optional):
            # Whoever wants these sees what is listed in the end.
            with suppress(MissingObject):
                yield from new.walk(oid, history)
        return new

    def _read_all(
        self, bulk: Bulk, pending: list[CommitId], seen: set[CommitId], *, is_below_left: bool
    ) -> Steps[list[CommitId]]:
        """Store all that some commits name; return those that were left out, as they are here."""
        left: list[CommitId] = []
        while pending:
            oid = pending.pop()
            # The commits below one that is here are here, too.
            if is_below_left and oid in self._repository.history:
                left.append(oid)
                continue
            trees = read_trees(f"trees/{oid.hex()[:12]}", (yield from self._reader.trees(oid)))
            yield from self._take_trees(bulk, trees)
            pending += [each for each in trees.bases if each not in seen]
            seen.update(trees.bases)
        yield from self._take_packs(bulk, is_last=True)
        yield from self._add_held(bulk, is_last=True)
        yield from self._keep_promises()
        return left

    def _take_trees(self, bulk: Bulk, trees: PushedTrees) -> Steps[None]:
        """Store what an object with trees has, and note its packs."""
        yield from self._add(bulk, self._frames.sift(trees))
        yield from self._add_held(bulk, is_last=False)
        if self._is_lazy:
            yield from self._take_rows(trees.table)
        else:
            self._want(each.name for each in trees.packs)
        yield from self._take_packs(bulk, is_last=False)

    def _add_held(self, bulk: Bulk, *, is_last: bool) -> Steps[None]:
        """Store the objects of frames whose dictionaries are here.

        If nothing more comes, look in the store, too, where all is written then.
        """
        before = -1
        while before != self._frames.count:
            before = self._frames.count
            if is_last:
                yield from write(bulk)
                self._frames.look_again()
            while (held := self._frames.next(self._older.contains)) is not None:
                frame, older = self._frames.take(held, self._older.read)
                yield from self._add(bulk, self._frames.unfold(held.shown, frame, older))
            if not is_last:
                return

    def _want(self, names: Iterable[PackName]) -> None:
        """Note packs that are to be read whole."""
        for name in names:
            if name not in self._packs:
                self._packs.add(name)
                self._waiting.append(name)

    def _take_rows(self, table: PackTable) -> Steps[None]:
        """Note the rows of the packs of contents, and the other packs as wanted."""
        self._want(each.name for each in table.packs if each.holds_trees)
        for index, packs in table.indexed():
            rows = yield from self._reader.index(index)
            yield from self._promise(split_rows(packs, rows))
        beside = table.beside()
        old = [each for each in beside if each.row_count is None]
        ends = (yield from self._reader.ends([each.name for each in old])) if old else []
        yield from self._promise(zip(old, ends, strict=True))
        yield from self._promise(split_rows(beside if not old else [], table.rows))

    def _promise(self, found: Iterable[tuple[NamedPack, bytes]]) -> Steps[None]:
        """Note rows of packs, unless the contents share these with objects that are needed."""
        for pack, table in found:
            # A push that relies on a pack of another one names it with the rows that it knows.
            named = pack.name, len(table)
            if pack.name in self._packs or named in self._tables:
                continue
            shown = f"pack {pack.name.digest.hex()[:12]}"
            rows = yield from on_thread(partial(content_rows, shown, pack.name, table))
            if rows is None:
                self._want([pack.name])
                continue
            self._tables.add(named)
            rows = yield from on_thread(partial(self._needed_rows, pack.name, rows))
            if not rows:
                continue
            self._rows.append(PackRows(*pack.name, [_promised_row(row) for row in rows]))
            self._arrived.note_contents(Oid(row.oid) for row in rows)
            self._row_count += len(rows)
            self.promised_count += len(rows)
            if self._row_count >= _PROMISED_COUNT:
                yield from self._keep_promises()

    def _needed_rows(self, name: PackName, rows: list[PackRow]) -> list[PackRow]:
        """Return the rows of a pack of contents that are to be promised; on a thread."""
        return rows

    def _keep_promises(self) -> Steps[None]:
        """Write the rows that were noted.  StoreError."""
        packs, self._rows, self._row_count = self._rows, [], 0
        if packs:
            add = partial(self._store.promises.add, self._remote, packs)
            self._promised.append((yield from on_thread(add)))

    def _take_packs(self, bulk: Bulk, *, is_last: bool) -> Steps[None]:
        """Read the packs that were not read, as soon as enough are known."""
        while self._waiting:
            count = size = 0
            for name in self._waiting[:READERS]:
                if count and size >= AHEAD_BYTES:
                    break
                count, size = count + 1, size + name.size
            if not is_last and count < READERS and size < AHEAD_BYTES:
                return
            names, self._waiting = self._waiting[:count], self._waiting[count:]
            found = yield from self._reader.packs(names)
            for name, data in zip(names, found, strict=True):
                yield from self._take_pack(bulk, name, data)

    def _take_pack(self, bulk: Bulk, name: PackName, data: bytes) -> Steps[None]:
        """Store the objects of a pack."""
        yield from self._add(bulk, read_pack(name, data))

    def _add(self, bulk: Bulk, objects: Iterator[RemoteObject]) -> Steps[None]:
        """Hand objects over to the bulk, and write now and then."""
        waiting, is_more = 0, True
        while is_more:
            taken, is_more = yield from on_thread(partial(slice_of, objects))
            for found in taken:
                bulk.add(found.oid, found.kind, found.data, self._bases.take(found))
                self.object_count += 1
                self._arrived.note(found)
                self._frames.arrived(found)
                yield TURN
            waiting += len(taken)
            if bulk.waiting_bytes >= _WRITTEN_BYTES or waiting >= _UNWRITTEN_COUNT:
                yield from write(bulk)
                waiting = 0
            yield Progress(self.object_count, 0, "objects")

    def _check(self, new: NewCommits) -> Steps[None]:
        """Check that each commit can be read, and that all which it needs is there."""
        beyond = Beyond(self._store, reads_blobs=False, arrived=self._arrived)
        for oid, links in new.links.items():
            root = decoded(oid, new.data(oid)).root
            if not root.is_dir:
                raise CorruptObject(f"commit {oid.hex()} has no directory")
            parents = [new.links_at(each) for each in links.parents]
            for found in beyond.of(links, parents):
                if isinstance(found, Turn):
                    yield found
                elif found.kind is Kind.TREE:
                    self._trees.check(found)
            yield TURN

    def _announce(self, new: NewCommits) -> Steps[None]:
        """List the commits, each of which is complete, a moment before the refs are moved."""
        history = self._repository.history
        # I67: `_check` has found them complete, and no collection runs beside a bulk.
        for count, (oid, links) in enumerate(new.links.items(), 1):
            history.announce(oid)
            history.first_parents.note(oid, links.parents)
            if not count % _ANNOUNCED_COUNT:
                self._repository.publish()
                yield TURN
        self._repository.publish()
        self.commit_count = len(new.links)


def slice_of(objects: Iterator[RemoteObject]) -> tuple[list[RemoteObject], bool]:
    """Return the next objects, until they are some MB, and True if there may be more; on a thread.

    A push has few of them, so a second time on a thread would be most of the cost.
    """
    taken: list[RemoteObject] = []
    size = 0
    for found in objects:
        taken.append(found)
        size += len(found.data)
        if size >= _DECODED_BYTES or len(taken) >= _DECODED_COUNT:
            return taken, True
    return taken, False


def write(bulk: Bulk) -> Steps[None]:
    """Write what a bulk has gathered.  StoreError, DamagedHere."""
    work = bulk.plan_write()
    if work is not None:
        # It reads versions that are here, to make deltas of the new ones.
        with told_as_local():
            yield work


def _promised_row(row: PackRow) -> tuple[bytes, int, int, int, int]:
    return row.oid, row.codec, row.size, row.stored_bytes, row.offset
