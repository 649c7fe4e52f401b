"""Pieces of parts of large files, read alone, in each layer and after all that moves a body."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from heliosfs.errors import CorruptObject, StoreError, StoreFormat
from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.repo.backup import back_up
from heliosfs.repo.backup_directory import open_backup
from heliosfs.repo.gc.collect import last_collected
from heliosfs.steps import drain, perform, run_to_end
from heliosfs.store import version
from heliosfs.store.base import NewObject
from heliosfs.store.encoding import large, packs
from heliosfs.store.encoding.codecs import Codec
from heliosfs.store.encoding.places import PackLocation
from heliosfs.store.gc.packcopy import naming
from heliosfs.store.l2.change import ReclaimTransaction
from heliosfs.store.l2.reader import place_of
from heliosfs.store.l2.record import Payload
from heliosfs.store.local import LocalStore
from heliosfs.store.memory import MemoryStore
from heliosfs.workspace.offloading import plan_offload
from tests.crash.damage import Opened
from tests.stores import finish, open_local
from tests.tree_builder import Stage

DICE = random.Random(5)
WORDS = [DICE.randbytes(3).hex().encode() for _ in range(500)]


def text(seed: int) -> bytes:
    dice = random.Random(seed)
    return b" ".join(dice.choice(WORDS) for _ in range(20_000))[:PART_BYTES]


RANDOMS = [random.Random(seed).randbytes(PART_BYTES) for seed in range(4)]
TEXTS = [text(seed) for seed in range(4)]
PARTS = [*RANDOMS, *TEXTS, TEXTS[0][:70_000] + RANDOMS[0][70_000:]]
RANGES = [(0, 1), (4096, 8192), (8000, 8400), (65_500, 65_600), (PART_BYTES - 4096, PART_BYTES)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    opened = open_local(tmp_path)
    yield opened
    opened.close()


def add(store: LocalStore, *contents: bytes, is_urgent: bool = False) -> list[Oid]:
    """Add objects as the offloading of a large file adds its parts."""
    work = store.plan_add([NewObject(Kind.BLOB, data) for data in contents], is_urgent=is_urgent)
    perform(work)
    store.publish()
    return list(work.oids)


def compress(store: LocalStore) -> None:
    while (work := store.plan_compress()) is not None:
        perform(work)


def pieces(store: LocalStore, data: bytes) -> int:
    """Read pieces of a part, compare them, and return how many there were, and not None."""
    oid, count = object_id(Kind.BLOB, data), 0
    for start, stop in RANGES:
        found = store.read_piece(oid, Kind.BLOB, len(data), start, stop)
        assert found in (None, data[start:stop])
        count += found is not None
    assert count in (0, len(RANGES))
    assert store.read(oid, Kind.BLOB) == data
    return count


def place(store: LocalStore, data: bytes) -> PackLocation:
    with store._l2.reading() as snapshot:
        (number,) = snapshot.candidates(object_id(Kind.BLOB, data))
        return place_of(snapshot.payload(number))


def format_of(path: Path) -> str:
    return (path / "format").read_text().split()[-1]


def test_what_is_compressed_has_pieces_at_once_and_the_rest_when_there_is_time(
    store: LocalStore, tmp_path: Path
) -> None:
    add(store, *PARTS)
    for data in PARTS:
        assert bool(pieces(store, data)) == (data not in RANDOMS)
    drain(store)
    size = sum(path.stat().st_size for path in tmp_path.glob("pack-*"))
    before = [place(store, data) for data in RANDOMS]
    compress(store)
    assert all(pieces(store, data) for data in PARTS)
    # What cannot shrink stays where it is.
    assert sum(path.stat().st_size for path in tmp_path.glob("pack-*")) == size
    after = [place(store, data) for data in RANDOMS]
    assert [each[:3] for each in after] == [each[:3] for each in before]
    assert {each.codec for each in after} == {Codec.BLOCKS}
    assert store.inspect().problems() == []
    store.close()
    again = open_local(tmp_path)
    assert all(pieces(again, data) for data in PARTS)
    again.close()


def test_what_came_in_a_hurry_has_pieces_later(store: LocalStore) -> None:
    add(store, *PARTS, is_urgent=True)
    assert not any(pieces(store, data) for data in PARTS)
    drain(store)
    compress(store)
    assert all(pieces(store, data) for data in PARTS)


def test_what_the_owner_adds_has_pieces(store: LocalStore) -> None:
    for data in PARTS:
        store.add(object_id(Kind.BLOB, data), Kind.BLOB, data)
    store.publish()
    # In memory there is nothing shorter than all of it.
    assert not any(pieces(store, data) for data in PARTS)
    drain(store)
    assert all(pieces(store, data) for data in PARTS)


def test_what_is_no_part_has_none(store: LocalStore) -> None:
    contents = [b"small", RANDOMS[0] + b"1", TEXTS[0][:100_000], b""]
    for data in contents:
        add(store, data)
    drain(store)
    for data in contents:
        oid = object_id(Kind.BLOB, data)
        assert store.read_piece(oid, Kind.BLOB, len(data), 0, min(1, len(data))) is None


def test_nothing_else_is_taken_for_a_piece(store: LocalStore) -> None:
    (oid,) = add(store, TEXTS[0])
    for is_drained in (False, True):
        if is_drained:
            drain(store)
        assert store.read_piece(oid, Kind.BLOB, PART_BYTES, 0, 10) == TEXTS[0][:10]
        assert store.read_piece(oid, Kind.TREE, PART_BYTES, 0, 10) is None
        assert store.read_piece(oid, Kind.BLOB, PART_BYTES - 1, 0, 10) is None
        assert store.read_piece(oid, Kind.BLOB, PART_BYTES, 0, PART_BYTES + 1) is None
        assert store.read_piece(oid, Kind.BLOB, PART_BYTES, 10, 10) is None
        # One that shares the short id.
        assert store.read_piece(Oid(oid[:7] + bytes(25)), Kind.BLOB, PART_BYTES, 0, 10) is None


def test_a_store_in_memory_answers_likewise() -> None:
    store = MemoryStore()
    oid = object_id(Kind.BLOB, TEXTS[0])
    assert store.read_piece(oid, Kind.BLOB, PART_BYTES, 0, 10) is None
    store.add(oid, Kind.BLOB, TEXTS[0])
    assert store.read_piece(oid, Kind.BLOB, PART_BYTES, 4, 10) == TEXTS[0][4:10]
    assert store.read_piece(oid, Kind.TREE, PART_BYTES, 4, 10) is None
    assert store.read_piece(oid, Kind.BLOB, 5, 4, 5) is None


@pytest.mark.parametrize("is_drained", [False, True])
@pytest.mark.parametrize("data", [RANDOMS[0], TEXTS[0]], ids=["raw", "lz4"])
def test_damage_is_left_to_a_read_of_all(tmp_path: Path, data: bytes, *, is_drained: bool) -> None:
    store = open_local(tmp_path)
    (oid,) = add(store, data)
    if is_drained:
        drain(store)
        compress(store)
        found = place(store, data)
        at = found.offset + found.length - 100
    else:
        at = (tmp_path / "pack-1").stat().st_size - 100
    with open(tmp_path / "pack-1", "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes((byte[0] ^ 1,)))
    assert store.read_piece(oid, Kind.BLOB, PART_BYTES, PART_BYTES - 300, PART_BYTES) is None
    with pytest.raises(CorruptObject, match=oid.hex()):
        store.read(oid, Kind.BLOB)
    if is_drained:
        # The other blocks are as they were.
        assert store.read_piece(oid, Kind.BLOB, PART_BYTES, 0, 10) == data[:10]
    store.close()


def _rewrite(payload: Payload, spoilt: PackLocation, change: ReclaimTransaction) -> None:
    change.rewrite(payload.number, naming(payload, spoilt))


@pytest.mark.parametrize("data", [RANDOMS[0], TEXTS[0]], ids=["raw", "lz4"])
def test_a_damaged_table_is_left_to_a_read_of_all(store: LocalStore, data: bytes) -> None:
    (oid,) = add(store, data)
    drain(store)
    compress(store)
    for at in (5, -1):
        found = place(store, data)
        table = bytearray(found.table)
        table[at] ^= 1
        with store._l2.reading() as snapshot:
            (number,) = snapshot.candidates(oid)
            payload = snapshot.payload(number)
        spoilt = found._replace(table=bytes(table))
        store._l2.change(partial(_rewrite, payload, spoilt))
        assert store.read_piece(oid, Kind.BLOB, PART_BYTES, 0, 10) is None
        assert store.read(oid, Kind.BLOB) == data


def test_a_sound_copy_is_found_behind_a_damaged_one(store: LocalStore, tmp_path: Path) -> None:
    (oid,) = add(store, TEXTS[0])
    drain(store)
    with open(tmp_path / "pack-1", "r+b") as file:
        file.write(b"damage")
    add(store, TEXTS[0])
    drain(store)
    assert store.read_piece(oid, Kind.BLOB, PART_BYTES, 0, 10) == TEXTS[0][:10]
    assert store.read(oid, Kind.BLOB) == TEXTS[0]


def test_a_kill_leaves_pieces_of_what_was_published(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    add(store, *TEXTS)
    add(store, *RANDOMS, is_urgent=True)
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path, copied)
    store.close()
    again = open_local(copied)
    assert all(pieces(again, data) for data in TEXTS)
    assert not any(pieces(again, data) for data in RANDOMS)
    assert format_of(copied) == "5"
    again.close()


def test_what_a_collection_copies_keeps_its_pieces(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "PACK_MAX_BYTES", 4 * PART_BYTES)
    oids = add(store, *PARTS)
    drain(store)
    compress(store)
    kept = [(oids[at], PARTS[at]) for at in (0, 4, 8)]
    before = [place(store, data) for _, data in kept]
    collection = store.collect()
    with collection.snapshot():
        for oid, _ in kept:
            collection.mark(oid)
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    collection.close()
    after = [place(store, data) for _, data in kept]
    assert after != before
    assert [each.table for each in after] == [each.table for each in before]
    assert all(pieces(store, data) for _, data in kept)


def test_a_collection_that_makes_tables_alone_saves_nothing(store: LocalStore) -> None:
    stage = Stage(cast("MemoryStore", store))
    stage.files.write(b"large", random.Random(1).randbytes(WHOLE_MAX + PART_BYTES))
    offload = plan_offload(stage.view.workspace.working_set, WHOLE_MAX, is_urgent=True)
    assert offload is not None
    perform(offload)
    stage.commit()
    drain(store)
    before = store.stats().stored_bytes
    assert "less" not in stage.run("gc", "--aggressive")
    assert store.stats().stored_bytes > before
    collected = last_collected(store)
    assert collected is not None
    assert collected.packed_bytes == 0


@pytest.mark.parametrize("is_old", [False, True])
def test_an_aggressive_collection_makes_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_old: bool
) -> None:
    store = open_local(tmp_path)
    with monkeypatch.context() as before:
        if is_old:
            before.setattr(large, "PART_BYTES", -1)
        oids = add(store, *PARTS, is_urgent=True)
        drain(store)
    store.close()
    assert format_of(tmp_path) == "3"
    again = open_local(tmp_path)
    assert not any(pieces(again, data) for data in PARTS)
    collection = again.collect()
    with collection.snapshot():
        for oid in oids:
            collection.mark(oid)
    finish(collection.plan_settle)
    finish(collection.plan_pack)
    finish(collection.plan_sweep)
    collection.close()
    assert all(pieces(again, data) for data in PARTS)
    assert {place(again, data).codec for data in PARTS} == {Codec.BLOCKS}
    assert again.inspect().problems() == []
    again.close()
    assert format_of(tmp_path) == "5"


def test_a_table_takes_no_place_in_the_books_of_the_packs(
    store: LocalStore, tmp_path: Path
) -> None:
    """A body that was appended and is not named yet keeps its pack while others get tables."""
    add(store, *RANDOMS)
    drain(store)
    uses = dict(store._l2.uses)
    before = store.stats()
    # Published, in the same pack, and not in L2.
    waiting = add(store, PARTS[-1])
    unnamed = dict(store._l2.packs._unnamed)
    assert unnamed[1] == 1
    compress(store)
    assert store._l2.packs._unnamed == unnamed
    assert store._l2.uses == uses
    after = store.stats()
    assert 0 < after.stored_bytes - before.stored_bytes < 4 * 400
    assert (after.objects, after.logical_bytes) == (before.objects, before.logical_bytes)
    drain(store)
    assert store.read(waiting[0], Kind.BLOB) == PARTS[-1]


def test_a_backup_keeps_pieces(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.mkdir()
    (path / "id").write_text("0123456789abcdef" * 2 + "\n")
    opened = Opened(path, 1_700_000_000 * 10**9)
    store = opened.store
    for _ in range(2):
        add(store, *PARTS)
        drain(store)
        compress(store)
        steps = back_up(opened.repository, str(tmp_path / "copy"), keeps_going=False)
        run_to_end(steps, store)
        copy = open_backup(str(tmp_path / "copy"))
        assert all(pieces(copy, data) for data in PARTS)
        assert copy.inspect().problems() == []
        copy.close()
    opened.close()
    assert format_of(tmp_path / "copy") == "5"


# --- what the file `format` says


def test_format_says_it_before_anything_names_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_local(tmp_path)
    add(store, b"small", RANDOMS[0])
    drain(store)
    assert format_of(tmp_path) == "3"
    seen: list[str] = []
    for owner, name in ((store._journal, "append"), (store._l2, "change"), (store._l2, "write")):
        monkeypatch.setattr(owner, name, telling(getattr(owner, name), tmp_path, seen))
    compress(store)
    assert seen == ["5"]
    (tmp_path / "format").write_text("heliosfs store\nversion 3\n")
    store.close()
    other = open_local(tmp_path)
    seen.clear()
    for owner, name in ((other._journal, "append"), (other._l2, "change"), (other._l2, "write")):
        monkeypatch.setattr(owner, name, telling(getattr(owner, name), tmp_path, seen))
    add(other, TEXTS[0])
    assert seen == ["5"]
    other.close()


def telling(call: Callable[..., object], path: Path, seen: list[str]) -> Callable[..., object]:
    def told(*args: object, **options: object) -> object:
        seen.append(format_of(path))
        return call(*args, **options)

    return told


def test_an_earlier_program_refuses_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_local(tmp_path)
    add(store, TEXTS[0])
    store.close()
    monkeypatch.setattr(version, "_NEWEST", version.PROMISING)
    with pytest.raises(StoreFormat, match=r"format 5.*install a newer heliosfs"):
        open_local(tmp_path)


def test_an_old_store_is_read_and_becomes_a_new_one_with_the_first_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_local(tmp_path)
    with monkeypatch.context() as before:
        before.setattr(large, "PART_BYTES", -1)
        add(store, *PARTS[:-1])
        drain(store)
    store.close()
    for _ in range(2):
        again = open_local(tmp_path)
        assert not any(pieces(again, data) for data in PARTS[:-1])
        again.close()
        assert format_of(tmp_path) == "3"
    again = open_local(tmp_path)
    add(again, PARTS[-1])
    drain(again)
    assert format_of(tmp_path) == "5"
    assert [bool(pieces(again, data)) for data in PARTS] == [False] * 8 + [True]
    again.close()


def test_promises_come_and_go_in_a_store_with_blocks(store: LocalStore, tmp_path: Path) -> None:
    version.declare_promises(store._directory, has_promises=True)
    assert format_of(tmp_path) == "4"
    add(store, TEXTS[0])
    assert format_of(tmp_path) == "5"
    for has_promises in (True, False):
        version.declare_promises(store._directory, has_promises=has_promises)
        assert format_of(tmp_path) == "5"


def test_nothing_is_written_if_format_cannot_be(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("no room")

    with monkeypatch.context() as failing, pytest.raises(StoreError, match="no room"):
        failing.setattr(version, "write_format", full)
        add(store, TEXTS[0])
    assert list(tmp_path.glob("pack-*")) == []
    (oid,) = add(store, TEXTS[0])
    assert format_of(tmp_path) == "5"
    assert store.read(oid, Kind.BLOB) == TEXTS[0]


def test_an_upgrade_says_it_last(tmp_path: Path, store: LocalStore) -> None:
    declaration = version.BlocksDeclaration(store._directory)
    assert declaration.version == version.VERSION
    (tmp_path / "format").write_text("heliosfs store\nversion 1\n")
    declaration.declare()
    assert format_of(tmp_path) == "1"
    assert declaration.version == version.IN_BLOCKS
    (tmp_path / "format").write_text("heliosfs store\nversion 3\n")
