"""Contents that are brought in bulk: those of some trees, or all that remotes have promised.

They come in the order in which they lie in their packs, so that one request reads many, and go past
the journal.  What was written stays: whoever is interrupted begins again, and reads only the rest.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from heliosfs.errors import Busy, CorruptObject
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.references import Reference, cut_references
from heliosfs.remote.bucket import Bucket, Lying, NoObject
from heliosfs.remote.buckets.opening import open_bucket
from heliosfs.remote.closure import referred
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.layout import pack_key
from heliosfs.remote.likeness import LikelyBases
from heliosfs.remote.packfile import OBJECT_MAX, RemoteObject, decoded_object
from heliosfs.remote.places import renew_places
from heliosfs.remote.reading import READERS
from heliosfs.remote.threads import DaemonThreads
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Progress, Steps, on_thread, read_far
from heliosfs.store.base import Bulk
from heliosfs.store.promisefile import Promise
from heliosfs.store.promises import PromiseMarks

_RANGE_BYTES = 9 * 1024 * 1024
"""Most bytes of a range, unless one content has more: a pack that a push makes is one range."""
_DECODED_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of contents, decoded, from which it takes none either."""
_GAP_MAX_BYTES = 64 * 1024
"""Most bytes between two contents that are read for nothing, to save a request."""
_WAITING_BYTES = 8 * 1024 * 1024


class Brought(NamedTuple):
    """The results of bringing contents."""

    content_count: int
    """Number of contents that came."""
    got_bytes: int
    """Bytes that were received."""


