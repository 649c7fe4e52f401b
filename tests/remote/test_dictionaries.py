"""Dictionaries of frames: what a push names instead of sending it, and how that is read."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable

import pytest
from blake3 import blake3

from heliosfs.errors import CorruptObject, HeliosError, TooLarge
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.remote import arrived, frames, mergeplan, treesfile, upload, waitingframes
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.collection import collect
from heliosfs.remote.contents import make_whole
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.frames import AFTER_OTHERS, Frame, objects_of, read_frame
from heliosfs.remote.layout import TREES, ref_key, trees_key
from heliosfs.remote.packfile import RemoteObject
from heliosfs.remote.packtable import PackTableWriter
from heliosfs.remote.treesfile import (
    DICTIONARY_HEAD,
    HEAD,
    OlderObjects,
    TreesWriter,
    read_trees,
)
from heliosfs.remote.waitingframes import WaitingFrames
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import run_to_end
from heliosfs.store.encoding.codecs import decode_after, encode, encode_after
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine, commit_id
from tests.remote.trees_objects import replace, sealed

_HOUR = 3_600.0
_BASE = CommitId(Oid(b"\x11" * 32))


def _object(kind: Kind, data: bytes) -> RemoteObject:
    return RemoteObject(kind, object_id(kind, data), data)


def _noise(seed: int, count: int) -> bytes:
    return random.Random(seed).randbytes(count)


def _table() -> PackTableWriter:
    return PackTableWriter(lambda digest, data: None)


def _source(chance: random.Random, size: int) -> bytes:
    """Return lines as those of a program, which take an eighth when they are compressed."""
    names = [chance.randbytes(3).hex() for _ in range(40)]
    lines: list[str] = []
    while sum(map(len, lines)) < size:
        one, other = chance.choices(names, k=2)
        lines.append(f"    self.{one} = {other}(self._{one}, other={other})  # of the same kind\n")
    return "".join(lines).encode()[:size]


def _forms(bucket: MemoryBucket) -> list[bytes]:
    return [bucket.get(each.key).data[:14] for each in bucket.list(TREES)]


def _with_pushes(bucket: MemoryBucket, count: int, names: int = 12) -> Machine:
    """Return a machine whose pushes each changed one file of several directories."""
    chance = random.Random(count)
    machine = Machine(bucket)
    for number in range(names):
        machine.files.write(b"d%d/e/f%d" % (number % 3, number), b"%d" % number)
    machine.commit("first")
    machine.push()
    for number in range(count):
        at = chance.randrange(names)
        machine.files.write(b"d%d/e/f%d" % (at % 3, at), b"more %d" % number)
        machine.commit("more")
        machine.push()
    return machine


def _read_by_all(bucket: MemoryBucket, machine: Machine) -> None:
    for is_lazy in (False, True):
        reader = Machine(bucket, is_lazy=is_lazy)
        reader.pull()
        reader.check()
        assert reader.commits() == machine.commits()
        if not is_lazy:
            assert reader.files.tree() == machine.files.tree()


@pytest.mark.parametrize("names", [33, 200])
def test_a_push_of_a_changed_file_sends_twice_its_compressed_bytes_at_most(names: int) -> None:
    bucket, chance = MemoryBucket(), random.Random(names)
    machine = Machine(bucket)
    for where in (b"", b"src/", b"src/lib/"):
        for number in range(names):
            machine.files.write(b"%sname%d" % (where, number), b"%d" % number)
    machine.files.write(b"src/lib/core", _source(chance, 10_000))
    machine.commit("first")
    machine.push()
    for _ in range(3):
        data = _source(chance, 10_000)
        machine.files.write(b"src/lib/core", data)
        machine.commit("change the core")
        bucket.sent_bytes = 0
        bucket.requests.clear()
        machine.push()
        assert bucket.requests.total() == 3
        assert 1_000 < len(encode(data, prefer_zstd=True).body) < 1_300
        assert bucket.sent_bytes <= 2 * len(encode(data, prefer_zstd=True).body)
    _read_by_all(bucket, machine)


def test_a_changed_part_of_a_large_file_does_not_send_the_list_again() -> None:
    bucket, data = MemoryBucket(), bytearray(_noise(1, 6 * 1024 * 1024))
    machine = Machine(bucket)
    machine.files.write(b"large", bytes(data))
    machine.commit("first")
    machine.push()
    data[3_000_000:3_001_000] = bytes(1_000)
    machine.files.write(b"large", bytes(data))
    machine.commit("second")
    bucket.sent_bytes = 0
    machine.push()
    trees = read_trees("trees", bucket.get(trees_key(commit_id(machine.head))).data)
    [frame] = [each for each in trees.frames() if each.needed]
    assert [kind for kind, _ in frame.needed] == [Kind.PARTS]
    assert frame.size > 1_600 > 4 * len(frame.body)
    _read_by_all(bucket, machine)


def test_every_byte_of_a_frame_with_a_dictionary() -> None:
    older = [_object(Kind.PARTS, _noise(1, 300)), _object(Kind.TREE, _noise(2, 500))]
    tree = _object(Kind.TREE, older[1].data[:250] + b"x" + older[1].data[250:])
    parts = _object(Kind.PARTS, older[0].data + b"y")
    commit, blob = _object(Kind.COMMIT, b"commit"), _object(Kind.BLOB, b"blob")
    writer = TreesWriter()
    for each in (commit, tree, blob, parts):
        writer.add(each)
    data = writer.finish([_BASE], _table(), older)
    assert data.startswith(b"helios-trees 3\n\0" + struct.pack("<III", 1, 0, 0) + _BASE)
    assert data[-32:] == blake3(data[:-32]).digest()
    at = 16 + 12 + 32
    plain = bytes((4,)) + struct.pack("<I", 6) + b"commit" + b"\1" + struct.pack("<I", 4) + b"blob"
    assert data[at : at + 9] == struct.pack("<BII", 0, len(plain), len(plain))
    at += 9 + len(plain)
    assert data[at - len(plain) : at] == plain
    codec, size, stored = struct.unpack_from("<BII", data, at)
    assert (codec, at + 9 + stored) == (AFTER_OTHERS, len(data) - 32)
    # One tree, one list of parts, in this order.
    body = data[at + 9 : -32]
    assert body[:66] == b"\1\1" + older[1].oid + older[0].oid
    decoded = decode_after(body[66:], size, older[1].data + older[0].data)
    assert decoded == b"".join(
        bytes((each.kind,)) + struct.pack("<I", len(each.data)) + each.data
        for each in (tree, parts)
    )


def test_dictionaries_keep_to_their_limits() -> None:
    older = OlderObjects()
    older.add(_object(Kind.TREE, bytes(frames.OLDER_MIN_BYTES - 1)))
    older.add(_object(Kind.TREE, bytes(frames.DICTIONARY_MAX_BYTES + 1)))
    assert not older.objects
    for number in range(300):
        older.add(_object(Kind.TREE, _noise(number, 200)))
        older.add(_object(Kind.TREE, _noise(number, 200)))
    assert len(older.objects) == frames.OLDER_MAX
    assert older.is_full
    older = OlderObjects()
    for number in range(9):
        older.add(_object(Kind.PARTS, _noise(number, 128 * 1024)))
    assert len(older.objects) == 8
    assert older.is_full
    writer = TreesWriter()
    for each in older.objects.values():
        writer.add(_object(Kind.PARTS, each.data[:1_000]))
    trees = read_trees("trees", writer.finish([], _table(), older.objects.values()))
    [frame] = trees.frames()
    assert (
        len(list(objects_of("trees", frame, [each.data for each in older.objects.values()]))) == 8
    )


def test_no_dictionary_where_it_saves_nothing() -> None:
    writer = TreesWriter()
    writer.add(_object(Kind.TREE, _noise(1, 500)))
    assert writer.finish([], _table(), [_object(Kind.TREE, _noise(2, 500))]).startswith(HEAD)


def test_a_long_push_has_no_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treesfile, "FRAME_BYTES", 2_000)
    bucket = MemoryBucket()
    machine = _with_pushes(bucket, 0, names=60)
    for number in range(20):
        machine.commit("more", **{f"more{number}": b"1"})
    machine.push()
    assert set(_forms(bucket)) == {HEAD[:14]}
    _read_by_all(bucket, machine)


def test_many_pushes_are_read_whichever_comes_first() -> None:
    bucket = MemoryBucket()
    behind = Machine(bucket)
    machine = _with_pushes(bucket, 40)
    assert _forms(bucket).count(DICTIONARY_HEAD[:14]) == 40
    _read_by_all(bucket, machine)
    behind.pull()
    for number in range(12):
        machine.commit("more", **{f"d{number % 3}/e/more{number}": b"1"})
        machine.push()
        if number % 3 == 2:
            bucket.requests.clear()
            assert behind.fetch().commit_count == 3
            # The listing, the ref, and the objects of these pushes alone.
            assert bucket.requests.total() == 5
            behind.check()


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (arrived, "_KEPT_BYTES", 0),
        (waitingframes, "_KEPT_BYTES", 0),
        (waitingframes, "_IN_MEMORY_BYTES", 1),
    ],
)
def test_frames_are_read_without_memory(
    module: object, name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects that do not stay in memory are read from the store, and frames from a file."""
    monkeypatch.setattr(module, name, value)
    bucket = MemoryBucket()
    machine = _with_pushes(bucket, 30)
    _read_by_all(bucket, machine)


