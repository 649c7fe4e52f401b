"""Rows of packs in objects with trees: their forms, and rows that lie."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest
from blake3 import blake3

from heliosfs.errors import CorruptObject, HeliosError
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.remote import packfile, packtable, treesfile, upload
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.layout import TREES
from heliosfs.remote.packfile import (
    FinishedPack,
    PackName,
    PackWriter,
    RemoteObject,
    content_rows,
    read_pack,
)
from heliosfs.remote.packtable import PackTableWriter, read_index, split_rows
from heliosfs.remote.treesfile import PushedTrees, TreesWriter, read_trees
from tests.remote.machines import Machine
from tests.remote.trees_objects import make_old, replace, sealed

BASE = CommitId(Oid(b"\x11" * 32))


def _pack(*contents: bytes, kind: Kind = Kind.BLOB) -> FinishedPack:
    writer = PackWriter()
    for data in contents:
        writer.add(RemoteObject(kind, object_id(kind, data), data))
    return writer.finish()


def _written(
    packs: list[tuple[FinishedPack, bool]],
) -> tuple[PushedTrees, dict[bytes, bytes]]:
    """Return what is read of an object with trees that names some packs, and its indexes."""
    indexes: dict[bytes, bytes] = {}
    table = PackTableWriter(indexes.__setitem__)
    for pack, holds_trees in packs:
        table.add(pack, holds_trees=holds_trees)
    return read_trees("trees/x", TreesWriter().finish([BASE], table)), indexes


@pytest.mark.parametrize("inline_max", [0, 120, 10_000])
@pytest.mark.parametrize("full", [100, 10_000])
def test_rows_come_back_with_their_packs(
    monkeypatch: pytest.MonkeyPatch, inline_max: int, full: int
) -> None:
    monkeypatch.setattr(packtable, "INLINE_MAX", inline_max)
    monkeypatch.setattr(packtable, "INDEX_FULL_BYTES", full)
    packs = [(_pack(*(b"%d %d" % (at, each) for each in range(at))), False) for at in range(1, 6)]
    packs.insert(2, (_pack(b"", kind=Kind.TREE), True))
    trees, indexes = _written(packs)
    assert trees.bases == [BASE]
    assert trees.frames_at == len(trees.data)
    assert [each.name for each in trees.packs] == [pack.name for pack, _ in packs]
    assert [each.holds_trees for each in trees.packs] == [each for _, each in packs]
    found = {}
    for index, named in trees.table.indexed():
        data = indexes.pop(index.digest)
        assert len(data) == index.size
        found.update({pack.name: rows for pack, rows in split_rows(named, read_index(index, data))})
    assert indexes == {}
    found.update(
        {pack.name: rows for pack, rows in split_rows(trees.table.beside(), trees.table.rows)}
    )
    for pack, holds_trees in packs:
        assert found[pack.name] == (b"" if holds_trees else pack.rows)
        rows = content_rows("pack", pack.name, pack.rows)
        if holds_trees:
            assert rows is None
            continue
        assert rows is not None
        by_row = [
            packfile.decoded_object(*row[1:3], _body(pack, row), row.size, row.oid) for row in rows
        ]
        assert by_row == list(read_pack(pack.name, pack.data))


def _body(pack: FinishedPack, row: packfile.PackRow) -> bytes:
    return pack.data[row.offset : row.offset + row.stored_bytes]


_GOOD = [object_id(Kind.BLOB, b"%d" % each) for each in range(3)]


def _rows(*changes: tuple[int, int, object]) -> bytes:
    """Return three rows of a pack of 1,000 bytes, with some fields of some rows altered."""
    rows: list[list[object]] = [
        [oid, Kind.BLOB, 0, 10, 10, 16 + 10 * at] for at, oid in enumerate(sorted(_GOOD))
    ]
    for row, field, value in changes:
        rows[row][field] = value
    return b"".join(packfile._ROW.pack(*row) for row in rows)


@pytest.mark.parametrize(
    "rows",
    [
        _rows((1, 3, 2**32 - 1)),
        _rows((1, 3, packfile.OBJECT_MAX + 1)),
        _rows((1, 4, 2**32 - 1)),
        _rows((2, 4, 1_000)),
        _rows((1, 5, 2**64 - 1)),
        _rows((1, 5, 2**63)),
        _rows((0, 5, 0)),
        _rows((0, 5, 15)),
        _rows((1, 5, 20)),
        _rows((2, 5, 825)),
        _rows((1, 1, 0)),
        _rows((1, 1, 200)),
        _rows((1, 2, 77)),
        _rows((1, 0, min(_GOOD))),
        _rows((0, 0, b"\xff" * 32)),
    ],
)
def test_rows_that_no_pack_has(rows: bytes) -> None:
    name = PackName(bytes(32), 1_000)
    assert content_rows("pack x", name, _rows()) is not None
    with pytest.raises(CorruptObject, match="pack x of the remote has"):
        content_rows("pack x", name, rows)


@pytest.mark.parametrize("kind", [Kind.TREE, Kind.COMMIT, Kind.PARTS])
def test_a_pack_with_other_objects_is_read_whole(kind: Kind) -> None:
    """Nothing but contents is ever promised, whatever a remote says."""
    assert content_rows("pack x", PackName(bytes(32), 1_000), _rows((1, 1, kind))) is None


def _head(
    packs: list[tuple[bytes, int, int, int]], indexes: list[tuple[bytes, int, int]], rows: bytes
) -> bytes:
    counts = treesfile._COUNTS.pack(0, len(packs), len(indexes))
    named = b"".join(packtable._PACK.pack(*each) for each in packs)
    listed = b"".join(packtable._INDEX.pack(*each) for each in indexes)
    return sealed(treesfile.HEAD + counts + named + listed + rows)


_D = b"d" * 32
_ROW = _rows()[: packfile.ROW_BYTES]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_head([(_D, 100, 2, 0)], [], b""), "impossible head"),
        (_head([(_D, 100, 1, 1)], [], _ROW), "impossible head"),
        (_head([(_D, 2**63, 0, 1)], [], _ROW), "impossible size"),
        (_head([(_D, 100, 0, 2)], [], _ROW), "within its rows"),
        (_head([(_D, 100, 0, 2**32 - 1)], [], _ROW), "more rows than"),
        (_head([(_D, 100, 0, 50_000)] * 2, [], _ROW * 100_000), "more rows than"),
        (
            _head([(_D, 100, 0, 1)] * 3, [(_D, 16 + 4 * packfile.ROW_BYTES, 4)], b""),
            "does not name",
        ),
        (
            _head([(_D, 100, 0, 1)], [(_D, 16 + packfile.ROW_BYTES, 2**32 - 1)], b""),
            "does not name",
        ),
        (_head([(_D, 100, 0, 1)], [(_D, 16 + packfile.ROW_BYTES, 1)] * 2, b""), "does not name"),
        (_head([(_D, 100, 0, 1)], [(_D, 15 + packfile.ROW_BYTES, 1)], b""), "impossible size"),
        (
            _head([(_D, 100, 0, 2**32 - 1)], [(_D, 16 + packfile.ROW_BYTES * (2**32 - 1), 1)], b""),
            "impossible size",
        ),
        (sealed(treesfile.HEAD + struct.pack("<III", 2**32 - 1, 0, 0)), "impossible head"),
        (sealed(treesfile.HEAD + struct.pack("<III", 0, 2**32 - 1, 0)), "impossible head"),
        (sealed(treesfile.HEAD + struct.pack("<III", 0, 0, 2**32 - 1)), "impossible head"),
        (sealed(treesfile.OLD_HEAD + struct.pack("<II", 0, 2**32 - 1)), "impossible head"),
        (sealed(treesfile.OLD_HEAD + struct.pack("<II", 2**32 - 1, 0)), "impossible head"),
        (sealed(treesfile.HEAD + b"\0" * 8), "damaged or cut off"),
        (sealed(b"helios-trees 4\n\0" + b"\0" * 12), "a later heliosfs"),
        (sealed(b"helios-trees\n\0\0\0" + b"\0" * 12), "damaged or cut off"),
    ],
)
def test_heads_that_no_push_writes(data: bytes, reason: str) -> None:
    with pytest.raises(CorruptObject, match=reason):
        read_trees("trees/x", data)


@pytest.mark.parametrize(
    ("head", "base_bytes", "pack_bytes"),
    [(treesfile.HEAD, 0, 45), (treesfile.HEAD, 32, 0), (treesfile.OLD_HEAD, 0, 40)],
)
def test_more_packs_than_any_push_has_take_no_memory(
    head: bytes, base_bytes: int, pack_bytes: int
) -> None:
    count = packtable.NAMED_MAX + 1
    counts = [count if each else 0 for each in (base_bytes, pack_bytes)]
    if head == treesfile.HEAD:
        counts.append(0)
    packed = struct.pack(f"<{len(counts)}I", *counts)
    with pytest.raises(CorruptObject, match="impossible head"):
        read_trees("trees/x", sealed(head + packed + bytes(count * (base_bytes + pack_bytes))))


def test_an_index_is_what_its_name_says() -> None:
    pack = _pack(b"1", b"2")
    data = packtable.INDEX_HEAD + pack.rows
    index = packtable.IndexName(blake3(data).digest(), len(data), 1)
    assert read_index(index, data) == pack.rows
    for bad in (data[:-1], data + b"x", b"", bytes(len(data))):
        with pytest.raises(CorruptObject, match="other bytes"):
            read_index(index, bad)
    headless = b"x" * 16 + pack.rows
    with pytest.raises(CorruptObject, match="other bytes"):
        read_index(index._replace(digest=blake3(headless).digest()), headless)


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packfile, "PACK_FULL_BYTES", 3_000)
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)
    monkeypatch.setattr(treesfile, "FRAMES_FULL_BYTES", 1_000)
    monkeypatch.setattr(treesfile, "FRAME_BYTES", 500)


def _filled(bucket: MemoryBucket) -> Machine:
    rng = random.Random(7)
    machine = Machine(bucket)
    for number in range(20):
        names = {f"d{at}/f{number}": rng.randbytes(400) for at in range(4)}
        machine.commit("work", **names, big=rng.randbytes(1_200_000) if number == 3 else b"small")
    machine.push()
    return machine


@pytest.mark.usefixtures("small_packs")
def test_contents_share_a_pack_with_nothing_else() -> None:
    bucket = MemoryBucket()
    _filled(bucket)
    (key,) = [each.key for each in bucket.list(TREES)]
    trees = read_trees(key, bucket.get(key).data)
    kinds: dict[bool, set[Kind]] = {False: set(), True: set()}
    for pack in trees.packs:
        data = bucket.get(f"packs/{pack.name.digest.hex()}").data
        kinds[pack.holds_trees] |= {found.kind for found in read_pack(pack.name, data)}
    assert kinds[False] == {Kind.BLOB}
    assert kinds[True] == {Kind.TREE, Kind.COMMIT, Kind.PARTS}


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("is_lazy", [False, True])
def test_the_first_form_is_read(*, is_lazy: bool) -> None:
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    make_old(bucket)
    reader = Machine(bucket, is_lazy=is_lazy)
    reader.fetch()
    assert reader.origin_main == pusher.head
    assert bool(reader.store.promises) is is_lazy
    # And a push of today goes on from there.
    pusher.commit("more", a=b"1")
    pusher.push()
    reader.fetch()
    assert reader.origin_main == pusher.head


@pytest.mark.usefixtures("small_packs")
def test_tables_at_the_ends_of_packs_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliosfs.remote import reading

    monkeypatch.setattr(reading, "_TAIL_BYTES", 100)
    bucket = MemoryBucket()
    _filled(bucket)
    make_old(bucket)
    reader = Machine(bucket, is_lazy=True)
    reader.fetch()
    assert len(reader.store.promises) > 80


def _without_index(bucket: MemoryBucket, key: str) -> None:
    bucket.delete(key)


def _with_damaged_index(bucket: MemoryBucket, key: str) -> None:
    data = bytearray(bucket.get(key).data)
    data[40] ^= 1
    replace(bucket, key, bytes(data))


def _with_short_index(bucket: MemoryBucket, key: str) -> None:
    replace(bucket, key, bucket.get(key).data[:-1])


def _with_long_index(bucket: MemoryBucket, key: str) -> None:
    replace(bucket, key, bucket.get(key).data + b"x")


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize(
    "spoil", [_without_index, _with_damaged_index, _with_short_index, _with_long_index]
)
def test_an_index_that_is_missing_or_damaged(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[MemoryBucket, str], None]
) -> None:
    monkeypatch.setattr(packtable, "INLINE_MAX", 0)
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    (key,) = [each.key for each in bucket.list("index/")]
    reader = Machine(bucket, is_lazy=True)
    sound = bucket.get(key).data
    spoil(bucket, key)
    with pytest.raises(HeliosError, match="nothing was changed"):
        reader.fetch()
    assert reader.tracked == {}
    assert len(reader.store.promises) == 0
    # Who wants all of it does not need the index.
    full = Machine(bucket)
    full.pull()
    full.check()
    if spoil is _without_index:
        bucket.create(key, sound)
    else:
        replace(bucket, key, sound)
    reader.fetch()
    assert reader.origin_main == pusher.head
    assert len(reader.store.promises) > 80
