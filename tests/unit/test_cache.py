"""L1."""

from __future__ import annotations

from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.cache import ENTRY_OVERHEAD_BYTES, CachedObject, ObjectCache
from heliosfs.store.encoding.codecs import Codec


def oid(number: int) -> Oid:
    return Oid(number.to_bytes(32, "big"))


def entry(size: int) -> CachedObject:
    return CachedObject(Kind.BLOB, size, Codec.RAW, bytes(size))


def test_hits_and_misses_are_counted() -> None:
    cache = ObjectCache(10_000)
    assert cache.get(oid(1)) is None
    cache.put(oid(1), entry(10))
    assert cache.get(oid(1)) == entry(10)
    assert oid(1) in cache
    assert (cache.hits, cache.misses) == (1, 1)


def held(cache: ObjectCache) -> list[int]:
    return [number for number in range(100) if oid(number) in cache]


def test_it_stays_within_its_bytes_and_drops_what_was_used_longest_ago() -> None:
    cache = ObjectCache(4 * (100 + ENTRY_OVERHEAD_BYTES))
    for number in range(4):
        cache.put(oid(number), entry(100))
    cache.get(oid(0))
    cache.put(oid(4), entry(100))
    assert held(cache) == [0, 2, 3, 4]
    assert cache.used_bytes == cache.capacity_bytes
    cache.put(oid(5), entry(101))
    assert held(cache) == [0, 4, 5]
    assert cache.used_bytes == 301 + 3 * ENTRY_OVERHEAD_BYTES
    cache.resize(100 + ENTRY_OVERHEAD_BYTES)
    assert held(cache) == [0]
    cache.resize(0)
    assert (len(cache), cache.used_bytes) == (0, 0)


def test_what_passes_through_once_leaves_what_is_used_again() -> None:
    cache = ObjectCache(40 * (100 + ENTRY_OVERHEAD_BYTES))
    for number in range(20):
        cache.put(oid(number), entry(100))
        cache.get(oid(number))
    for number in range(1_000, 2_000):
        cache.put(oid(number), entry(100))
    assert held(cache) == list(range(20))
    assert len(cache) == 40
    for number in range(20, 60):
        cache.put(oid(number), entry(100))
        cache.get(oid(number))
    cache.put(oid(60), entry(100))
    assert held(cache) == list(range(30, 61))
    assert len(cache) == 40


def test_an_entry_put_again_counts_once() -> None:
    cache = ObjectCache(10_000)
    for _ in range(3):
        cache.put(oid(1), entry(100))
        assert len(cache) == 1
        assert cache.used_bytes == 100 + ENTRY_OVERHEAD_BYTES
        cache.get(oid(1))


def test_an_entry_larger_than_everything_drops_nothing() -> None:
    cache = ObjectCache(1_000)
    cache.put(oid(1), entry(10))
    cache.put(oid(2), entry(1_000))
    assert oid(1) in cache
    assert oid(2) not in cache