class Contents:
    """The promised contents of a repository that somebody wants to have here."""

    def __init__(
        self, repository: Repository, opening: Callable[[str], Bucket] | None = None
    ) -> None:
        """Want nothing yet; `opening` returns the bucket of a URL, as `open_bucket` does."""
        self._repository = repository
        self._store = repository.store
        self._promises = repository.store.promises
        self._opening = opening or open_bucket
        self._buckets: dict[str, Bucket] = {}
        self._wanted: PromiseMarks = self._promises.marks()
        self._promises_before = self._promises.marks()
        """Marks of nothing: the promises that there are now."""
        self._wants_all = False
        self._moved: dict[str, None] = {}
        """Remotes of which packs are gone."""
        self._lost: set[Oid] = set()
        """Contents that are wanted, and neither here nor promised."""
        self._failed: dict[Oid, str] = {}
        """Contents that the remote does not have as it says, and the reasons."""
        self._count = self._got_bytes = 0

    def want_all(self) -> None:
        """Want everything that is promised."""
        self._wants_all = True

    def want(self, roots: Iterable[Reference]) -> Steps[None]:
        """Want the contents that some objects reach within their trees.  StoreError."""
        pending, seen = list(roots), set()
        while pending:
            kind, oid = pending.pop()
            if oid in seen:
                continue
            if kind is Kind.BLOB:
                if self._wanted.mark(oid) is None and not self._store.contains(oid):
                    self._lost.add(oid)
            else:
                seen.add(oid)
                found = referred(RemoteObject(kind, oid, self._store.read(oid, kind)))
                pending += cut_references(oid, found, self._repository.history.edge)
            yield TURN

    def bring(self, open_bulk: Bulk | None = None) -> Steps[Brought]:
        """Read what is wanted and not here, and store it, through a bulk that is open, if any.

        Unreachable, DamagedRemote: what came before stays, and of a remote that has damage, all
        else comes.  Busy while a garbage collection or an import runs.
        """
        if self._lost or self._promises.damage or self._without_places():
            yield from self._mend()
        total_bytes = yield from self._total_bytes()
        if not total_bytes:
            return Brought(0, 0)
        bulk = open_bulk or self._store.bulk()
        try:
            yield from self._bring_ranges(bulk, total_bytes)
            if self._moved:
                yield from self._renew()
                yield from self._bring_ranges(bulk, total_bytes)
        finally:
            if open_bulk is None:
                bulk.close()
        if self._failed:
            oid, reason = next(iter(self._failed.items()))
            raise DamagedRemote(
                f"{len(self._failed)} contents cannot be had, the others are here: {reason}"
                f" (content {oid.hex()[:12]})"
            )
        return Brought(self._count, self._got_bytes)

    def _bring_ranges(self, bulk: Bulk, total_bytes: int) -> Steps[None]:
        bases, done_bytes = LikelyBases(), 0
        self._promises_before = self._promises.marks()
        ranges = _Ranges(self._missing())
        coming: deque[_Arrival] = deque()
        threads = DaemonThreads("contents", READERS)
        while True:
            # The next ones are on their way while what has come is encoded.
            while len(coming) < READERS and (wanted := (yield from ranges.next())) is not None:
                bucket = yield from self._bucket_of(wanted.remote)
                coming.append(_Arrival(bucket, wanted))
                threads.start(coming[-1].run)
            if not coming:
                break
            arrival = coming.popleft()
            yield from self._add(bulk, (yield from read_far(arrival.result)), bases)
            done_bytes += sum(row.stored_bytes for row in arrival.wanted.rows)
            yield Progress(done_bytes, max(done_bytes, total_bytes), "bytes", self._count)
        yield from _written(bulk)

    def _renew(self) -> Steps[None]:
        """Ask the remotes of which packs are gone where their contents are now."""
        for remote in self._moved:
            yield from renew_places(self._repository, self._buckets[remote], remote)
        self._failed.clear()

    def _mend(self) -> Steps[None]:
        """Ask remotes that have contents for what nobody promises here any more."""
        remotes = self._repository.remotes
        for remote in remotes.names:
            if remotes.notes.is_lazy(remote):
                bucket = yield from self._bucket_of(remote)
                yield from renew_places(self._repository, bucket, remote)
                if remote in self._without_places():
                    with self._repository.transaction:
                        remotes.notes.note_places(remote)

    def _without_places(self) -> list[str]:
        """Return the remotes that have contents of which a backup was made without them."""
        return self._repository.remotes.notes.without_places()

    def forget(self) -> Steps[None]:
        """Forget all promises, after everything that was promised was brought.  StoreError."""
        assert self._wants_all and not self._failed
        # I68: what was here before need not be on the disk yet.
        yield from _settle(self._repository)
        yield from on_thread(partial(self._promises.drop, self._promises_before))

    def _is_wanted(self, oid: Oid) -> bool:
        return self._wants_all or oid in self._lost or self._wanted.is_marked(oid)

    def _missing(self) -> Iterator[Promise | None]:
        """Yield the promises that are wanted and not here, and None for each other one."""
        for each in self._promises:
            is_wanted = self._is_wanted(each.oid) and not self._store.contains(each.oid)
            # Of one that is promised twice, the newest place counts.
            yield each if is_wanted and self._promises.find(each.oid) == each else None

    def _total_bytes(self) -> Steps[int]:
        total = 0
        for each in self._promises:
            total += each.stored_bytes if self._is_wanted(each.oid) else 0
            yield TURN
        return total

    def _add(self, bulk: Bulk, found: _Arrived, bases: LikelyBases) -> Steps[None]:
        self._got_bytes += found.got_bytes
        self._failed.update(found.failed)
        if found.is_gone:
            self._moved[found.remote] = None
        for each in found.objects:
            bulk.add(each.oid, each.kind, each.data, bases.take(each))
            self._count += 1
            yield TURN
        if bulk.waiting_bytes >= _WAITING_BYTES:
            yield from _written(bulk)

    def _bucket_of(self, remote: str) -> Steps[Bucket]:
        if remote not in self._buckets:
            url = self._repository.remotes.url(remote)
            self._buckets[remote] = yield from read_far(partial(self._opening, url))
        return self._buckets[remote]


class _Range:
    """Promised contents that lie together in a pack: one request reads them."""

    def __init__(self, first: Promise) -> None:
        self.rows = [first]
        self.remote = first.remote
        self.pack = first.pack
        self.start = first.offset
        self.end = first.offset + first.stored_bytes
        self._decoded_bytes = first.size

    def take(self, each: Promise) -> bool:
        """Add a content if it belongs here; return True then."""
        end = each.offset + each.stored_bytes
        decoded_bytes = self._decoded_bytes + each.size
        if (
            (each.remote, each.pack) != (self.remote, self.pack)
            or not self._follows(each)
            or end - self.start > _RANGE_BYTES
            or decoded_bytes > _DECODED_BYTES_MAX
        ):
            return False
        self.rows.append(each)
        self.end, self._decoded_bytes = end, decoded_bytes
        return True

    def _follows(self, each: Promise) -> bool:
        last = self.rows[-1]
        is_of_group = (each.offset, each.stored_bytes) == (last.offset, last.stored_bytes)
        return is_of_group or self.end <= each.offset <= self.end + _GAP_MAX_BYTES


