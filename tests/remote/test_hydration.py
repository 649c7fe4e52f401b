"""Hydration: what is read with what, what is believed, and what a remote that is away costs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from heliosfs.errors import PromisedObject, StoreFull, Unfetched
from heliosfs.objects.blob import PART_BYTES
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.remote.bucket import Got, Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.hydration import DECODED_MAX_BYTES, FETCHERS, Fetch
from heliosfs.remote.repetition import Repetition, repeated
from heliosfs.steps import run_to_end
from heliosfs.store.promises import PackRows
from heliosfs.workspace.nodes import FileNode
from tests.remote.machines import Machine
from tests.remote.promised import LazyMachine, noise

SECONDS = 10
_SIZE = 40_000


def _shared(count: int = 100, size: int = _SIZE) -> tuple[MemoryBucket, LazyMachine]:
    """Return a bucket with files of noise, and a machine that has none of their contents."""
    bucket = MemoryBucket()
    one, two = Machine(bucket), LazyMachine(bucket)
    for number in range(count):
        one.files.write(b"%02d/%03d" % (number // 20, number), noise(number, size))
    one.commit()
    one.push()
    two.pull()
    bucket.requests.clear()
    bucket.received_bytes = 0
    return bucket, two


def _blob(number: int, size: int = _SIZE) -> Oid:
    return object_id(Kind.BLOB, noise(number, size))


def _fetch(machine: LazyMachine, oid: Oid) -> Fetch:
    fetch = machine.hydration.begin(oid)
    assert fetch is not None
    assert fetch.landed.wait(SECONDS)
    run_to_end(machine.hydration.keep(fetch), machine.store)
    return fetch


def _read(machine: LazyMachine, number: int) -> bytes:
    """Read a content as a verb would."""
    call = lambda: machine.store.read(_blob(number), Kind.BLOB)  # noqa: E731
    return repeated(machine.repository, call, hydration=machine.hydration)


def test_one_request_brings_a_content_and_its_neighbours() -> None:
    bucket, machine = _shared()
    with pytest.raises(PromisedObject):
        machine.store.read(_blob(40), Kind.BLOB)
    assert _read(machine, 40) == noise(40, _SIZE)
    assert bucket.requests == {"get": 1}
    here = [number for number in range(100) if machine.store.contains(_blob(number))]
    # Those that come after it in the walk: 1 MiB.
    assert here == list(range(40, 66))
    assert _read(machine, 60) == noise(60, _SIZE)
    assert bucket.requests == {"get": 1}
    assert machine.hydration.counts.objects == 26
    assert machine.hydration.counts.received_bytes == bucket.received_bytes == 26 * _SIZE


def test_what_was_read_is_not_read_again_with_what_lies_beside_it() -> None:
    bucket, machine = _shared()
    _read(machine, 40)
    _read(machine, 30)
    assert bucket.received_bytes == 36 * _SIZE
    assert [n for n in range(100) if machine.store.contains(_blob(n))] == list(range(30, 66))


def test_readers_that_go_on_get_larger_ranges() -> None:
    bucket, machine = _shared(300)
    for number in range(300):
        _read(machine, number)
    assert bucket.received_bytes == 300 * _SIZE
    # 1, 2, 4 and 1 MiB of the first pack, and the second one: not 12.
    assert bucket.requests["get"] <= 5


def test_what_follows_is_asked_for_while_a_reader_goes_on() -> None:
    bucket, machine = _shared(400)
    hydration = machine.hydration
    # Somebody keeps what has come, as in a mount.
    hydration.on_landed = lambda fetch: None
    assert not _fetch(machine, _blob(0)).goes_on
    assert not hydration.is_busy
    # 1 MiB has 26 of them, and the next range is twice as long.
    assert _fetch(machine, _blob(26)).goes_on
    assert hydration.is_busy
    following = _fetch(machine, _blob(26 + 52))
    assert not following.goes_on
    assert not hydration.is_busy
    assert bucket.requests["get"] == 3


def test_who_reads_the_same_waits_for_the_same_request() -> None:
    bucket, machine = _shared()
    go_on = threading.Event()

    def wait(method: str, key: str) -> None:
        go_on.wait(SECONDS)

    bucket.before = wait
    first = machine.hydration.begin(_blob(10))
    assert machine.hydration.begin(_blob(10)) is first
    assert machine.hydration.begin(_blob(20)) is first
    assert machine.hydration.begin(_blob(90)) is not first
    assert machine.hydration.is_busy
    go_on.set()
    for oid in (_blob(10), _blob(90)):
        _fetch(machine, oid)
    assert bucket.requests == {"get": 2}
    assert not machine.hydration.is_busy


def test_ranges_that_are_read_at_once_are_bounded() -> None:
    bucket, machine = _shared(100, 1024 * 1024)
    go_on, running, most = threading.Event(), [], []

    def count(method: str, key: str) -> None:
        running.append(1)
        most.append(len(running))
        go_on.wait(SECONDS)
        running.pop()

    bucket.before = count
    fetches = [machine.hydration.begin(_blob(number, 1024 * 1024)) for number in range(0, 60, 3)]
    assert len(set(map(id, fetches))) == 20
    go_on.set()
    for each in fetches:
        assert each is not None
        assert each.landed.wait(SECONDS)
    assert max(most) == FETCHERS


def test_a_range_that_was_cut_off() -> None:
    bucket, machine = _shared()
    whole = bucket.get

    def cut_off(key: str, start: int = 0, length: int | None = None) -> Got:
        return whole(key, start, (length or 2) - 1)

    bucket.get = cut_off  # type: ignore[method-assign]
    before = dict(machine.store.objects)
    with pytest.raises(Unfetched, match=r"'origin', which has something else.*cut off"):
        _read(machine, 40)
    assert machine.store.objects == before
    bucket.get = whole  # type: ignore[method-assign]
    assert _read(machine, 40) == noise(40, _SIZE)


@pytest.mark.parametrize("victim", [40, 41])
def test_other_bytes(victim: int) -> None:
    bucket, machine = _shared()
    promise = machine.store.promises.find(_blob(victim))
    assert promise is not None
    whole = bucket.get

    def lie(key: str, start: int = 0, length: int | None = None) -> Got:
        got = whole(key, start, length)
        data = bytearray(got.data)
        data[promise.offset - start + 7] ^= 1
        return got._replace(data=bytes(data))

    bucket.get = lie  # type: ignore[method-assign]
    if victim == 40:
        before = dict(machine.store.objects)
        with pytest.raises(Unfetched, match=r"something else in its place: object [0-9a-f]+ "):
            _read(machine, 40)
        assert machine.store.objects == before
        return
    assert _read(machine, 40) == noise(40, _SIZE)
    assert machine.store.contains(_blob(42))
    assert not machine.store.contains(_blob(41))
    with pytest.raises(Unfetched, match="something else"):
        _read(machine, 41)


def test_rows_that_somebody_made_up() -> None:
    _, machine = _shared(3)
    promise = machine.store.promises.find(_blob(0))
    assert promise is not None
    digest, size = promise.pack, promise.pack_size
    bomb = object_id(Kind.BLOB, b"bomb")
    rows = [
        (object_id(Kind.BLOB, b"beyond"), 0, 10, 10, size - 5),
        (object_id(Kind.BLOB, b"huge"), 0, 2**31, 10, 16),
        (bomb, 0, 4, 4, 20),
        *((object_id(Kind.BLOB, b"%d" % n), 0, DECODED_MAX_BYTES, 4, 30 + n) for n in range(9)),
    ]
    machine.store.promises.add("origin", [PackRows(digest, size, rows)])
    before = dict(machine.store.objects)
    for row in rows:
        fetch = _fetch(machine, Oid(row[0]))
        failure = fetch.failure(Oid(row[0]))
        assert isinstance(failure, Unfetched)
    assert machine.store.objects == before


def test_a_remote_that_does_not_answer_is_left_alone_for_a_while() -> None:
    bucket, machine = _shared()

    def fail(method: str, key: str) -> None:
        raise Unreachable("the server does not answer")

    bucket.before = fail
    for wait in (1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
        with pytest.raises(
            Unfetched,
            match=r"^content [0-9a-f]{12} is still at the remote 'origin', which cannot be "
            r"reached: the server does not answer$",
        ):
            _read(machine, 40)
        asked = bucket.requests["get"] + machine.hydration.counts.requests
        with pytest.raises(Unfetched, match="which cannot be reached: the server"):
            _read(machine, 41)
        assert machine.hydration.counts.requests + bucket.requests["get"] == asked
        machine.now += wait
    bucket.before = None
    assert _read(machine, 41) == noise(41, _SIZE)
    # It is asked again at once after the next failure, but one.
    bucket.before = fail
    with pytest.raises(Unfetched):
        _read(machine, 3)
    machine.now += 1.0
    bucket.before = None
    assert _read(machine, 3) == noise(3, _SIZE)


def test_a_pack_that_is_gone() -> None:
    bucket, machine = _shared()
    promise = machine.store.promises.find(_blob(40))
    assert promise is not None
    bucket.delete(f"packs/{promise.pack.hex()}")
    with pytest.raises(Unfetched, match="which does not have it any more"):
        _read(machine, 40)


def test_a_store_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    _, machine = _shared()

    def full() -> None:
        raise StoreFull("no space is left")

    with monkeypatch.context() as patch:
        patch.setattr(machine.store, "publish", full)
        with pytest.raises(StoreFull):
            _read(machine, 40)
    machine.store.objects.pop(_blob(40))
    machine.now += 1
    assert _read(machine, 40) == noise(40, _SIZE)


def test_a_remote_that_was_removed() -> None:
    _, machine = _shared()
    with machine.repository.transaction:
        machine.repository.remotes.remove("origin", 0)
    with pytest.raises(Unfetched, match="no remote 'origin'"):
        _read(machine, 40)


def test_a_verb_that_reads_everything_begins_again_a_few_times() -> None:
    bucket, machine = _shared(1000)
    count = 0

    def read_all() -> int:
        nonlocal count
        count += 1
        return sum(len(machine.store.read(_blob(number), Kind.BLOB)) for number in range(1000))

    told: list[int] = []
    total = repeated(
        machine.repository,
        read_all,
        lambda progress: told.append(progress.done),
        machine.hydration,
    )
    assert total == 1000 * _SIZE == bucket.received_bytes
    # 40 MB: 1, 2, 4, 8, 16, 32 MiB.
    assert count <= 8
    assert len(told) >= count


def test_a_verb_that_reads_what_lies_in_many_packs() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), LazyMachine(bucket)
    for number in range(100):
        one.files.write(b"file", noise(number, 100_000))
        one.commit()
        one.push()
    two.pull()
    bucket.requests.clear()
    count = 0

    def read_all() -> None:
        nonlocal count
        count += 1
        for number in reversed(range(100)):
            two.store.read(_blob(number, 100_000), Kind.BLOB)

    repeated(two.repository, read_all, hydration=two.hydration)
    assert count <= 9
    assert bucket.requests["get"] <= 110


def test_a_content_that_never_comes_ends_the_verb() -> None:
    _, machine = _shared()
    again = Repetition(machine.hydration)
    with pytest.raises(Unfetched, match="it was fetched, and is not there"):
        for _ in range(10):
            again.missed(PromisedObject(_blob(1), "origin"))


def test_a_change_of_a_part_needs_the_part_at_once() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), LazyMachine(bucket)
    data = noise(5, 12 * PART_BYTES + 1_000)
    one.files.write(b"large", data)
    one.commit()
    one.push()
    two.pull()
    node = two.files.node(b"large")
    assert isinstance(node, FileNode)
    files, expected = two.repository.working_set, bytearray(data)
    changes: list[Callable[[], None]] = [
        lambda: files.write(node, 3 * PART_BYTES - 5, b"across an edge"),
        lambda: files.write(node, len(expected), b"at the end"),
        lambda: files.write(node, len(expected) + PART_BYTES, b"behind the end"),
        lambda: files.punch(node, 5 * PART_BYTES - 7, 6 * PART_BYTES + 7),
        lambda: files.truncate(node, 10 * PART_BYTES + 5),
        lambda: files.truncate(node, 3 * PART_BYTES + 5),
    ]
    for change in changes:
        before = node.file_size
        with pytest.raises(PromisedObject):
            change()
        # Nothing has changed, and a save finds nothing that is missing.
        assert node.file_size == before
        two.repository.checkpoint()
        assert two.run("status", "-s") == ""
    # What is replaced as a whole is not needed.
    files.write(node, PART_BYTES, noise(6, PART_BYTES))
    expected[PART_BYTES : 2 * PART_BYTES] = noise(6, PART_BYTES)
    two.repository.checkpoint()
    repeated(two.repository, changes[0], hydration=two.hydration)
    expected[3 * PART_BYTES - 5 : 3 * PART_BYTES + 9] = b"across an edge"
    two.repository.checkpoint()
    repeated(two.repository, changes[-1], hydration=two.hydration)
    two.repository.checkpoint()
    assert two.files.read(b"large") == expected[: 3 * PART_BYTES + 5]
