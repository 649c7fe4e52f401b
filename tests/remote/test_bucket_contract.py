"""Contract of buckets: the same tests for every storage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heliosfs.errors import UsageError
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from tests.remote.storages import AS_FILES, STORAGES, Opener

RACERS_COUNT = 4
ROUNDS_COUNT = 15


@pytest.fixture(params=list(STORAGES))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with STORAGES[request.param](tmp_path) as opener:
        yield opener


@pytest.fixture
def bucket(opener: Opener) -> Bucket:
    return opener()


@pytest.fixture(params=[name for name in STORAGES if name not in AS_FILES])
def flat_bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket whose storage keeps keys as they are, and does not make directories of them."""
    with STORAGES[request.param](tmp_path) as opener:
        yield opener()


def keys(bucket: Bucket, prefix: str = "", after: str = "") -> list[str]:
    return [each.key for each in bucket.list(prefix, after)]


def test_an_object_is_read_as_it_was_created(bucket: Bucket) -> None:
    version = bucket.create("refs/heads/main", b"one")
    assert bucket.get("refs/heads/main") == (b"one", version)


def test_an_object_is_created_once(bucket: Bucket) -> None:
    version = bucket.create("format", b"1")
    with pytest.raises(Changed, match="format"):
        bucket.create("format", b"2")
    with pytest.raises(Changed):
        bucket.create("format", b"1")
    assert bucket.get("format") == (b"1", version)


def test_a_version_is_replaced_once(bucket: Bucket) -> None:
    first = bucket.create("ref", b"1")
    second = bucket.swap("ref", b"2", first)
    assert second != first
    assert bucket.get("ref") == (b"2", second)
    with pytest.raises(Changed, match="ref"):
        bucket.swap("ref", b"3", first)
    assert bucket.get("ref") == (b"2", second)
    assert bucket.swap("ref", b"3", second) == bucket.get("ref").version


def test_an_object_that_is_not_there_is_not_replaced(bucket: Bucket) -> None:
    with pytest.raises(Changed):
        bucket.swap("no/such", b"", '"0123456789abcdef0123456789abcdef"')
    version = bucket.create("ref", b"1")
    bucket.delete("ref")
    with pytest.raises(Changed, match="ref"):
        bucket.swap("ref", b"2", version)
    assert keys(bucket) == []


@pytest.mark.parametrize("key", ["missing", "refs/heads/missing", "there/below"])
def test_a_missing_object(bucket: Bucket, key: str) -> None:
    bucket.create("there", b"")
    with pytest.raises(NoObject, match=key):
        bucket.get(key)
    with pytest.raises(NoObject):
        bucket.get(key, 1, 2)
    bucket.delete(key)
    bucket.delete(key, '"0123456789abcdef0123456789abcdef"')
    assert keys(bucket, key) == []


def test_ranges(bucket: Bucket) -> None:
    data = bytes(range(256)) * 40
    version = bucket.create("pack", data)
    for start, length in ((0, 1), (0, len(data)), (17, 300), (len(data) - 1, 1), (5, 0)):
        assert bucket.get("pack", start, length) == (data[start : start + length], version)
    # Fewer at the end, and none behind it.
    assert bucket.get("pack", len(data) - 3, 100) == (data[-3:], version)
    assert bucket.get("pack", len(data) - 3) == (data[-3:], version)
    assert bucket.get("pack", 10_000) == (data[10_000:], version)
    assert bucket.get("pack", len(data), 10) == (b"", version)
    assert bucket.get("pack", len(data) + 5) == (b"", version)


def test_an_empty_object(bucket: Bucket) -> None:
    version = bucket.create("empty", b"")
    assert bucket.get("empty") == (b"", version)
    assert bucket.get("empty", 0, 10) == (b"", version)
    assert [(each.size, each.version) for each in bucket.list("")] == [(0, version)]
    assert bucket.get("empty", 0).version == version
    assert bucket.swap("empty", b"full", version) == bucket.get("empty").version


