"""Bases of fetched objects: a store that has fetched is as small as the one that has pushed."""

from __future__ import annotations

import random
from pathlib import Path

from heliosfs.objects.ids import Kind, object_id
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.fetch import fetch
from heliosfs.remote.likeness import LikelyBases
from heliosfs.remote.packfile import RemoteObject
from heliosfs.remote.push import push
from heliosfs.repo.check import check_store
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import drain, run_to_end
from tests.crash.damage import Opened
from tests.tree_builder import TreeBuilder

START_NS = 1_700_000_000 * 10**9


def _opened(path: Path) -> Opened:
    path.mkdir()
    opened = Opened(path, START_NS)
    with opened.repository.transaction:
        opened.repository.remotes.add("origin", "memory:")
    return opened


def test_versions_are_deltas_again(tmp_path: Path) -> None:
    bucket, rng = MemoryBucket(), random.Random(1)
    one, two = _opened(tmp_path / "one"), _opened(tmp_path / "two")
    files = TreeBuilder(one.repository.root.workspace)
    data = bytearray(rng.randbytes(8_000))
    for number in range(100):
        at = rng.randrange(7_000)
        data[at : at + 20] = rng.randbytes(20)
        files.write(b"dir/file", bytes(data))
        files.write(b"dir/other", rng.randbytes(20) + b"the same in all versions" * 20)
        one.verb("commit", "-q", "-m", f"version {number}")
    head = one.repository.root.head
    assert head is not None
    run_to_end(push(one.repository, bucket, "origin", HEADS, "main", head), one.store)
    run_to_end(fetch(two.repository, bucket, "origin"), two.store)
    sizes = []
    for each in (one, two):
        drain(each.store)
        sizes.append(each.store.stats().stored_bytes)
    assert sizes[1] < 1.2 * sizes[0] < 100 * 8_000 / 4
    assert run_to_end(check_store(two.repository), two.store).problems == []
    for each in (one, two):
        each.close()


def _blob(data: bytes) -> RemoteObject:
    return RemoteObject(Kind.BLOB, object_id(Kind.BLOB, data), data)


def test_nothing_is_a_base_twice_and_strangers_are_none() -> None:
    bases = LikelyBases()
    first, second, third = (_blob(b"x" * 200 + bytes((each,)) * 50) for each in range(3))
    stranger = _blob(random.Random(2).randbytes(250))
    assert bases.take(first) is None
    assert bases.take(stranger) is None
    assert bases.take(second) == first.oid
    assert bases.take(third) == second.oid
    assert bases.take(_blob(b"x" * 120)) is None
    assert bases.take(RemoteObject(Kind.COMMIT, third.oid, b"damaged")) is None
