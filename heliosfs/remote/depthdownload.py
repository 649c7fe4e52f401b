"""Download of the last commits alone: all is read and held, and what they need is stored.

See `within` for how it is held, and `repo.edge` for the commits whose parents stay at the remote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.remote.arrived import Arrived, OlderHere
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.closure import NewCommits
from heliosfs.remote.download import Download, slice_of, write
from heliosfs.remote.frames import NamedObject, objects_of
from heliosfs.remote.packfile import PackName, PackRow, RemoteObject, content_rows, read_pack
from heliosfs.remote.packtable import NamedPack
from heliosfs.remote.treesfile import PushedTrees
from heliosfs.remote.within import Depth, Held, Unit, Wanted
from heliosfs.repo.repository import Repository
from heliosfs.steps import Progress, Steps, on_thread
from heliosfs.store.base import Bulk, Store


class DepthDownload(Download):
    """A download that lists the commits within a depth."""

    def __init__(
        self, repository: Repository, bucket: Bucket, remote: str, *, is_lazy: bool, depth: int
    ) -> None:
        super().__init__(repository, bucket, remote, is_lazy=is_lazy)
        self._depth = depth
        self._held = Held(self._frames.arrived)
        self._older = _OlderHeld(self._held, self._store, self._arrived)
        self._is_holding = True
        self._held_tables: list[tuple[NamedPack, bytes]] = []
        """Packs of contents, and their rows, of which something may be needed."""
        self._contents: set[Oid] | None = None
        """Contents that are needed; None for all."""
        self._cut: dict[CommitId, tuple[CommitId, ...]] = {}
        """New commits that are to be on the edge, with the parents that they name."""

    def _take_trees(self, bulk: Bulk, trees: PushedTrees) -> Steps[None]:
        if not self._is_holding:
            yield from super()._take_trees(bulk, trees)
            return
        units = [partial(objects_of, trees.shown, each) for each in self._frames.plain(trees)]
        yield from self._hold(units, len(trees.data))
        yield from self._add_held(bulk, is_last=False)
        yield from self._take_rows(trees.table)
        yield from self._take_packs(bulk, is_last=False)
        if self._held.is_full:
            yield from self._store_all(bulk)

    def _hold(self, units: Iterable[Unit], size: int) -> Steps[None]:
        """Hold what lies in one object of the bucket, of so many bytes."""
        yield from on_thread(partial(self._held.hold, units, size))
        yield Progress(self._held.count, 0, "objects")

    def _take_pack(self, bulk: Bulk, name: PackName, data: bytes) -> Steps[None]:
        if self._is_holding:
            yield from self._hold([partial(read_pack, name, data)], len(data))
        else:
            yield from super()._take_pack(bulk, name, data)

    def _add(self, bulk: Bulk, objects: Iterator[RemoteObject]) -> Steps[None]:
        is_more = True
        while self._is_holding and is_more:
            # Those of frames with dictionaries, which could not be decoded again one by one.
            taken, is_more = yield from on_thread(partial(slice_of, objects))
            size = sum(len(each.data) for each in taken)
            yield from self._hold([partial(_unit_of, taken)], size)
            if self._held.is_full:
                yield from self._store_all(bulk)
        if is_more:
            yield from super()._add(bulk, self._needed(objects))

    def _needed(self, objects: Iterable[RemoteObject]) -> Iterator[RemoteObject]:
        """Yield the objects of which some may be needed, and note the parents of commits."""
        contents = self._contents
        for found in objects:
            self._held.note(found)
            if contents is None or found.kind is not Kind.BLOB or found.oid in contents:
                yield found

    def _promise(self, found: Iterable[tuple[NamedPack, bytes]]) -> Steps[None]:
        if not self._is_holding:
            yield from super()._promise(found)
            return
        for pack, table in found:
            shown = f"pack {pack.name.digest.hex()[:12]}"
            rows = yield from on_thread(partial(content_rows, shown, pack.name, table))
            if rows is None:
                # Earlier programs put trees and contents into the same packs.
                self._want([pack.name])
            else:
                self._held_tables.append((pack, table))

    def _needed_rows(self, name: PackName, rows: list[PackRow]) -> list[PackRow]:
        contents = self._contents
        needed = [row for row in rows if contents is None or Oid(row.oid) in contents]
        if needed and not self._is_lazy:
            self._want([name])
            return []
        return needed

    def _store_all(self, bulk: Bulk) -> Steps[None]:
        """Store all that is held, and what comes: it is too much to be held."""
        self._is_holding = False
        yield from self._add(bulk, self._held.release())
        yield from self._release_tables(bulk)

    def _release_tables(self, bulk: Bulk) -> Steps[None]:
        tables, self._held_tables = self._held_tables, []
        yield from self._promise(tables)
        yield from self._take_packs(bulk, is_last=True)
        yield from write(bulk)
        yield from self._keep_promises()

    def _find_new(self, bulk: Bulk, wanted: Wanted) -> Steps[NewCommits]:
        history = self._repository.history
        within: Depth = yield from self._held.within(history, wanted.tips, self._depth)
        for oid in wanted.optional:
            if self._held.is_inside(history, oid, within):
                within.commits[oid] = None
        self._cut = within.cut
        if self._is_holding:
            self._is_holding = False
            self._contents = self._held.contents
            reached = self._held.reached(within.commits)
            yield from super()._add(bulk, reached)
            yield from self._release_tables(bulk)
        new = NewCommits(self._store, self._cut, self._arrived)
        for oid in dict.fromkeys([*within.commits, *wanted.lacking]):
            yield from new.walk(oid, history)
        return new

    def _announce(self, new: NewCommits) -> Steps[None]:
        # I80: before the first of them is listed.
        with self._repository.transaction:
            for oid, parents in self._cut.items():
                self._repository.history.edge.add(oid, parents)
        yield from super()._announce(new)


def _unit_of(objects: list[RemoteObject]) -> list[RemoteObject]:
    return objects


class _OlderHeld(OlderHere):
    """The objects of dictionaries that are held, have arrived, or were here before."""

    def __init__(self, held: Held, store: Store, arrived: Arrived) -> None:
        super().__init__(store, arrived)
        self._held = held

    def contains(self, named: NamedObject) -> bool:
        return named[1] in self._held or super().contains(named)

    def read(self, named: NamedObject) -> bytes:
        found = self._held.find(named)
        return super().read(named) if found is None else found
