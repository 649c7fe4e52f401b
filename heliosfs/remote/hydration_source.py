"""A remote as hydration knows it: its bucket, how fast it is, and whether it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable

from heliosfs.errors import CorruptObject, HeliosError, Unfetched
from heliosfs.objects.ids import Oid
from heliosfs.remote.bucket import Bucket, Lying, NoObject
from heliosfs.remote.layout import pack_key
from heliosfs.store.promisefile import Promise

BESIDE_BYTES = 1024 * 1024
"""Bytes that are read with a content, when nothing is known of what comes next."""
AHEAD_MAX_BYTES = 8 * 1024 * 1024
"""Most bytes of a range, for readers that go on where the last one has ended."""
_RANGE_MIN_BYTES = 64 * 1024
_CLOSE_BYTES = 64 * 1024
"""Gap after which a reader still counts as going on."""
_RENEWED_SECONDS = 60.0
_SLOW_SECONDS = 1.0
_FAST_SECONDS = 0.25
LEFT_ALONE_MAX_SECONDS = 10.0
"""Longest time for which a remote that did not answer is left alone, from one second on."""
_PACKS_KEPT = 1024
_SPANS_KEPT = 64


class HydrationSource:
    """The storage of one remote.  The owner's thread calls all but `bucket` and `note_time`."""

    def __init__(
        self,
        remote: str,
        url: str,
        opening: Callable[[str], Bucket],
        now: Callable[[], float],
    ) -> None:
        self.url = url
        self._remote = remote
        self._opening = opening
        self._now = now
        self._lock = threading.Lock()
        self._bucket: Bucket | None = None
        self._most_bytes = AHEAD_MAX_BYTES
        """Most bytes of a range, as the link allows."""
        self._run_bytes = 0
        """Bytes of the last range, as they were chosen by what its reader did before."""
        self._spans: dict[bytes, list[tuple[int, int]]] = {}
        """Ranges of each pack that were read, the last one last."""
        self._failures = 0
        self._reason = ""
        self.is_renewing = False
        """True while somebody asks for the places of all contents anew."""
        self._renewed_at = -_RENEWED_SECONDS
        self._until = 0.0
        """Time until which it is left alone."""

    @property
    def bucket(self) -> Bucket:
        """The bucket, made at its first use, which loads a library.  On a thread."""
        with self._lock:
            if self._bucket is None:
                self._bucket = self._opening(self.url)
            return self._bucket

    def key(self, promise: Promise) -> str:
        """Return the key of the pack in which a content lies."""
        return pack_key(promise.pack)

    def shown(self, oid: Oid) -> str:
        """Return the beginning of a sentence about a content that is not here."""
        return f"content {oid.hex()[:12]} is still at the remote {self._remote!r}"

    def told(self, error: HeliosError) -> str:
        """Return the end of such a sentence, with the reason."""
        if isinstance(error, NoObject):
            return "which does not have it any more"
        if isinstance(error, CorruptObject | Lying):
            return f"which has something else in its place: {error}"
        return f"which cannot be reached: {error}"

    def begin_to_renew(self) -> bool:
        """Return True, once in a while, if the places of all contents may be asked for anew."""
        now = self._now()
        if now < self._renewed_at + _RENEWED_SECONDS:
            return False
        self._renewed_at = now
        self.is_renewing = True
        return True

    def check(self, oid: Oid) -> None:
        """Check that the remote may be asked.  Raise Unfetched while it is left alone."""
        if self._now() < self._until:
            raise Unfetched(f"{self.shown(oid)}, which cannot be reached: {self._reason}")

    def limit(self, promise: Promise) -> int:
        """Return the most bytes that are read with a content, more if its reader goes on."""
        spans = self._spans.get(promise.pack)
        if spans:
            start, end = spans[-1]
            goes_on, before = 0 <= promise.offset - end <= _CLOSE_BYTES, end - start
        else:
            # Where the pack before has ended.
            goes_on, before = promise.offset <= _CLOSE_BYTES, self._run_bytes
        run = 2 * before if goes_on else 0
        self._run_bytes = min(max(run, BESIDE_BYTES), AHEAD_MAX_BYTES)
        return min(self._run_bytes, self._most_bytes)

    def unread(self, promise: Promise, rows: list[Promise]) -> list[Promise]:
        """Return the rows around a content, up to those that were read before.  Any thread."""
        place, end = promise.offset, promise.offset + promise.stored_bytes
        spans = list(self._spans.get(promise.pack, ()))
        low = max((stop for _, stop in spans if stop <= place), default=0)
        high = min((start for start, _ in spans if start >= end), default=promise.pack_size)
        return [
            each
            for each in rows
            if each == promise or (each.offset >= low and each.offset + each.stored_bytes <= high)
        ]

    def note_time(self, received_bytes: int, seconds: float) -> None:
        """Let ranges become smaller where one took long, and larger where one did not."""
        if seconds > _SLOW_SECONDS:
            self._most_bytes = max(_RANGE_MIN_BYTES, received_bytes // 2)
        elif seconds < _FAST_SECONDS:
            self._most_bytes = min(AHEAD_MAX_BYTES, 2 * self._most_bytes)

    def note_success(self, pack: bytes, span: tuple[int, int]) -> None:
        """Note that a range has come, and that the remote answers."""
        self._failures, self._until = 0, 0.0
        spans = [*self._spans.pop(pack, ()), span]
        # A list that threads may read is never altered.
        self._spans[pack] = spans[-_SPANS_KEPT:]
        if len(self._spans) > _PACKS_KEPT:
            del self._spans[next(iter(self._spans))]

    def note_failure(self, reason: str) -> None:
        """Leave the remote alone for a while, each time for longer."""
        self._reason = reason
        now = self._now()
        # Several that were on their way fail together, and count as one.
        if now >= self._until:
            self._until = now + min(2.0**self._failures, LEFT_ALONE_MAX_SECONDS)
            self._failures = min(self._failures + 1, 10)