def test_an_object_of_8_mib(bucket: Bucket) -> None:
    data = bytes(range(251)) * ((8 << 20) // 251 + 1)
    version = bucket.create("packs/large", data)
    got = bucket.get("packs/large")
    assert got.version == version
    assert got.data == data
    assert bucket.get("packs/large", 5 << 20, 3000).data == data[5 << 20 :][:3000]
    assert next(iter(bucket.list("packs/"))).size == len(data)


def test_an_object_is_listed_with_what_swap_expects(bucket: Bucket) -> None:
    begun_at = time.time()
    bucket.create("refs/a", b"1")
    bucket.create("refs/b", b"22")
    first, second = bucket.list("refs/")
    assert (first.key, first.size, second.key, second.size) == ("refs/a", 1, "refs/b", 2)
    # Whole seconds, as some storages tell them, of this machine's clock or one like it.
    assert begun_at - 60 < first.modified_at < time.time() + 60
    bucket.swap("refs/a", b"3", first.version)
    bucket.delete("refs/b", second.version)
    assert keys(bucket) == ["refs/a"]
    assert next(iter(bucket.list(""))).version == bucket.get("refs/a").version


def test_an_object_is_deleted_if_it_is_the_version(bucket: Bucket) -> None:
    first = bucket.create("lease", b"1")
    second = bucket.swap("lease", b"2", first)
    with pytest.raises(Changed, match="lease"):
        bucket.delete("lease", first)
    assert bucket.get("lease").data == b"2"
    bucket.delete("lease", second)
    with pytest.raises(NoObject):
        bucket.get("lease")
    bucket.delete("lease", second)
    bucket.create("lease", b"3")
    bucket.delete("lease")
    assert keys(bucket) == []


def test_an_object_may_have_others_below_or_beside(flat_bucket: Bucket) -> None:
    check_listings(
        flat_bucket,
        ["a", "a-b", "a.d", "a.d/a", "a.x", "a/b", "a/b-", "a/b.d/c", "a/b.m", "a/b/d", "a0"],
    )


def test_a_listing_is_by_prefix_and_by_key(bucket: Bucket) -> None:
    check_listings(bucket, ["a.d_", "a.x", "a0", "b/b-", "b/c.d/c", "b/c.m", "b/d", "c/a"])


def check_listings(bucket: Bucket, names: list[str]) -> None:
    for name in reversed(names):
        bucket.create(name, name.encode())
    assert keys(bucket) == names
    for prefix in ("a", "a/", "a/b", "a.", "b", "c", "a/b.d/"):
        assert keys(bucket, prefix) == [name for name in names if name.startswith(prefix)]
    for after in [*names, "a!", "a/", "a/b/", "zz"]:
        assert keys(bucket, "", after) == [name for name in names if name > after]
        assert keys(bucket, "a/", after) == [
            name for name in names if name.startswith("a/") and name > after
        ]
    for name in names:
        assert bucket.get(name).data == name.encode()


def test_a_listing_has_more_than_a_page(bucket: Bucket) -> None:
    names = [f"refs/heads/{number:04}" for number in range(1001)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: bucket.create(name, b""), names))
    assert keys(bucket, "refs/") == names
    assert keys(bucket, "refs/", names[0]) == names[1:]
    assert keys(bucket, "refs/", names[-2]) == names[-1:]
    assert keys(bucket, "refs/", names[-1]) == []


ODD = [
    "refs/heads/a b",
    "refs/heads/%2F%25",
    "refs/heads/a%20b",
    "refs/heads/a+b",
    "refs/heads/a&b=c;d",
    "refs/heads/~!@$*(){}[]<>|^`',:",
    'refs/heads/"#?',
    "refs/heads/a.lock..b...",
    "refs/heads/-",
    "refs/heads/" + 240 * "x",
]


@pytest.mark.parametrize("key", ODD)
def test_an_odd_key(bucket: Bucket, key: str) -> None:
    check_key_is_kept(bucket, key)