def test_a_reader_without_memory_takes_branches_that_begin_at_old_commits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Objects that the second branch needs were written, and no frame that waited needed them."""
    bucket = MemoryBucket()
    machine = _with_pushes(bucket, 10)
    for number in range(3):
        machine.run("switch", "-q", "-c", f"fork{number}", f"main~{3 * number}")
        for count in range(3):
            machine.commit("fork", **{f"d{number}/e/fork{count}": b"1"})
            machine.push(f"fork{number}")
    monkeypatch.setattr(arrived, "_KEPT_BYTES", 0)
    reader = Machine(bucket)
    reader.fetch()
    reader.check()
    assert len(reader.tracked) == 4


def _settle(bucket: MemoryBucket, clock: list[float]) -> None:
    for _ in range(3):
        clock[0] += 25 * _HOUR
        run_to_end(collect(bucket), MemoryStore())


def test_a_merge_leaves_no_dictionary() -> None:
    clock = [1_900_000_000.0]
    bucket = MemoryBucket(lambda: clock[0])
    machine = _with_pushes(bucket, 60)
    _settle(bucket, clock)
    assert _forms(bucket) == [HEAD[:14]]
    _read_by_all(bucket, machine)
    # And what is pushed after it begins at what was merged.
    for number in range(3):
        machine.commit("more", **{f"d0/e/f{number}": b"1"})
        machine.push()
    assert _forms(bucket).count(DICTIONARY_HEAD[:14]) == 3
    _read_by_all(bucket, machine)
    _settle(bucket, clock)
    assert _forms(bucket) == [HEAD[:14]]
    _read_by_all(bucket, machine)


def test_a_merge_finds_what_lies_in_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mergeplan, "RUN_BYTES", 2_000)
    monkeypatch.setattr(mergeplan, "_RUN_GROWTH", 1)
    clock = [1_900_000_000.0]
    bucket = MemoryBucket(lambda: clock[0])
    machine = _with_pushes(bucket, 60)
    machine.run("switch", "-q", "-c", "fork", "main~30")
    for number in range(20):
        machine.commit("fork", **{f"d1/e/fork{number}": b"1"})
        machine.push("fork")
    machine.run("switch", "-q", "main")
    _settle(bucket, clock)
    assert 5 < len(_forms(bucket)) < 40
    _read_by_all(bucket, machine)
    bucket.delete(ref_key(HEADS, "main"))
    _settle(bucket, clock)
    reader = Machine(bucket)
    reader.fetch()
    reader.check()


def test_a_merge_makes_what_waits_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many pushes that nobody has merged are refused, and merged from the oldest on."""
    monkeypatch.setattr(mergeplan, "RUN_BYTES", 4_000)
    monkeypatch.setattr(mergeplan, "_RUN_GROWTH", 1)
    clock = [1_900_000_000.0]
    bucket = MemoryBucket(lambda: clock[0])
    machine = _with_pushes(bucket, 60)
    monkeypatch.setattr(waitingframes, "_EXPECTED_MAX", 30)
    with pytest.raises(TooLarge, match="helios remote gc"):
        Machine(bucket).fetch()
    for _ in range(8):
        _settle(bucket, clock)
    assert DICTIONARY_HEAD[:14] not in _forms(bucket)
    _read_by_all(bucket, machine)


