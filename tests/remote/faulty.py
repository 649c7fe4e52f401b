"""Bucket that fails as storages do, by a seed; and one behind a slow link, for figures."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from heliosfs.remote.bucket import Bucket, Changed, Got, StoredObject, Unreachable
from heliosfs.remote.buckets.memory import PAGE_COUNT


@dataclass(frozen=True)
class Faults:
    """Chances of each fault, from 0 to 1, at one request."""

    burst: float = 0.0
    """A burst of failures (503) begins; nothing is done in it."""
    burst_count: int = 3
    """Largest number of requests that fail in a burst."""
    conflict: float = 0.0
    """A swap is refused (Changed, 409), or a create (Unreachable), although nobody else was
    quicker; nothing is done."""
    truncation: float = 0.0
    """A range is answered with fewer bytes than there are, as if that were all."""
    lost_answer: float = 0.0
    """A change is made, and the answer is lost."""
    repetition: float = 0.0
    """The same, and the request was repeated below: Changed, by what it did itself."""
    late_listing: float = 0.0
    """Listings do not show a change at first: what was created is missing, what was replaced or
    deleted is as before."""
    late_count: int = 5
    """Largest number of listings in which it is missing."""
    skew_seconds: float = 0.0
    """Seconds by which the clock of the storage is ahead of that of who asks."""


EVERYTHING = Faults(
    burst=0.03,
    conflict=0.05,
    truncation=0.03,
    lost_answer=0.05,
    repetition=0.05,
    late_listing=0.3,
    skew_seconds=3600.0,
)
"""All faults at once, each of them often."""


@dataclass
class _Late:
    """A change that listings do not show yet."""

    before: StoredObject | None
    left: int


@dataclass
class FaultyBucket:
    """Bucket that passes on to another one, and fails by a seed: the same requests fail again.

    The order of requests decides, so that it is repeated only by one thread.  `calm` ends faults,
    and what listings still owed is shown.
    """

    bucket: Bucket
    seed: int
    faults: Faults = EVERYTHING
    seen: Counter[str] = field(default_factory=Counter)
    """Number of faults, by the field of `Faults`."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._failing = 0
        self._late: dict[str, _Late] = {}

    def calm(self) -> None:
        self.faults = Faults(skew_seconds=self.faults.skew_seconds)
        self._failing = 0
        self._late.clear()

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        self._begin(f"get {key}")
        got = self.bucket.get(key, start, length)
        if got.data and self._happens("truncation", self.faults.truncation):
            got = got._replace(data=got.data[: self._random.randrange(len(got.data))])
        return got

    def create(self, key: str, data: bytes) -> str:
        self._begin(f"create {key}")
        if self._happens("conflict", self.faults.conflict):
            raise Unreachable(f"409 for {key}")
        version = self.bucket.create(key, data)
        self._delay(key, None)
        self._end(f"create {key}")
        return version

    def swap(self, key: str, data: bytes, expected: str) -> str:
        self._begin(f"swap {key}")
        if self._happens("conflict", self.faults.conflict):
            raise Changed(f"409 for {key}")
        before = self._stored(key)
        version = self.bucket.swap(key, data, expected)
        self._delay(key, before)
        self._end(f"swap {key}")
        return version

    def delete(self, key: str, expected: str | None = None) -> None:
        self._begin(f"delete {key}")
        before = self._stored(key)
        self.bucket.delete(key, expected)
        if before is not None:
            self._delay(key, before)
        if self._happens("lost_answer", self.faults.lost_answer):
            raise Unreachable(f"the answer to delete {key} was lost")

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        self._begin(f"list {prefix}")
        there = {each.key: each for each in self.bucket.list(prefix, after)}
        for key in [key for key in self._late if key.startswith(prefix) and key > after]:
            late = self._late[key]
            late.left -= 1
            if late.left < 0:
                del self._late[key]
            elif late.before is None:
                there.pop(key, None)
            else:
                there[key] = late.before
        for key in sorted(there):
            each = there[key]
            yield each._replace(modified_at=each.modified_at + self.faults.skew_seconds)

    def _happens(self, name: str, chance: float) -> bool:
        is_now = self._random.random() < chance
        self.seen[name] += is_now
        return is_now

    def _begin(self, what: str) -> None:
        if not self._failing and self._happens("burst", self.faults.burst):
            self._failing = self._random.randint(1, self.faults.burst_count)
        if self._failing:
            self._failing -= 1
            raise Unreachable(f"503 for {what}")

    def _end(self, what: str) -> None:
        if self._happens("lost_answer", self.faults.lost_answer):
            raise Unreachable(f"the answer to {what} was lost")
        if self._happens("repetition", self.faults.repetition):
            raise Changed(f"{what} was repeated, and found what it had done")

    def _stored(self, key: str) -> StoredObject | None:
        return next((each for each in self.bucket.list(key) if each.key == key), None)

    def _delay(self, key: str, before: StoredObject | None) -> None:
        if not self._happens("late_listing", self.faults.late_listing):
            self._late.pop(key, None)
        elif key in self._late:
            self._late[key].left = self._random.randint(1, self.faults.late_count)
        else:
            self._late[key] = _Late(before, self._random.randint(1, self.faults.late_count))


class ThrottledBucket:
    """Bucket behind a link of some latency and bandwidth, with counters; time passes by `sleep`.

    Requests wait for their latency side by side, and for the bandwidth one behind the other.
    """

    def __init__(
        self, bucket: Bucket, latency_seconds: float = 0.02, bytes_per_second: float = 100e6
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.sent_bytes = 0
        self.received_bytes = 0
        self._bucket = bucket
        self._latency_seconds = latency_seconds
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        self._ask("get")
        got = self._bucket.get(key, start, length)
        self._pass(received=len(got.data))
        return got

    def create(self, key: str, data: bytes) -> str:
        self._ask("create", len(data))
        return self._bucket.create(key, data)

    def swap(self, key: str, data: bytes, expected: str) -> str:
        self._ask("swap", len(data))
        return self._bucket.swap(key, data, expected)

    def delete(self, key: str, expected: str | None = None) -> None:
        self._ask("delete")
        self._bucket.delete(key, expected)

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        self._ask("list")
        for number, each in enumerate(self._bucket.list(prefix, after), 1):
            yield each
            if number % PAGE_COUNT == 0:
                self._ask("list")

    def _ask(self, method: str, size: int = 0) -> None:
        with self._lock:
            self.requests[method] += 1
        time.sleep(self._latency_seconds)
        self._pass(sent=size)

    def _pass(self, sent: int = 0, received: int = 0) -> None:
        with self._lock:
            self.sent_bytes += sent
            self.received_bytes += received
            begin = max(self._free_at, time.monotonic())
            self._free_at = begin + (sent + received) / self._bytes_per_second
            pause = self._free_at - time.monotonic()
        time.sleep(max(0.0, pause))
