"""Short reads of large files: which take a piece of a part, and that all of them are right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.errors import MissingObject
from heliosfs.objects.blob import PART_BYTES
from heliosfs.objects.ids import Kind, Oid
from heliosfs.steps import drain, perform
from heliosfs.store.base import NewObject
from heliosfs.store.local import LocalStore
from heliosfs.workspace.account import Account
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.scattered import SCATTERED_MAX_BYTES, ScatteredReads
from tests.stores import open_local

PAGE = 4096
WORDS = [random.Random(3).randbytes(3).hex().encode() for _ in range(300)]


class CountingStore(LocalStore):
    """A store that counts the reads of whole parts."""

    whole = 0

    def read(self, oid: Oid, kind: Kind) -> bytes:
        self.whole += kind is Kind.BLOB
        return super().read(oid, kind)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingStore]:
    monkeypatch.setattr("tests.stores.LocalStore", CountingStore)
    opened = open_local(tmp_path)
    assert isinstance(opened, CountingStore)
    yield opened
    opened.close()


def content(part_count: int) -> bytes:
    """Parts that cannot be compressed, that can, holes, and a short last one, in turn."""
    dice = random.Random(9)
    parts = [
        dice.randbytes(PART_BYTES),
        b" ".join(dice.choice(WORDS) for _ in range(20_000))[:PART_BYTES],
        bytes(PART_BYTES),
    ]
    whole = b"".join(parts[number % 3] for number in range(part_count))
    return whole + dice.randbytes(70_000)


def stored(store: LocalStore, data: bytes) -> Oid:
    """Store a large file as a mount does: its parts ahead, then the rest; return its id."""
    file = LargeFile.of_bytes(data)
    parts = file.dirty_parts(store, len(data))
    work = store.plan_add([NewObject(Kind.BLOB, part.data) for part in parts])
    perform(work)
    for part, oid in zip(parts, work.oids, strict=True):
        file.mark_stored(part, oid)  # type: ignore[arg-type]
    oid = file.freeze(store, None)
    store.publish()
    drain(store)
    while (compression := store.plan_compress()) is not None:
        perform(compression)
    return oid


def test_reads_at_random_load_no_part(store: CountingStore) -> None:
    data = content(300)
    account = Account()
    file = LargeFile.load(store, stored(store, data), account)
    dice = random.Random(4)
    numbers = [number for number in range(300) if number % 3 != 2]
    for number in dice.sample(numbers, 150):
        offset = number * PART_BYTES + dice.randrange(PART_BYTES // PAGE) * PAGE
        assert file.read(store, offset, PAGE) == data[offset : offset + PAGE]
    assert store.whole == 0
    assert account.part_bytes == 0


def test_all_kinds_of_reads_and_writes_agree_with_a_model(store: CountingStore) -> None:
    for seed in range(4):
        dice = random.Random(seed)
        model = bytearray(content(20))
        file = LargeFile.load(store, stored(store, bytes(model)))
        for _ in range(400):
            offset = dice.randrange(len(model) + 10_000)
            length = dice.choice(
                (1, 100, PAGE, SCATTERED_MAX_BYTES, SCATTERED_MAX_BYTES + 1, 200_000)
            )
            deed = dice.randrange(12)
            if deed == 0:
                piece = dice.randbytes(min(length, 40_000))
                file.write(store, offset, piece)
                model.extend(bytes(max(0, offset + len(piece) - len(model))))
                model[offset : offset + len(piece)] = piece
            elif deed == 1 and offset < len(model):
                end = min(offset + length, len(model))
                file.punch(store, offset, end)
                model[offset:end] = bytes(end - offset)
            elif deed == 2 and len(model) > 2 << 20:
                size = len(model) - dice.randrange(150_000)
                file.resize(store, size)
                del model[size:]
            elif deed == 3:
                file.store_parts(store)
                store.publish()
            else:
                wanted = bytes(model[offset : offset + length])
                assert file.read(store, offset, length) == wanted
        assert file.read(store, 0, len(model)) == bytes(model)


def test_who_goes_on_is_served_from_the_whole_part(store: CountingStore) -> None:
    data = content(12)
    file = LargeFile.load(store, stored(store, data))
    for offset in range(0, 2 * PART_BYTES, PAGE):
        assert file.read(store, offset, PAGE) == data[offset : offset + PAGE]
    assert store.whole == 2


def test_who_comes_back_is_served_from_the_whole_part(store: CountingStore) -> None:
    data = content(12)
    file = LargeFile.load(store, stored(store, data))
    offsets = [at * PAGE for at in random.Random(2).sample(range(0, 32, 2), 16)]
    for count, offset in enumerate(offsets, 1):
        assert file.read(store, offset, PAGE) == data[offset : offset + PAGE]
        assert store.whole == (count > 3)


def test_a_long_read_loads_the_part(store: CountingStore) -> None:
    data = content(12)
    file = LargeFile.load(store, stored(store, data))
    assert file.read(store, 0, SCATTERED_MAX_BYTES + 1) == data[: SCATTERED_MAX_BYTES + 1]
    assert store.whole == 1
    assert (
        file.read(store, PART_BYTES, SCATTERED_MAX_BYTES) == data[PART_BYTES:][:SCATTERED_MAX_BYTES]
    )
    assert store.whole == 1


def test_what_is_missing_is_told_as_ever(store: CountingStore) -> None:
    file = LargeFile(3 * PART_BYTES, {0: Oid(b"1" * 32)})  # type: ignore[dict-item]
    with pytest.raises(MissingObject):
        file.read(store, 0, PAGE)
    assert file.read(store, PART_BYTES, PAGE) == bytes(PAGE)


def test_the_count_of_pieces_is_bounded() -> None:
    reads = ScatteredReads()
    for number in range(10_000):
        assert reads.is_piece(number % 5000, 0, PAGE)
    assert len(reads._counts) == 64
    assert not reads.is_piece(1, 0, SCATTERED_MAX_BYTES + 1)
    # A part is counted anew after it was loaded.
    found = [reads.is_piece(7, at * 8192, at * 8192 + PAGE) for at in range(9)]
    assert found == [True, True, True, False, True, True, True, False, True]
