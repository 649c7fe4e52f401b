"""Bucket in memory, with counters and hooks, for tests and simulations."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, takewhile

from heliosfs.remote.bucket import Changed, Got, NoObject, StoredObject
from heliosfs.remote.buckets.object_keys import check_key

PAGE_COUNT = 1000
"""Number of objects that one request of a listing returns, as those of S3 do."""

Hook = Callable[[str, str], None]
"""Function that is called with the name of a method and a key (for `list`, the prefix)."""


class MemoryBucket:
    """Bucket that lasts as long as the process, and behaves as S3 does: every request is atomic.

    Versions are numbers that are never used twice, so that A-B-A is detected.

    `before` is called ahead of each request and `after` behind it, with no lock held: either may
    raise, wait, stop the process, or use the bucket itself.  What `before` raises leaves the bucket
    as it was; what `after` raises stands for an answer that was lost.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Make an empty bucket, whose clock is `now`, in seconds since 1970."""
        self.requests: Counter[str] = Counter()
        """Number of requests by method; a listing counts one for each page."""
        self.sent_bytes = 0
        """Bytes that `create` and `swap` were given."""
        self.received_bytes = 0
        """Bytes that `get` has returned."""
        self.before: Hook | None = None
        self.after: Hook | None = None
        self._now = now
        self._lock = threading.Lock()
        self._count = 0
        self._data: dict[str, bytes] = {}
        self._stored: dict[str, StoredObject] = {}
        self._keys: list[str] = []
        """All keys, sorted."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        """Return bytes and version.  NoObject."""
        self._begin("get", key)
        with self._lock:
            if key not in self._data:
                raise NoObject(f"there is no object {key}")
            end = None if length is None else start + length
            got = Got(self._data[key][start:end], self._stored[key].version)
            self.received_bytes += len(got.data)
        self._end("get", key)
        return got

    def create(self, key: str, data: bytes) -> str:
        """Store a new object.  Changed."""
        self._begin("create", key)
        with self._lock:
            self.sent_bytes += len(data)
            if key in self._data:
                raise Changed(f"there is an object {key} already")
            version = self._put(key, data)
        self._end("create", key)
        return version

    def swap(self, key: str, data: bytes, expected: str) -> str:
        """Replace an object.  Changed."""
        self._begin("swap", key)
        with self._lock:
            self.sent_bytes += len(data)
            self._check_version(key, expected)
            version = self._put(key, data)
        self._end("swap", key)
        return version

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        """Return objects by key, as they are when their page is read."""
        while True:
            self._begin("list", prefix)
            with self._lock:
                page = [self._stored[key] for key in self._page(prefix, after)]
            self._end("list", prefix)
            yield from page
            if len(page) < PAGE_COUNT:
                return
            after = page[-1].key

    def delete(self, key: str, expected: str | None = None) -> None:
        """Delete an object.  Changed."""
        self._begin("delete", key)
        with self._lock:
            if expected is not None and key in self._data:
                self._check_version(key, expected)
            if self._data.pop(key, None) is not None:
                del self._stored[key], self._keys[bisect_left(self._keys, key)]
        self._end("delete", key)

    def _begin(self, method: str, key: str) -> None:
        if method != "list":
            check_key(key)
        with self._lock:
            self.requests[method] += 1
        if self.before is not None:
            self.before(method, key)

    def _end(self, method: str, key: str) -> None:
        if self.after is not None:
            self.after(method, key)

    def _page(self, prefix: str, after: str) -> Iterator[str]:
        first = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        keys = islice(self._keys, first, first + PAGE_COUNT)
        return takewhile(lambda key: key.startswith(prefix), keys)

    def _check_version(self, key: str, expected: str) -> None:
        stored = self._stored.get(key)
        if stored is None:
            raise Changed(f"the object {key} was deleted")
        if stored.version != expected:
            raise Changed(f"the object {key} is another version than was expected")

    def _put(self, key: str, data: bytes) -> str:
        self._count += 1
        if key not in self._data:
            insort(self._keys, key)
        version = f'"{self._count}"'
        self._data[key] = bytes(data)
        self._stored[key] = StoredObject(key, len(data), version, self._now())
        return version