class _Ranges:
    """Promises in the order of their packs, in ranges."""

    def __init__(self, promises: Iterator[Promise | None]) -> None:
        self._promises = promises
        self._next: _Range | None = None
        """The range that is not finished."""

    def next(self) -> Steps[_Range | None]:
        """Return the range to read next; None at the end."""
        for each in self._promises:
            yield TURN
            if each is None or (self._next is not None and self._next.take(each)):
                continue
            before, self._next = self._next, _Range(each)
            if before is not None:
                return before
        last, self._next = self._next, None
        return last


class _Arrived(NamedTuple):
    """The contents of a range that came."""

    objects: list[RemoteObject]
    failed: dict[Oid, str]
    got_bytes: int
    remote: str
    is_gone: bool = False
    """True if the remote has no such pack any more."""


class _Arrival:
    """A range on its way."""

    def __init__(self, bucket: Bucket, wanted: _Range) -> None:
        self.wanted = wanted
        self._bucket = bucket
        self._has_come = threading.Event()
        self._arrived: list[_Arrived] = []
        self._error: Exception | None = None

    def run(self) -> None:
        """Read the range; on a thread."""
        try:
            self._arrived.append(_read(self._bucket, self.wanted))
        except Exception as error:  # noqa: BLE001 (raised where it is waited for)
            self._error = error
        self._has_come.set()

    def result(self) -> _Arrived:
        """Wait for the range, and return it; on another thread.  Unreachable."""
        self._has_come.wait()
        if self._error is not None:
            raise self._error
        return self._arrived.pop()


def _read(bucket: Bucket, wanted: _Range) -> _Arrived:
    """Read a range, and compare each content in it with its id; on a thread.  Unreachable."""
    rows, remote = wanted.rows, wanted.remote
    if wanted.end > rows[0].pack_size or any(each.size > OBJECT_MAX for each in rows):
        return _all_failed(rows, f"{remote} has told an impossible place of it")
    try:
        data = bucket.get(pack_key(wanted.pack), wanted.start, wanted.end - wanted.start).data
    except NoObject:
        failed = _all_failed(rows, f"{remote} does not have it any more")
        return failed._replace(is_gone=True)
    except Lying as error:
        return _all_failed(rows, f"{remote}: {error}")
    objects: list[RemoteObject] = []
    arrived = _Arrived(objects, {}, len(data), remote)
    for each in rows:
        at = each.offset - wanted.start
        body = data[at : at + each.stored_bytes]
        try:
            objects.append(decoded_object(Kind.BLOB, each.codec, body, each.size, each.oid))
        except CorruptObject as error:
            arrived.failed[each.oid] = f"{remote} is damaged: {error}"
    return arrived


def _all_failed(rows: list[Promise], reason: str) -> _Arrived:
    failed = dict.fromkeys((each.oid for each in rows), reason)
    return _Arrived([], failed, 0, rows[0].remote)


def _written(bulk: Bulk) -> Steps[None]:
    work = bulk.plan_write()
    if work is not None:
        yield work


def make_whole(
    repository: Repository, opening: Callable[[str], Bucket] | None = None
) -> Steps[Brought]:
    """Bring all that remotes have promised, and forget the promises.  See `Contents.bring`."""
    contents = Contents(repository, opening)
    contents.want_all()
    brought = yield from contents.bring()
    yield from contents.forget()
    return brought


def bring_all_of(repository: Repository, roots: Iterable[Reference]) -> Steps[Brought]:
    """Bring what some objects reach; commits with all of their history.  See `Contents.bring`.

    For work that will need all of it, and would else be begun again for one content after another.
    """
    contents = Contents(repository)
    if repository.store.promises or repository.remotes.notes.without_places():
        yield from contents.want(roots)
    return (yield from contents.bring())


def release(repository: Repository, remote: str) -> Steps[None]:
    """Forget what a remote has promised, all of which is here; otherwise raise Busy."""
    store, left = repository.store, 0
    for each in store.promises:
        if each.remote == remote and not store.contains(each.oid):
            left += 1
        yield TURN
    if left:
        raise Busy(
            f"{left} contents are still at {remote}: 'helios fetch --contents --all' brings them"
        )
    if remote in store.promises.remotes:
        yield from _settle(repository)
        yield from on_thread(partial(store.promises.take_back, remote=remote))


def _settle(repository: Repository) -> Steps[None]:
    """Let all that is here be on the disk as well."""
    repository.publish()
    work = repository.store.plan_sync()
    if work is not None:
        yield work
