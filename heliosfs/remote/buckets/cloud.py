"""Bucket in object storage that is reached over HTTP: S3, Google Cloud Storage, Azure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from heliosfs.remote.bucket import (
    Changed,
    Got,
    Lying,
    NoObject,
    StoredObject,
    Unreachable,
)
from heliosfs.remote.buckets.cloud_errors import Failures, is_answer, is_beyond_end, is_conflict
from heliosfs.remote.buckets.object_keys import check_key, is_key
from heliosfs.remote.buckets.watching import Silent, watched
from heliosfs.store.remembered import TwoGenerationCache

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ObjectStore

_PAGE_COUNT = 1000
_GENERATIONS_COUNT = 10_000
LARGE_BYTES = 1024 * 1024
"""Size above which an object may take longer to send than a small request waits for its answer."""
SLOWEST_BYTES = 16 * 1024
"""Bytes per second of the slowest link on which a large object is not given up."""
_ANSWER_SECONDS = 60.0
"""Time for the answer to a large object, beyond that of its bytes."""
_CONFLICT_COUNT = 5
"""Attempts to create an object while another request for it is under way."""


class CloudBucket:
    """Bucket in S3, or what has its requests, Google Cloud Storage or Azure, by `obstore`.

    A version is the ETag: in S3 and Google Cloud Storage a digest of the content, so that A-B-A
    passes for A, and in Azure a time.  Google Cloud Storage compares generations, not ETags: those
    that were seen last are remembered, and asked for before a swap if they are not (a request).

    Requests that fail with 5xx, 429 or a broken connection are repeated, with pauses that grow; so
    Changed may also mean that an answer was lost, and the object is our own.

    A request waits for the limits that `cloud_settings` sets; an object larger than `LARGE_BYTES`
    is sent as long as the server answers others meanwhile (`watching`).

    `delete` with a version is two requests, of which the second has no condition: what is written
    between them is deleted, too.
    """

    def __init__(
        self,
        store: ObjectStore,
        failures: Failures,
        *,
        has_generations: bool,
        slow: Callable[[], ObjectStore] | None = None,
    ) -> None:
        """Use a store of `obstore`, below its prefix.

        `slow` makes one whose requests wait for longer, by which large objects are sent.
        """
        self._store = store
        self._make_slow = slow
        self._slow: ObjectStore | None = None
        self.has_failed = False
        """True if the storage did not answer, or refused the credentials."""
        self._failures = failures
        self._has_generations = has_generations
        self._generations: TwoGenerationCache[str] = TwoGenerationCache(_GENERATIONS_COUNT)

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        """Return bytes and version, in one request, or two behind the end.  NoObject."""
        import obstore

        check_key(key)
        if length == 0:
            return Got(b"", self._version(key))
        options: GetOptions = {}
        if length is not None:
            options["range"] = (start, start + length)
        elif start:
            options["range"] = {"offset": start}
        with self._told(f"read {key}", key):
            try:
                result = obstore.get(self._store, key, options=options or None)
                data = bytes(result.bytes())
            except obstore.exceptions.GenericError as error:
                if not options or not is_beyond_end(error):
                    raise
                return self._nothing(key, start)
            size = result.meta["size"]
            end = size if length is None else min(size, start + length)
            if len(data) != end - start:
                raise Lying(
                    f"{self._failures.place} returned {len(data)} bytes of {key}, where "
                    f"{end - start} were asked for"
                )
            return Got(data, self._noted(key, dict(result.meta)))

    def create(self, key: str, data: bytes) -> str:
        """Store a new object.  Changed."""
        import obstore

        check_key(key)

        def put() -> str:
            return self._noted(key, self._sent(key, data, "create"))

        with self._told(f"create {key}", key):
            try:
                return _without_conflicts(put)
            except (
                obstore.exceptions.AlreadyExistsError,
                obstore.exceptions.PreconditionError,
            ) as error:
                # It says nothing of an object: who heard Changed would take it for there.
                if is_conflict(error):
                    raise
                raise Changed(
                    f"there is an object {key} in {self._failures.place} already"
                ) from None
            except FileNotFoundError:
                raise self._failures.no_bucket() from None

    def swap(self, key: str, data: bytes, expected: str) -> str:
        """Replace an object.  Changed."""
        import obstore

        check_key(key)
        with self._told(f"replace {key}", key):
            try:
                # A key of None in the place of a missing one is refused.
                mode: Any = {"e_tag": expected}
                if self._has_generations:
                    mode["version"] = self._generation(key, expected)
                return self._noted(key, self._sent(key, data, mode))
            except (
                FileNotFoundError,
                obstore.exceptions.AlreadyExistsError,
                obstore.exceptions.PreconditionError,
            ) as error:
                self._failures.check_bucket(error)
                raise self._changed(key) from None

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        """Return objects by key."""
        import obstore

        # Only whole parts of keys can be asked for.
        directory = prefix.rpartition("/")[0]
        last = after
        with self._told(f"list {prefix}", prefix):
            pages = obstore.list(
                self._store,
                directory or None,
                offset=_offset(prefix, after),
                chunk_size=_PAGE_COUNT,
            )
        while True:
            with self._told(f"list {prefix}", prefix):
                page = next(pages, None)
            if page is None:
                return
            for each in page:
                key = each["path"]
                if not key.startswith(prefix) and key > prefix:
                    return
                if not key.startswith(prefix) or key <= after or not is_key(key):
                    continue
                if key <= last:
                    raise Lying(f"{self._failures.place} lists {key} behind {last}, out of order")
                last = key
                modified_at = each["last_modified"].timestamp()
                yield StoredObject(key, each["size"], each["e_tag"] or "", modified_at)

    def delete(self, key: str, expected: str | None = None) -> None:
        """Delete an object.  Changed."""
        import obstore

        check_key(key)
        if expected is not None:
            try:
                if self._version(key) != expected:
                    raise self._changed(key)
            except NoObject:
                return
        with self._told(f"delete {key}", key):
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError as error:
                self._failures.check_bucket(error)

    def _sent(self, key: str, data: bytes, mode: Any) -> dict[str, Any]:
        """Send an object and return the answer; a large one as long as the server is there."""
        import obstore

        if len(data) <= LARGE_BYTES or self._make_slow is None:
            return dict(obstore.put(self._store, key, data, mode=mode, use_multipart=False))
        slow = self._slow = self._slow or self._make_slow()
        send = partial(obstore.put, slow, key, data, mode=mode, use_multipart=False)
        limit_seconds = _ANSWER_SECONDS + len(data) / SLOWEST_BYTES
        try:
            return dict(watched(send, partial(self._look, key), limit_seconds))
        except Silent:
            raise self._failures.too_slow(f"send {key}") from None

    def _look(self, key: str) -> None:
        """See whether the server answers anything at all, or raise an error of `obstore`."""
        import obstore

        try:
            obstore.head(self._store, key)
        except FileNotFoundError:
            pass
        except obstore.exceptions.BaseError as error:
            if not is_answer(error):
                raise

    @contextmanager
    def _told(self, what: str, key: str) -> Iterator[None]:
        """Turn errors of `obstore` into those of `bucket`, and note that the storage failed."""
        try:
            with self._failures.told(what, key):
                yield
        except Unreachable:
            self.has_failed = True
            raise

    def _changed(self, key: str) -> Changed:
        return Changed(
            f"the object {key} in {self._failures.place} is another version than was expected, or "
            "was deleted"
        )

    def _nothing(self, key: str, start: int) -> Got:
        """Return no bytes, after a range behind the end was refused."""
        import obstore

        meta = obstore.head(self._store, key)
        if start < meta["size"]:
            raise Lying(f"{self._failures.place} refuses a range that {key} has")
        return Got(b"", self._noted(key, dict(meta)))

    def _version(self, key: str) -> str:
        import obstore

        with self._told(f"look at {key}", key):
            return self._noted(key, dict(obstore.head(self._store, key)))

    def _noted(self, key: str, answer: dict[str, Any]) -> str:
        """Return the version in an answer, and remember its generation."""
        e_tag = answer["e_tag"]
        if not isinstance(e_tag, str):
            raise Lying(f"{self._failures.place} has no ETags, which a remote needs")
        if self._has_generations and answer["version"]:
            self._generations.put(f"{key}\0{e_tag}".encode(), answer["version"])
        return e_tag

    def _generation(self, key: str, expected: str) -> str:
        found = self._generations.get(f"{key}\0{expected}".encode())
        with suppress(NoObject):
            if found is None and self._version(key) == expected:
                found = self._generations.get(f"{key}\0{expected}".encode())
        if found is None:
            raise self._changed(key)
        return found


def _without_conflicts(put: Callable[[], str]) -> str:
    """Repeat a request that S3 refuses since another one for the same key is under way (409)."""
    pause = 0.05
    for _ in range(_CONFLICT_COUNT - 1):
        try:
            return put()
        except Exception as error:
            if not is_conflict(error):
                raise
        time.sleep(pause)
        pause *= 2
    return put()


def _offset(prefix: str, after: str) -> str | None:
    """Return a key that is not greater than the first that is wanted, but close to it."""
    name = prefix.rpartition("/")[2]
    below = ""
    if name:
        # Names that begin with the character before the last one of the prefix end before it.
        below = f"{prefix[:-1]}{chr(ord(prefix[-1]) - 1)}~"
    offset = max(after, below).rstrip("/")
    return offset if is_key(offset) else None
