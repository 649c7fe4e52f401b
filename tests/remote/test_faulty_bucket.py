"""The bucket that fails: each fault does what it says, and a seed repeats it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliosfs.errors import HeliosError
from heliosfs.remote.bucket import Changed, Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from tests.remote.faulty import EVERYTHING, Faults, FaultyBucket, ThrottledBucket


def run(bucket: FaultyBucket) -> list[str]:
    """Return what became of some requests."""
    told = []
    for number in range(300):
        key = f"refs/{number % 7}"
        try:
            if number % 5 == 4:
                told.append(str([(each.key, each.version) for each in bucket.list("refs/")]))
            elif number % 11 == 10:
                bucket.delete(key)
            elif number % 3:
                told.append(bucket.create(key, b"%d" % number))
            else:
                got = bucket.get(key)
                told.append(str(got))
                bucket.swap(key, b"%d" % number, got.version)
        except HeliosError as error:
            told.append(f"{type(error).__name__} {error}")
    return told


def test_a_seed_repeats_all_faults() -> None:
    first, second, other = (FaultyBucket(MemoryBucket(), seed) for seed in (1, 1, 2))
    told = run(first)
    assert told == run(second)
    assert told != run(other)
    assert set(first.seen) == {
        "burst",
        "conflict",
        "truncation",
        "lost_answer",
        "repetition",
        "late_listing",
    }
    assert all(first.seen.values())


def test_without_faults_it_is_the_bucket() -> None:
    faulty = FaultyBucket(MemoryBucket(), 1, Faults())
    assert run(faulty) == run(FaultyBucket(MemoryBucket(), 2, Faults()))
    assert not +faulty.seen


@pytest.mark.parametrize(
    ("faults", "error", "is_done"),
    [
        (Faults(burst=1.0), Unreachable, False),
        (Faults(conflict=1.0), Unreachable, False),
        (Faults(lost_answer=1.0), Unreachable, True),
        (Faults(repetition=1.0), Changed, True),
    ],
)
def test_a_fault_that_is_told(faults: Faults, error: type[HeliosError], is_done: bool) -> None:
    inner = MemoryBucket()
    faulty = FaultyBucket(inner, 1, faults)
    with pytest.raises(error):
        faulty.create("a", b"1")
    assert [each.key for each in inner.list("")] == ["a"] * is_done
    faulty.calm()
    if not is_done:
        faulty.create("a", b"1")
    assert faulty.get("a").data == b"1"


def test_listings_are_late_and_then_right() -> None:
    faulty = FaultyBucket(MemoryBucket(), 1, Faults(late_listing=1.0, skew_seconds=60.0))
    first = faulty.create("a", b"1")
    assert list(faulty.list("")) == []
    listings = [list(faulty.list("")) for _ in range(Faults.late_count)]
    assert [each.version for each in listings[-1]] == [first]
    second = faulty.swap("a", b"2", first)
    assert [each.version for each in faulty.list("")] == [first]
    assert faulty.get("a").version == second
    faulty.calm()
    assert [each.version for each in faulty.list("")] == [second]


def test_a_range_is_cut() -> None:
    faulty = FaultyBucket(MemoryBucket(), 1, replace(EVERYTHING, truncation=1.0, burst=0.0))
    faulty.bucket.create("a", bytes(100))
    assert len(faulty.get("a").data) < 100


def test_a_slow_link_counts() -> None:
    bucket = ThrottledBucket(MemoryBucket(), latency_seconds=0.0, bytes_per_second=1e12)
    version = bucket.create("a", bytes(10))
    bucket.delete("b")
    assert len(bucket.get("a", 0, 4).data) == 4
    assert [each.key for each in bucket.list("")] == ["a"]
    bucket.swap("a", bytes(5), version)
    assert bucket.requests == {"create": 1, "delete": 1, "get": 1, "list": 1, "swap": 1}
    assert (bucket.sent_bytes, bucket.received_bytes) == (15, 4)
