"""Hydration: promised contents are read from their remote when somebody needs them.

Theory of operation.  A store raises PromisedObject for a content that a remote has (`promises`).
Whoever drives the work that needed it lets go of everything, asks for the content here, and does
the work again: a request of the kernel with a copy of its message (`fuse.dispatcher`), a verb from
its beginning (`repetition`).

One request reads a range of a pack: the content that is wanted, and its neighbours, which are those
of the same directory because a push writes contents in the order of its walk.  A range on its way
is joined by everybody who needs something in it.  While readers go on where the last range has
ended, ranges grow, and the next one is asked for while they take what has come; on a slow link
ranges shrink, so that nobody waits long for what others may need.

The threads that ask alter nothing here: they receive, decode and compare with the ids.  The owner
of the store takes over what has come (`keep`).  So a crash leaves contents that are whole, or none,
and what a bucket says is believed of no byte.

A remote that did not answer is left alone for a while: reads fail at once until then, with the
reason, and the next one asks again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

from heliosfs.errors import CorruptObject, HeliosError, StoreError, Unfetched
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import Kind, Oid
from heliosfs.pace import paced
from heliosfs.remote.bucket import Bucket, Lying, NoObject
from heliosfs.remote.buckets.opening import open_bucket
from heliosfs.remote.hydration_source import BESIDE_BYTES, HydrationSource
from heliosfs.remote.packfile import RemoteObject, decoded_object
from heliosfs.remote.places import renew_places
from heliosfs.remote.threads import DaemonThreads
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps, on_thread
from heliosfs.store.base import NewObject
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.promisefile import Promise

FETCHERS = 8
"""Most ranges that are read at once."""
DECODED_MAX_BYTES = 32 * 1024 * 1024
"""Most bytes of neighbours that one range may become: a few bytes can stand for millions."""
ARRIVAL_SECONDS = 60.0
"""Longest wait for a range that does not come."""
_ADDED_AT_ONCE = 100
_RENEWAL_SECONDS = 0.05

log = logging.getLogger(__name__)


class Fetch:
    """A range of a pack on its way here: a promised content, and others beside it."""

    def __init__(
        self, source: HydrationSource, promise: Promise, rows: list[Promise] | None
    ) -> None:
        """Prepare to read `rows`, or the neighbours of the promise if there are none."""
        self.source = source
        self.promise = promise
        self.rows = rows
        self.objects: list[RemoteObject] = []
        self.received_bytes = 0
        self.error: HeliosError | None = None
        """Error of the remote."""
        self.refusal: StoreError | None = None
        """Error of the store, which could not take what had come."""
        self.landed = threading.Event()
        """Event that is set when all has come, or failed."""
        self.kept = threading.Event()
        """Event that is set when what has come is in the store, or will not be."""
        self.limit_bytes = 0
        if rows:
            self.span = rows[0].offset, _end(rows[-1])
            self.limit_bytes = self.span[1] - self.span[0]
        else:
            self.limit_bytes = max(source.limit(promise), promise.stored_bytes)
            # Neighbours behind it come first, so that much is certain before they are looked up.
            self.span = promise.offset, promise.offset + self.limit_bytes
        self.is_urgent = rows is None
        """True if a program waits for this one content."""
        self.goes_on = rows is None and self.limit_bytes > BESIDE_BYTES
        """True if its reader goes on where an earlier range has ended, and so may need the next."""

    def covers(self, promise: Promise) -> bool:
        """Return True if another promise is in the range."""
        start, end = self.span
        return promise.pack == self.promise.pack and start <= promise.offset <= _end(promise) <= end

    @property
    def is_damaged(self) -> bool:
        """Return True if the remote has something else, or nothing, in this place."""
        return isinstance(self.error, CorruptObject | Lying | NoObject)

    def failure(self, oid: Oid) -> StoreError | None:
        """Return the error for who waits for a content of the range; None if it has come."""
        if self.refusal is not None or self.error is None:
            return self.refusal
        return Unfetched(f"{self.source.shown(oid)}, {self.source.told(self.error)}")


class Hydration:
    """Reader of the promised contents of a repository; its owner's thread calls all methods."""

    def __init__(
        self,
        repository: Repository,
        opening: Callable[[str], Bucket] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to read by the buckets that `opening` returns for URLs, or `open_bucket`."""
        self.counts = repository.metrics.hydration
        self.on_landed: Callable[[Fetch], None] | None = None
        """Function that a thread calls when a range has come, so that someone calls `keep`; None
        if those who wait do."""
        self._repository = repository
        self._store = repository.store
        self._opening = opening or partial(open_bucket, is_hasty=True)
        self._now = now
        self._sources: dict[str, HydrationSource] = {}
        self._fetches: list[Fetch] = []
        self._threads = DaemonThreads("hydration", FETCHERS)

    @property
    def is_busy(self) -> bool:
        """True if a range is on its way."""
        return bool(self._fetches)

    def promise(self, oid: Oid) -> Promise | None:
        """Return the promise of a content; None if there is none."""
        return self._store.promises.find(oid)

    def after(self, promise: Promise) -> Iterator[Promise]:
        """Yield all other promises, in the order in which they were pushed, from one on."""
        return self._store.promises.after(promise)

    def contains(self, oid: Oid) -> bool:
        """Return True if a content is here: 20 us."""
        return self._store.contains(oid)

    def is_coming(self, promise: Promise) -> bool:
        """Return True if a content is in a range that is on its way."""
        return any(each.covers(promise) for each in self._fetches)

    def begin(self, oid: Oid) -> Fetch | None:
        """Begin to read a content with its neighbours, or join who does.

        Return None if nobody promises it any more.  Raise Unfetched while its remote is left alone.
        """
        promise = self.promise(oid)
        if promise is None:
            return None
        for each in self._fetches:
            if each.covers(promise):
                return each
        return self.read(promise)

    def read(self, promise: Promise, rows: list[Promise] | None = None) -> Fetch:
        """Begin to read a range: a content with its neighbours, or the rows, in order of offset.

        Raise Unfetched while its remote is left alone.
        """
        source = self._source(promise)
        source.check(promise.oid)
        fetch = Fetch(source, promise, rows)
        self._fetches.append(fetch)
        self.counts.requests += 1
        self._threads.start(partial(self._run, fetch))
        return fetch

    def _source(self, promise: Promise) -> HydrationSource:
        remote = promise.remote
        try:
            url = self._repository.remotes.url(remote)
        except HeliosError as error:
            raise Unfetched(f"content {promise.oid.hex()[:12]} cannot be had: {error}") from error
        source = self._sources.get(remote)
        if source is None or source.url != url:
            source = self._sources[remote] = HydrationSource(remote, url, self._opening, self._now)
        return source

    def _run(self, fetch: Fetch) -> None:
        """Read a range; on a thread."""
        began = self._now()
        try:
            self._receive(fetch)
            fetch.source.note_time(fetch.received_bytes, self._now() - began)
        except HeliosError as error:
            fetch.error = error
        except Exception as error:
            log.exception("a promised content could not be read")
            fetch.error = Unfetched(f"internal error: {error}")
        fetch.landed.set()
        if self.on_landed is not None:
            self.on_landed(fetch)

    def _receive(self, fetch: Fetch) -> None:
        promise = fetch.promise
        rows = fetch.rows
        if rows is None:
            found = self._store.promises.neighbours(promise, fetch.limit_bytes)
            fetch.rows = rows = _affordable(promise, fetch.source.unread(promise, found))
        _check_places(promise, rows)
        start, end = rows[0].offset, max(map(_end, rows))
        fetch.span = start, end
        data = fetch.source.bucket.get(fetch.source.key(promise), start, end - start).data
        fetch.received_bytes = len(data)
        if len(data) != end - start:
            raise CorruptObject(
                f"{len(data)} bytes came of a range of {end - start}: it was cut off"
            )
        # What is read for a verb, or ahead, makes room for requests while it is decoded.
        fetch.objects = _decoded(promise, rows if fetch.is_urgent else paced(rows), rows[0], data)

    def keep(self, fetch: Fetch) -> Steps[None]:
        """Store what has come, or note the failure; once for each range."""
        counts, source = self.counts, fetch.source
        try:
            if fetch.error is not None:
                if isinstance(fetch.error, NoObject) and (yield from self._renewed(fetch)):
                    # It is elsewhere: who waits asks again.
                    fetch.error = None
                    return
                counts.failures += 1
                # What is damaged at one place says nothing of the others.
                if not fetch.is_damaged:
                    source.note_failure(str(fetch.error))
                return
            counts.received_bytes += fetch.received_bytes
            yield from self._add(fetch.objects)
            counts.objects += len(fetch.objects)
            fetch.objects = []
            source.note_success(fetch.promise.pack, fetch.span)
            self._read_ahead(fetch)
        except StoreError as error:
            fetch.refusal = error
            # A disk that is full is not to be asked at each read, either.
            source.note_failure(str(error))
        finally:
            self._forget(fetch)
            fetch.kept.set()

    def _read_ahead(self, fetch: Fetch) -> None:
        """Begin to read what follows, while a reader takes what has come."""
        if not fetch.goes_on or self.on_landed is None or fetch.rows is None:
            return
        following = next(self.after(fetch.rows[-1]), None)
        if following is None or self.is_coming(following) or self.contains(following.oid):
            return
        with suppress(Unfetched):
            self.read(following).goes_on = False

    def _renewed(self, fetch: Fetch) -> Steps[bool]:
        """Ask the remote where its contents are now; return True if the content is elsewhere.

        It may have come by that.
        """
        before, source = fetch.promise, fetch.source
        while source.is_renewing:
            yield from on_thread(partial(time.sleep, _RENEWAL_SECONDS))
        if self.promise(before.oid) == before and source.begin_to_renew():
            try:
                bucket = yield from on_thread(lambda: source.bucket)
                yield from renew_places(self._repository, bucket, before.remote)
            except HeliosError as error:
                log.warning("the places of contents could not be read anew: %s", error)
            finally:
                source.is_renewing = False
        is_elsewhere = self.promise(before.oid) not in (before, None)
        return is_elsewhere or self._store.contains(before.oid)

    def give_up(self, fetch: Fetch, oid: Oid) -> Unfetched:
        """Leave the remote of a range alone that did not come in time; return the error."""
        fetch.source.note_failure("it does not answer")
        # Who comes later asks anew, and does not join it.
        self._forget(fetch)
        return Unfetched(f"{fetch.source.shown(oid)}, which does not answer")

    def _forget(self, fetch: Fetch) -> None:
        if fetch in self._fetches:
            self._fetches.remove(fetch)

    def _add(self, objects: list[RemoteObject]) -> Steps[None]:
        store = self._store
        large = [each for each in objects if len(each.data) >= PACKED_FROM_BYTES]
        if large:
            # They are written where they stay, and not to the journal before.
            yield store.plan_add([NewObject(each.kind, each.data) for each in large])
        for count, each in enumerate(objects, 1):
            if len(each.data) < PACKED_FROM_BYTES:
                store.add(each.oid, each.kind, each.data, is_cold=True)
            if not count % _ADDED_AT_ONCE:
                self._repository.publish()
                yield TURN
        self._repository.publish()


def _end(promise: Promise) -> int:
    return promise.offset + promise.stored_bytes


def _affordable(promise: Promise, rows: list[Promise]) -> list[Promise]:
    """Return the rows without those that would become too many bytes; one range all the same."""
    left = DECODED_MAX_BYTES
    at = rows.index(promise)
    last = first = at
    for last in range(at, len(rows)):
        left -= rows[last].size
        if left < 0 and last > at:
            last -= 1
            break
    for first in range(at, -1, -1):
        left -= rows[first].size if first < at else 0
        if left < 0 and first < at:
            first += 1
            break
    return rows[first : last + 1]


def _check_places(promise: Promise, rows: list[Promise]) -> None:
    """Check that rows lie in the pack, as a remote says that they do.  CorruptObject."""
    for each in rows:
        # A larger file is in parts, each a content of its own.
        if each.size > WHOLE_MAX or _end(each) > promise.pack_size:
            raise CorruptObject(f"object {each.oid.hex()} has an impossible place in its pack")


def _decoded(
    promise: Promise, rows: Iterable[Promise], first: Promise, data: bytes
) -> list[RemoteObject]:
    """Return the contents in a range, each checked against its id.

    CorruptObject if it is the wanted one that is not what its id says; whoever needs one of the
    others is told then.
    """
    objects = []
    for each in rows:
        at = each.offset - first.offset
        body = data[at : at + each.stored_bytes]
        try:
            objects.append(decoded_object(Kind.BLOB, each.codec, body, each.size, each.oid))
        except CorruptObject:
            if each.oid == promise.oid:
                raise
    return objects