def test_a_merge_leaves_alone_what_it_cannot_read() -> None:
    clock = [1_900_000_000.0]
    bucket = MemoryBucket(lambda: clock[0])
    machine = _with_pushes(bucket, 5)
    second = [oid for oid, _ in machine.repository.history.walk(machine.view.head)][-3]
    data = bytearray(bucket.get(trees_key(second)).data[:-32])
    # The last frame is the one with a dictionary.
    data[-20:] = bytes(20)
    replace(bucket, trees_key(second), sealed(bytes(data)))
    other = Machine(bucket)
    other.run("switch", "-q", "-c", "other")
    for number in range(5):
        other.commit("other", **{f"x{each}": b"%d" % number for each in range(9)})
        other.push("other")
    before = len(_forms(bucket))
    _settle(bucket, clock)
    assert len(_forms(bucket)) < before
    reader = Machine(bucket)
    assert [each.name for each in reader.fetch().damaged] == ["main"]
    reader.check()
    assert [name for _, name in reader.tracked] == ["other"]


def test_random_machines_share_a_bucket_that_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks, merges, forced and deleted branches, and collections, in any order."""
    monkeypatch.setattr(treesfile, "OLDER_MIN_BYTES", 1)
    monkeypatch.setattr(treesfile, "_GAIN_MIN_BYTES", -1_000)
    monkeypatch.setattr(mergeplan, "RUN_BYTES", 1_500)
    monkeypatch.setattr(mergeplan, "_RUN_GROWTH", 2)
    monkeypatch.setattr(upload, "SMALL_BYTES", 100)
    for seed in range(6):
        _random_run(random.Random(seed))


def _random_run(chance: random.Random) -> None:
    clock = [1_900_000_000.0]
    bucket = MemoryBucket(lambda: clock[0])
    machines = [Machine(bucket, is_lazy=bool(number == 2)) for number in range(3)]
    machines[0].commit("first", **{f"d{number % 2}/f{number}": b"1" for number in range(6)})
    machines[0].push()
    for each in machines[1:]:
        each.pull()
    for number in range(40):
        machine = chance.choice(machines)
        _random_move(machine, chance, number)
        if not chance.randrange(8):
            clock[0] += 25 * _HOUR
            run_to_end(collect(bucket), MemoryStore())
        if not chance.randrange(4):
            _check_reader(Machine(bucket, is_lazy=bool(chance.randrange(2))))
    for each in machines:
        _check_reader(each)


def _check_reader(reader: Machine) -> None:
    assert not reader.fetch().damaged
    run_to_end(make_whole(reader.repository, lambda url: reader.bucket), reader.store)
    reader.check()


def _random_move(machine: Machine, chance: random.Random, number: int) -> None:
    bucket = machine.bucket
    if not chance.randrange(3):
        machine.fetch(prunes=True)
        tips = sorted(name for _, name in machine.tracked if name != "main")
        if tips and chance.randrange(2):
            run_to_end(make_whole(machine.repository, lambda url: bucket), machine.store)
            with_conflicts = f"origin/{chance.choice(tips)}"
            machine.run("merge", "-q", "-X", "ours", with_conflicts)
    if not chance.randrange(3):
        machine.run(
            "switch",
            "-q",
            "-c",
            f"b{number}",
            f"HEAD~{chance.randrange(min(2, len(machine.commits())))}",
        )
    name = machine.view.branch
    assert name is not None
    for _ in range(chance.randrange(1, 3)):
        machine.commit("work", **{f"d{chance.randrange(3)}/f{chance.randrange(8)}": b"%d" % number})
    try:
        machine.push(name, with_lease=not chance.randrange(2))
    except HeliosError:
        machine.fetch(prunes=True)


def _chain(*frames: bytes) -> MemoryBucket:
    """Return a bucket whose `main` was pushed twice, and then has other frames."""
    bucket = MemoryBucket()
    machine = _with_pushes(bucket, 1)
    return _with_frames(bucket, commit_id(machine.head), frames)


def _with_frames(bucket: MemoryBucket, head: CommitId, others: Iterable[bytes]) -> MemoryBucket:
    data = bucket.get(trees_key(head)).data
    trees = read_trees("trees", data)
    replace(bucket, trees_key(head), sealed(b"".join((data[: trees.frames_at], *others))))
    return bucket


def _frame_after(needed: bytes, body: bytes, size: int, counts: bytes = b"") -> bytes:
    inner = (counts or bytes((len(needed) // 32, 0))) + needed + body
    return struct.pack("<BII", AFTER_OTHERS, size, len(inner)) + inner


@pytest.mark.parametrize(
    "inner",
    [
        b"",
        b"\1",
        b"\0\0",
        b"\1\0" + bytes(31),
        b"\1\1" + bytes(63),
        b"\xff\xff" + bytes(32 * 509),
        b"\2\0" + bytes(64),
        b"\1\1" + bytes(64),
    ],
)
def test_dictionaries_that_no_push_writes(inner: bytes) -> None:
    frame = struct.pack("<BII", AFTER_OTHERS, 10, len(inner)) + inner
    with pytest.raises(CorruptObject, match="impossible dictionary"):
        read_frame("trees/x", frame, 0)
    with pytest.raises(DamagedRemote, match="nothing was changed"):
        Machine(_chain(frame)).fetch()


def test_a_dictionary_of_what_nobody_has() -> None:
    frame = _frame_after(b"\x77" * 32, encode_after(b"x", bytes(8)), 1)
    reader = Machine(_chain(frame))
    with pytest.raises(DamagedRemote, match="7777, which nothing before it has"):
        reader.fetch()
    assert not reader.tracked


def test_frames_that_need_each_other() -> None:
    trees = [_object(Kind.TREE, _noise(number, 200)) for number in range(2)]
    made = []
    for one, other in (trees, trees[::-1]):
        record = frames._RECORD.pack(Kind.TREE, len(one.data)) + one.data
        made.append(_frame_after(other.oid, encode_after(record, other.data), len(record)))
    with pytest.raises(DamagedRemote, match="nothing before it has"):
        Machine(_chain(*made)).fetch()


def test_a_dictionary_that_is_too_large() -> None:
    bucket = MemoryBucket()
    machine = _with_pushes(bucket, 1)
    parts = [_object(Kind.PARTS, _noise(number, 300 * 1024)) for number in range(4)]
    plain = frames.encode_frame(parts)
    needed = b"".join(each.oid for each in parts)
    frame = _frame_after(needed, encode_after(b"x", bytes(8)), 1, b"\0\4")
    _with_frames(bucket, commit_id(machine.head), (plain, frame))
    with pytest.raises(DamagedRemote, match="too large a dictionary"):
        Machine(bucket).fetch()


@pytest.mark.parametrize("kind", [Kind.BLOB, Kind.COMMIT])
def test_no_contents_and_no_commits_lie_behind_a_dictionary(kind: Kind) -> None:
    body = frames._RECORD.pack(kind, 4) + b"data"
    older = _noise(1, 200)
    frame = Frame(AFTER_OTHERS, len(body), b"\1\0" + _BASE, encode_after(body, older))
    with pytest.raises(CorruptObject, match="no objects"):
        list(objects_of("trees/x", frame, [older]))


@pytest.mark.parametrize("size", [1, 99_999, 100_001, 2**31])
def test_a_frame_after_a_dictionary_that_is_larger_than_it_says(size: int) -> None:
    body = encode_after(bytes(100_000), b"the older one")
    frame = _frame_after(b"\x77" * 32, body, size)
    with pytest.raises(CorruptObject):
        list(objects_of("trees/x", read_frame("trees/x", frame, 0)[0], [b"the older one"]))


def test_another_dictionary_makes_no_other_objects() -> None:
    """A hostile bucket may name objects that are of no use, and no more."""
    older = _noise(1, 500)
    tree = _object(Kind.TREE, older + b"x")
    frame, _ = read_frame("x", frames.encode_frame_after([tree], [_object(Kind.TREE, older)]), 0)
    assert list(objects_of("x", frame, [older])) == [tree]
    for other in (_noise(2, 500), older[:-1], older + b"x"):
        try:
            found = list(objects_of("x", frame, [other]))
        except CorruptObject:
            continue
        assert all(each.oid == object_id(each.kind, each.data) for each in found)
        assert tree not in found


def test_an_object_of_another_kind_is_no_dictionary() -> None:
    bucket = MemoryBucket()
    machine = _with_pushes(bucket, 1)
    blob = _object(Kind.BLOB, _noise(1, 500))
    plain = frames.encode_frame([blob])
    frame = _frame_after(blob.oid, encode_after(b"x", blob.data), 1)
    _with_frames(bucket, commit_id(machine.head), (plain, frame))
    with pytest.raises(DamagedRemote):
        Machine(bucket).fetch()


def test_waiting_frames_keep_what_is_needed_and_no_more() -> None:
    waiting = WaitingFrames()
    older, other = (_object(Kind.TREE, _noise(number, 200)) for number in range(2))
    tree = _object(Kind.TREE, older.data + b"x")
    frame, _ = read_frame("x", frames.encode_frame_after([tree], [older]), 0)
    for _ in range(2):
        waiting.expect(frame.named)
        waiting.hold("x", frame)
    assert waiting.next(lambda wanted: False) is None
    waiting.arrived(other)
    waiting.arrived(older)
    assert list(waiting._kept) == [older.oid]
    for left in (1, 0):
        held = waiting.next(lambda wanted: False)
        assert held is not None
        assert waiting.take(held, lambda wanted: b"") == (frame, [older.data])
        assert waiting.count == left
    assert not waiting._kept and not waiting._kept_bytes
    waiting.close()


def test_a_frame_with_any_other_byte_is_refused_or_the_same() -> None:
    bucket = MemoryBucket()
    machine = _with_pushes(bucket, 3)
    middle = [oid for oid, _ in machine.repository.history.walk(machine.view.head)][1]
    data = bucket.get(trees_key(middle)).data[:-32]
    trees = read_trees("trees", sealed(data))
    _, begin = read_frame("trees", data, trees.frames_at)
    refused = 0
    for at in range(begin, len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        replace(bucket, trees_key(middle), sealed(bytes(changed)))
        reader = Machine(bucket)
        try:
            reader.fetch()
        except DamagedRemote:
            refused += 1
            assert not reader.tracked
            continue
        reader.check()
        assert reader.origin_main == machine.head
    # A byte of a header of zstd may say nothing.
    assert refused > (len(data) - begin) * 9 // 10
