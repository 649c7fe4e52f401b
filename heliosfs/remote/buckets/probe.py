"""Probe of a storage: does it refuse what it must refuse?"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress

from heliosfs.errors import HeliosError
from heliosfs.remote.bucket import Bucket, Changed, Lying, NoObject

_PREFIX = "probe/"
"""Beginning of the keys of objects that a probe makes, and deletes at the end."""
_OLD_SECONDS = 86_400
"""Age from which such an object is taken for what a killed probe has left."""


def probe(bucket: Bucket) -> None:
    """Check that a storage keeps the promises of `Bucket`; about 19 requests.

    Raise Lying, which says what was seen, and Unreachable.  Servers are common that have the
    requests of S3, ignore their conditions, and overwrite: two pushes at once would then lose one.
    """
    key = f"{_PREFIX}{secrets.token_hex(16)}"
    other = f"{key}-other"
    try:
        first = _check_create(bucket, key)
        second = _check_swap(bucket, key, other, first)
        _check_reads(bucket, key, second)
        _sweep(bucket, key)
        _check_delete(bucket, key, first, second)
    finally:
        for each in (key, other):
            with suppress(HeliosError):
                bucket.delete(each)


def _check_create(bucket: Bucket, key: str) -> str:
    version = bucket.create(key, b"first")
    if _is_accepted(lambda: bucket.create(key, b"usurper")):
        raise _lying("an object was created that was there already", "If-None-Match: *")
    _expect(bucket, key, b"first", "an object was altered by a request that was refused")
    return version


def _check_swap(bucket: Bucket, key: str, other: str, first: str) -> str:
    foreign = bucket.create(other, b"another object")
    if _is_accepted(lambda: bucket.swap(key, b"usurper", foreign)):
        raise _lying("an object was replaced with a wrong version expected", "If-Match")
    second = bucket.swap(key, b"the second", first)
    if _is_accepted(lambda: bucket.swap(key, b"usurper", first)):
        raise _lying("an object was replaced with an old version expected", "If-Match")
    _expect(bucket, key, b"the second", "an object was altered by a request that was refused")
    return second


def _check_reads(bucket: Bucket, key: str, version: str) -> None:
    got = bucket.get(key, 4, 3)
    if got.data != b"sec":
        raise Lying(f"the storage answered a request for 3 bytes with {len(got.data)} others")
    if got.version != version:
        raise Lying("the storage names another version when it is read than when it was written")
    listed = [each for each in bucket.list(key) if each.key == key]
    if not listed:
        raise Lying("the storage does not list an object that was just created")
    if listed[0].size != len(b"the second") or listed[0].version != version:
        raise Lying("the storage lists another size or version than was just written")


def _sweep(bucket: Bucket, key: str) -> None:
    """Delete what killed probes have left, by the clock of the storage."""
    left = {each.key: each for each in bucket.list(_PREFIX)}
    # Its own object is there, or `_check_reads` would have said so.
    before = left[key].modified_at - _OLD_SECONDS if key in left else 0
    for each in left.values():
        if each.modified_at < before:
            with suppress(HeliosError):
                bucket.delete(each.key, each.version)


def _check_delete(bucket: Bucket, key: str, old: str, version: str) -> None:
    if _is_accepted(lambda: bucket.delete(key, old)):
        raise _lying("an object was deleted with an old version expected", "If-Match")
    bucket.delete(key, version)
    try:
        bucket.get(key)
    except NoObject:
        pass
    else:
        raise Lying("the storage still returns an object that was deleted")
    if _is_accepted(lambda: bucket.swap(key, b"usurper", version)):
        raise _lying("an object was replaced that was deleted before", "If-Match")


def _expect(bucket: Bucket, key: str, data: bytes, otherwise: str) -> None:
    if bucket.get(key).data != data:
        raise Lying(otherwise)


def _is_accepted(request: Callable[[], object]) -> bool:
    try:
        request()
    except Changed:
        return False
    return True


def _lying(seen: str, condition: str) -> Lying:
    return Lying(
        f"{seen}: the storage ignores conditions ({condition}), so that pushes at the same time "
        "would overwrite each other; use one that obeys them"
    )
