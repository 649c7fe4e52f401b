"""Contents whose packs a remote has replaced are found at their new places."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from heliosfs.errors import PromisedObject, Unfetched
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.remote.bucket import NoObject
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.repetition import repeated
from tests.remote.hydrating import Mount, blob
from tests.remote.machines import Machine
from tests.remote.promised import LazyMachine, noise

_SIZE = 40_000


def replace_packs(bucket: MemoryBucket, count: int) -> None:
    """Let a bucket have its history as if it had been pushed at once, with one commit more."""
    other, pusher = MemoryBucket(), Machine(bucket)
    pusher.pull()
    pusher.files.write(b"0", noise(count + 1, 90_000))
    pusher.commit("later")
    with pusher.repository.transaction:
        pusher.repository.remotes.remove("origin", 0)
        pusher.repository.remotes.add("origin", "memory:")
    pusher.bucket = other
    pusher.push()
    for prefix in ("packs/", "trees/", "index/", "refs/"):
        for each in list(bucket.list(prefix)):
            bucket.delete(each.key)
    for each in list(other.list("")):
        if not each.key.startswith("format"):
            bucket.create(each.key, other.get(each.key).data)


def _shared(count: int) -> tuple[MemoryBucket, LazyMachine]:
    bucket = MemoryBucket()
    one, two = Machine(bucket), LazyMachine(bucket)
    for number in range(count):
        one.files.write(b"%02d" % number, noise(number, _SIZE))
        if number % 5 == 4:
            one.commit()
            one.push()
    two.pull()
    return bucket, two


def _read(machine: LazyMachine, number: int) -> bytes:
    oid = object_id(Kind.BLOB, noise(number, _SIZE))
    call: Callable[[], bytes] = lambda: machine.store.read(oid, Kind.BLOB)  # noqa: E731
    return repeated(machine.repository, call, hydration=machine.hydration)


def test_a_verb_finds_what_was_merged() -> None:
    bucket, machine = _shared(20)
    replace_packs(bucket, 20)
    bucket.requests.clear()
    for number in range(20):
        assert _read(machine, number) == noise(number, _SIZE)
    # The lost pack, a listing, a ref, the trees, and the ranges of the new pack.
    assert bucket.requests.total() <= 7
    machine.check()


def test_what_is_nowhere_is_looked_for_now_and_then() -> None:
    bucket, machine = _shared(10)
    for each in list(bucket.list("packs/")):
        bucket.delete(each.key)
    for _ in range(3):
        with pytest.raises(Unfetched, match="which does not have it any more"):
            _read(machine, 3)
    asked = bucket.requests["get"]
    with pytest.raises(Unfetched):
        _read(machine, 3)
    assert bucket.requests["get"] == asked + 1
    machine.now += 60
    with pytest.raises(Unfetched):
        _read(machine, 3)
    assert bucket.requests["get"] > asked + 2


def test_trees_that_are_damaged_are_told() -> None:
    bucket, machine = _shared(10)
    for prefix in ("packs/", "trees/"):
        for each in list(bucket.list(prefix)):
            bucket.delete(each.key)
            if prefix == "trees/":
                bucket.create(each.key, b"nothing")
    with pytest.raises(Unfetched, match="which does not have it any more"):
        _read(machine, 3)


@pytest.mark.trio
async def test_requests_that_wait_let_one_look() -> None:
    mount = Mount(20)
    replace_packs(mount.bucket, 20)
    mount.bucket.requests.clear()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(mount.hydrator.bring, PromisedObject(blob(number), "origin"))
        for number in range(20):
            if not mount.machine.store.contains(blob(number)):
                await mount.hydrator.bring(PromisedObject(blob(number), "origin"))
    assert all(map(mount.machine.store.contains, mount.blobs))
    assert mount.bucket.requests["get"] <= 8


@pytest.mark.trio
async def test_a_request_hears_what_is_nowhere() -> None:
    mount = Mount(20)
    for each in list(mount.bucket.list("packs/")):
        mount.bucket.delete(each.key)
    with trio.fail_after(10), pytest.raises(Unfetched, match="which does not have it any more"):
        await mount.hydrator.bring(PromisedObject(blob(3), "origin"))


def test_the_bucket_says_what_is_gone() -> None:
    bucket, machine = _shared(5)
    promise = machine.store.promises.find(Oid(blob(3)))
    assert promise is not None
    replace_packs(bucket, 5)
    with pytest.raises(NoObject):
        bucket.get(f"packs/{promise.pack.hex()}")