def test_a_long_part_of_a_key(flat_bucket: Bucket) -> None:
    check_key_is_kept(flat_bucket, f"refs/heads/{700 * 'x'}")


def check_key_is_kept(bucket: Bucket, key: str) -> None:
    version = bucket.create(key, b"1")
    assert bucket.get(key) == (b"1", version)
    assert bucket.get(key, 0, 1) == (b"1", version)
    assert keys(bucket) == [key]
    assert keys(bucket, key[:-1]) == [key]
    bucket.delete(key, bucket.swap(key, b"2", version))
    assert keys(bucket) == []


def test_long_parts_of_keys_are_in_order(flat_bucket: Bucket) -> None:
    bucket = flat_bucket
    stem = 240 * "s"
    ends = ["", "!", "-", "/a", "/a/b", "0", "a", "a/b"]
    names = sorted(f"refs/{stem}{end}" for end in ends)
    for name in reversed(names):
        bucket.create(name, b"")
    assert keys(bucket) == names
    for name in names:
        assert keys(bucket, "", name) == [each for each in names if each > name]
        assert keys(bucket, name) == [each for each in names if each.startswith(name)]


@pytest.mark.parametrize(
    "key", ["", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/.", ".a", "ä", "a\n", "a\\b"]
)
def test_a_key_that_could_lead_elsewhere_is_refused(bucket: Bucket, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: bucket.get(key),
        lambda: bucket.create(key, b""),
        lambda: bucket.swap(key, b"", ""),
        lambda: bucket.delete(key),
    ]
    for call in calls:
        with pytest.raises(UsageError):
            call()
    with pytest.raises(UsageError):
        bucket.create(901 * "a", b"")
    assert keys(bucket) == []


def race(opener: Opener, attempt: Callable[[Bucket, int], str]) -> list[str | None]:
    """Return the version that each of some threads got, each with the storage opened anew."""
    together = threading.Barrier(RACERS_COUNT)

    def run(number: int) -> str | None:
        bucket = opener()
        together.wait(60)
        try:
            return attempt(bucket, number)
        except Changed:
            return None

    with ThreadPoolExecutor(RACERS_COUNT) as pool:
        return list(pool.map(run, range(RACERS_COUNT)))


def winner_of(versions: list[str | None]) -> tuple[int, str]:
    won = [(number, each) for number, each in enumerate(versions) if each is not None]
    assert len(won) == 1
    return won[0]


def test_one_of_several_creates(opener: Opener) -> None:
    bucket = opener()
    for round_number in range(ROUNDS_COUNT):
        key = f"refs/{round_number}"

        def attempt(bucket: Bucket, number: int, key: str = key) -> str:
            return bucket.create(key, b"%d" % number)

        number, version = winner_of(race(opener, attempt))
        assert bucket.get(key) == (b"%d" % number, version)


def test_one_of_several_replaces(opener: Opener) -> None:
    bucket = opener()
    version = bucket.create("ref", b"")
    for round_number in range(ROUNDS_COUNT):

        def attempt(
            bucket: Bucket, number: int, expected: str = version, round_number: int = round_number
        ) -> str:
            # Never the same bytes twice: the ETag of S3 is one of the content.
            return bucket.swap("ref", b"%d %d" % (round_number, number), expected)

        number, version = winner_of(race(opener, attempt))
        assert bucket.get("ref") == (b"%d %d" % (round_number, number), version)


def test_who_replaces_in_a_loop_loses_nothing(opener: Opener) -> None:
    """A counter that all of them increase, as a generation of a ref, is right at the end."""
    opener().create("counter", b"0")

    def increase(bucket: Bucket, number: int) -> str:
        for _ in range(ROUNDS_COUNT):
            while True:
                got = bucket.get("counter")
                try:
                    bucket.swap("counter", b"%d" % (int(got.data) + 1), got.version)
                    break
                except Changed:
                    continue
        return ""

    race(opener, increase)
    assert opener().get("counter").data == b"%d" % (RACERS_COUNT * ROUNDS_COUNT)
