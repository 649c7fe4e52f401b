"""Probe: storages that keep their promises pass, and leave nothing; each kind of lie is named."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.remote.bucket import Got, Lying, NoObject, StoredObject, Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.buckets.probe import probe
from heliosfs.remote.buckets.shared_directory import DirectoryBucket
from tests.remote.storages import STORAGES


@pytest.mark.parametrize("name", list(STORAGES))
def test_a_storage_that_keeps_its_promises(name: str, tmp_path: Path) -> None:
    with STORAGES[name](tmp_path) as opener:
        bucket = opener()
        bucket.create("format", b"1")
        probe(bucket)
        assert [each.key for each in bucket.list("")] == ["format"]


class _CreatesTwice(MemoryBucket):
    def create(self, key: str, data: bytes) -> str:
        self.delete(key)
        return super().create(key, data)


class _RefusesAndOverwrites(MemoryBucket):
    def create(self, key: str, data: bytes) -> str:
        try:
            return super().create(key, data)
        except Exception:
            super().swap(key, data, super().get(key).version)
            raise


class _SwapsAnything(MemoryBucket):
    def swap(self, key: str, data: bytes, expected: str) -> str:
        return super().swap(key, data, self.get(key).version)


class _SwapsOld(MemoryBucket):
    def swap(self, key: str, data: bytes, expected: str) -> str:
        is_own = abs(int(expected[1:-1]) - int(self.get(key).version[1:-1])) > 1
        return super().swap(key, data, self.get(key).version if is_own else expected)


class _SwapsDeleted(MemoryBucket):
    def swap(self, key: str, data: bytes, expected: str) -> str:
        try:
            self.get(key)
        except NoObject:
            return self.create(key, data)
        return super().swap(key, data, expected)


class _IgnoresRanges(MemoryBucket):
    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        return super().get(key)


class _ChangesVersions(MemoryBucket):
    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        return super().get(key, start, length)._replace(version="other")


class _ListsLate(MemoryBucket):
    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        return iter(())


class _ListsOther(MemoryBucket):
    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        return (each._replace(size=0) for each in super().list(prefix, after))


class _DeletesAnything(MemoryBucket):
    def delete(self, key: str, expected: str | None = None) -> None:
        super().delete(key)


class _KeepsDeleted(MemoryBucket):
    def delete(self, key: str, expected: str | None = None) -> None:
        if expected is None or self.get(key).version != expected:
            super().delete(key, expected)


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (_CreatesTwice, "created that was there already.*If-None-Match"),
        (_RefusesAndOverwrites, "altered by a request that was refused"),
        (_SwapsAnything, "wrong version expected.*If-Match"),
        (_SwapsOld, "old version expected.*If-Match"),
        (_SwapsDeleted, "replaced that was deleted"),
        (_IgnoresRanges, "3 bytes with 10 others"),
        (_ChangesVersions, "another version when it is read"),
        (_ListsLate, "does not list"),
        (_ListsOther, "another size or version"),
        (_DeletesAnything, "deleted with an old version"),
        (_KeepsDeleted, "still returns an object"),
    ],
)
def test_a_lie_is_named_and_cleaned_up(kind: type[MemoryBucket], seen: str) -> None:
    bucket = kind()
    with pytest.raises(Lying, match=seen):
        probe(bucket)
    assert list(MemoryBucket.list(bucket, "")) == []


def test_a_storage_that_fails_is_not_called_a_liar() -> None:
    bucket = MemoryBucket()

    def fail(method: str, key: str) -> None:
        if method == "swap":
            raise Unreachable("no answer")

    bucket.before = fail
    with pytest.raises(Unreachable):
        probe(bucket)
    assert list(bucket.list("")) == []


def test_what_a_killed_probe_has_left_goes_after_a_day(tmp_path: Path) -> None:
    bucket = DirectoryBucket(str(tmp_path / "bucket"))
    bucket.make()
    for name, age in (("old", 90_000), ("young", 3_000)):
        bucket.create(f"probe/{name}", b"left")
        os.utime(Path(bucket.path, "probe.d", name), (time.time() - age,) * 2)
    probe(bucket)
    assert [each.key for each in bucket.list("")] == ["probe/young"]
