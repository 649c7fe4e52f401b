"""L1."""

from __future__ import annotations

from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.cache import ENTRY_BYTES, Cached, ObjectCache
from heliosfs.store.codecs import Codec


def oid(number: int) -> Oid:
    return Oid(number.to_bytes(32, "big"))


def entry(size: int) -> Cached:
    return Cached(Kind.BLOB, size, Codec.RAW, bytes(size))


def test_hits_and_misses_are_counted() -> None:
    cache = ObjectCache(10_000)
    assert cache.get(oid(1)) is None
    cache.put(oid(1), entry(10))
    assert cache.get(oid(1)) == entry(10)
    assert oid(1) in cache
    assert (cache.hits, cache.misses) == (1, 1)


def test_it_stays_within_its_bytes_and_drops_what_was_used_longest_ago() -> None:
    cache = ObjectCache(3 * (100 + ENTRY_BYTES))
    for number in range(3):
        cache.put(oid(number), entry(100))
    cache.get(oid(0))
    cache.put(oid(3), entry(100))
    assert [number for number in range(4) if oid(number) in cache] == [0, 2, 3]
    assert cache.used_bytes == cache.capacity_bytes
    cache.put(oid(4), entry(101))
    assert [number for number in range(5) if oid(number) in cache] == [3, 4]
    assert cache.used_bytes == 201 + 2 * ENTRY_BYTES


def test_an_entry_put_again_counts_once() -> None:
    cache = ObjectCache(10_000)
    cache.put(oid(1), entry(100))
    cache.put(oid(1), entry(50))
    assert len(cache) == 1
    assert cache.used_bytes == 50 + ENTRY_BYTES


def test_an_entry_larger_than_everything_drops_nothing() -> None:
    cache = ObjectCache(1_000)
    cache.put(oid(1), entry(10))
    cache.put(oid(2), entry(1_000))
    assert oid(1) in cache
    assert oid(2) not in cache
