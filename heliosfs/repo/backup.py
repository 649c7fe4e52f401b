"""Backup of a repository into a directory, beside all other work, and its restoration.

Theory of operation.  The objects that came since the last backup are copied first, in pieces on a
thread, however long that takes.  Then comes the moment that is backed up: the uncommitted changes
of every open view are saved, all that is published is moved into L2, and one transaction of LMDB is
opened, which shows all of it and nothing later.  What few objects came meanwhile are copied from
there, and then the state, which replaces that of the last backup in one transaction.

A number of L2 always means the same object, so that the last backup says with a number what it has.
A store that was put back from an older copy may use a number twice; so the backup keeps the ids of
the last objects as well, and when they are others, everything is compared.

The backup keeps what a garbage collection has removed from the store: an object of the store that
nobody needs may be needed again, and must not be missing from a backup that counts it as copied.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from typing import NamedTuple

from heliosfs.errors import AlreadyExists, NotFound, StoreError
from heliosfs.objects.ids import OID_BYTES, Oid
from heliosfs.repo import keys
from heliosfs.repo.backup_directory import LastBackup, last_backup, make, named, open_backup
from heliosfs.repo.configuration import FILE as CONFIGURATION_FILE
from heliosfs.repo.edge import declare_edge
from heliosfs.repo.remotes import RemoteNotes, lazy_without_places
from heliosfs.repo.repository import Repository
from heliosfs.repo.store_copy import StoreCopy
from heliosfs.steps import TURN, Progress, Steps, on_thread
from heliosfs.store.base import SLOT_BYTES, Collection
from heliosfs.store.copying import CopiedSnapshot, Copying, SeriesMark
from heliosfs.store.local import LocalStore
from heliosfs.workspace.flush import file_slices
from heliosfs.workspace.inodes import FILE as INODES_FILE

ID_FILE = "id"
FILES = (CONFIGURATION_FILE, ID_FILE, INODES_FILE)
"""Files beside a store that belong to it."""
_FLUSH_BYTES = 2 * 1024 * 1024


class BackupResult(NamedTuple):
    """The results of a backup."""

    time_ns: int
    """The moment that was backed up."""
    object_count: int
    """Number of all objects in the backup."""
    new_object_count: int
    new_bytes: int
    """Bytes that the new objects take."""
    value_count: int
    """Number of values of state that changed."""
    damaged: list[str]
    """Lines for people about what could not be copied."""


class RestoreResult(NamedTuple):
    """The results of a restore."""

    object_count: int
    damaged: list[str]
    """Lines for people about what could not be copied."""
    left: list[str]
    """Remotes that had contents which the backup has not."""


def back_up(repository: Repository, path: str, *, keeps_going: bool) -> Steps[BackupResult]:
    """Bring the backup at `path`, which has no links in it, up to date; make it if need be.

    Busy while a garbage collection runs, or another one.  CorruptObject names what is damaged, and
    the backup stays as it was; with `keeps_going`, the rest is copied.  AlreadyExists, NotPermitted
    and NotFound for a directory that cannot be it; StoreError, StoreFull.
    """
    store = repository.store
    if not isinstance(store, LocalStore):
        raise NotFound("only a store on a disk can be backed up")
    # Only so that nothing is removed meanwhile: nothing is marked, and nothing swept.
    collection = store.collect()
    held = _Held()
    try:
        store_id = (store.file_beside(ID_FILE).read() or b"").decode("ascii", "replace").strip()
        if not store_id:
            raise NotFound("the store has no file 'id', by which a backup knows it: mount it once")
        yield from on_thread(partial(held.open, path, store_id))
        held.runs.append(_Run(repository, store, held.stores[0], path, keeps_going=keeps_going))
        result = yield from held.runs[0].steps(collection)
    except GeneratorExit:
        # Nobody drives the steps any more, and closing waits for the disk.
        threading.Thread(target=partial(_give_up, held), name="backup closer").start()
        raise
    except BaseException:
        yield from on_thread(partial(_give_up, held))
        raise
    finally:
        collection.close()
    with named(path):
        yield from on_thread(held.close)
    return result


class _Held:
    """The store of a backup and what reads it, which are closed, and emptied, on a thread."""

    def __init__(self) -> None:
        self.stores: list[LocalStore] = []
        self.runs: list[_Run] = []

    def open(self, path: str, store_id: str) -> None:
        """Open the store of the backup, or make it."""
        make(path, store_id)
        self.stores.append(open_backup(path, create=True))

    def close(self) -> None:
        """Close the store, if it is open.  StoreError."""
        for run in self.runs:
            run.copy.close()
        self.runs.clear()
        while self.stores:
            self.stores.pop().close()


def _give_up(held: _Held) -> None:
    """Close a backup that failed: why it failed is told already."""
    with suppress(StoreError):
        held.close()


class _Run:
    """A backup between its first object and its last."""

    def __init__(
        self,
        repository: Repository,
        store: LocalStore,
        target: LocalStore,
        path: str,
        *,
        keeps_going: bool,
    ) -> None:
        self._repository = repository
        self._store = store
        self._target = target
        self._path = path
        self._source = store.copying()
        self.copy = StoreCopy(
            self._source,
            target.copying(),
            target.bulk(),
            partial(named, path),
            keeps_going=keeps_going,
        )
        self._before = target.stats()
        self._last: LastBackup | None = None
        self._known: dict[bytes, SeriesMark] = {}
        self._files: dict[bytes, bytes | None] = {}
        self._left: list[tuple[bytes, bytes]] = []
        """State of remotes that have contents of which the backup has only the names."""
        self._next = 1

    def steps(self, collection: Collection) -> Steps[BackupResult]:
        """Carry the backup out."""
        yield from _settle(collection)
        yield from self._copy_objects()
        time_ns = yield from self._save()
        yield from _settle(collection)
        return (yield from on_thread(partial(self._finish, time_ns)))

    def _copy_objects(self) -> Steps[None]:
        """Copy the objects that the backup may lack, in pieces."""
        with named(self._path):
            self._last = last_backup(self._target)
        first = yield from on_thread(self._first)
        if first is None:
            yield from self._check_line()
        elif self._last is not None and not self._last.damaged:
            marks = self._last.series.items()
            self._known = {bytes.fromhex(name): mark for name, mark in marks}
        begin = self._next = first or 1
        end = self._source.end
        while self._next < end:
            self._next = yield from on_thread(partial(self.copy.piece, self._next))
            yield Progress(min(self._next, end) - begin, end - begin, "objects")

    def _first(self) -> int | None:
        """Return the number of the first object that the backup may lack.

        None if its numbers are not those of this store.
        """
        last, source = self._last, self._source
        if last is None:
            return 1
        if last.salt != source.salt.hex() or last.end > source.end:
            return None
        with source.snapshot() as snapshot:
            now = dict(snapshot.tail(last.end))
        known = [(number, short) for number, short in last.tail if number in now]
        if any(now[number] != short for number, short in known):
            return None
        # I60: nothing before that number ever left the backup.  If a collection has removed all
        # that are known, it cannot be told whether the numbers are still the same.
        return last.end if (known or last.end == 1) and not last.damaged else 1

    def _check_line(self) -> Steps[None]:
        """Refuse another copy of the same store, if the backup has commits that it lacks.

        A store that was restored or repaired goes on where the backup ends; one that has lost
        commits must not take them from the backup, too.  AlreadyExists.
        """
        for prefix, at in ((keys.BRANCH, SLOT_BYTES), (keys.TAG, 0)):
            for key, value in list(self._target.scan(prefix)):
                oid = Oid(value[at : at + OID_BYTES])
                if oid and not self._store.contains(oid):
                    name = keys.name_in(prefix, key)
                    raise AlreadyExists(
                        f"{self._path} has commits that this copy of the store lacks, such as "
                        f"{oid.hex()[:12]} of {name}: name another directory"
                    )
                yield TURN

    def _save(self) -> Steps[int]:
        """Save what every view has not committed; return the moment."""
        for view in self._repository.views():
            for _ in file_slices(view.workspace, _FLUSH_BYTES):
                yield TURN
        self._repository.checkpoint()
        self._files = {
            keys.BACKUP_FILE + name.encode(): self._store.file_beside(name).read() for name in FILES
        }
        self._left = [lazy_without_places(each) for each in self._store.promises.remotes]
        return self._repository.clock.now_ns()

    def _finish(self, time_ns: int) -> BackupResult:
        """Copy what came meanwhile, and the state.  CorruptObject, StoreError."""
        rest = partial(self._rest, time_ns)
        if self._store.declaration.is_shallow:
            # Programs that do not know what its state will say must refuse it before.
            self._target.declaration.declare(is_shallow=True)
        done = self.copy.finish(self._next, rest, self._known, is_first=self._last is None)
        declare_edge(self._target)
        now, before = self._target.stats(), self._before
        return BackupResult(
            time_ns,
            now.objects,
            done.objects,
            now.stored_bytes - before.stored_bytes,
            done.values,
            self.copy.damaged,
        )

    def _rest(
        self, time_ns: int, snapshot: CopiedSnapshot, marks: Mapping[bytes, SeriesMark]
    ) -> dict[bytes, bytes | None]:
        last = LastBackup(
            self._source.salt.hex(),
            snapshot.end,
            time_ns,
            snapshot.tail(snapshot.end),
            len(self.copy.damaged),
            {name.hex(): mark for name, mark in marks.items()},
        )
        return {**self._files, **dict(self._left), keys.BACKUP: last.encode()}


def _settle(collection: Collection) -> Steps[None]:
    """Let L2 have everything that was published."""
    while (work := collection.plan_settle()) is not None:
        yield work


def restore(
    source: LocalStore,
    target: LocalStore,
    report: Callable[[Progress], None],
    *,
    keeps_going: bool,
) -> RestoreResult:
    """Copy a backup into a new store, without what makes it a backup.

    CorruptObject, StoreError, StoreFull.
    """
    copying: Copying = source.copying()
    target.declaration.declare(is_shallow=source.declaration.is_shallow)
    bulk = target.bulk()
    try:
        copy = StoreCopy(copying, target.copying(), bulk, nullcontext, keeps_going=keeps_going)
        at, end = 1, copying.end
        while at < end:
            at = copy.piece(at)
            report(Progress(min(at, end) - 1, end - 1, "objects"))
        done = copy.finish(at, lambda snapshot, marks: {}, {}, is_first=True)
    finally:
        bulk.close()
    for name in FILES:
        data = source.get(keys.BACKUP_FILE + name.encode())
        if data is not None:
            target.file_beside(name).replace(data)
    if target.get(keys.ROOT) is None:
        raise StoreError("the backup does not say which branch the mount point shows")
    return RestoreResult(done.objects, copy.damaged, RemoteNotes(target).without_places())
