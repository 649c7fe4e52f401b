"""Parts of large files in blocks: the format, pieces of them, and damage of each kind."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from blake3 import blake3

from heliosfs.objects.blob import PART_BYTES
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.blocks import (
    blocks_between,
    blocks_in,
    decode_blocks,
    is_sound,
    make_table,
    split_blocks,
    with_table,
)
from heliosfs.store.encoding.codecs import (
    Codec,
    DecodeError,
    encode,
    read_varint,
    varint,
)
from heliosfs.store.encoding.large import encode_object, is_part
from heliosfs.store.encoding.packfiles import PackFiles
from heliosfs.store.encoding.pieces import piece_at
from heliosfs.store.encoding.places import PackLocation, decode_location

DICE = random.Random(7)
RANDOM = DICE.randbytes(PART_BYTES)
WORDS = [DICE.randbytes(3).hex().encode() for _ in range(500)]
TEXT = b" ".join(DICE.choice(WORDS) for _ in range(PART_BYTES))[:PART_BYTES]
MIXED = TEXT[:70_000] + RANDOM[70_000:]
PARTS = {"raw": RANDOM, "lz4": TEXT, "mixed": MIXED, "zstd": TEXT}


def oid_of(data: bytes) -> Oid:
    return object_id(Kind.BLOB, data)


def encoded_of(name: str) -> bytes:
    data = PARTS[name]
    codec, body = encode_object(oid_of(data), Kind.BLOB, data, prefer_zstd=name == "zstd")
    assert codec == Codec.BLOCKS
    return body


def decoded(body: bytes, size: int) -> bytes:
    return decode_blocks(*split_blocks(body), size)


def digest(data: bytes) -> bytes:
    return blake3(data).digest(16)


def test_the_bytes_of_a_table_of_blocks_that_are_as_they_came() -> None:
    oid = oid_of(RANDOM)
    table, stored = split_blocks(encoded_of("raw"))
    assert stored == RANDOM
    wanted = b"\x0d" + b"".join(
        struct.pack("<I", 8192 * 4) + digest(RANDOM[at : at + 8192])
        for at in range(0, PART_BYTES, 8192)
    )
    wanted += digest(oid + struct.pack("<Q", PART_BYTES) + wanted)
    assert table == wanted
    assert len(table) == 337
    assert all(block.is_raw for block in blocks_in(table, PART_BYTES))


def test_the_bytes_of_a_table_of_blocks_of_each_kind() -> None:
    oid = oid_of(MIXED)
    body = encoded_of("mixed")
    table, stored = split_blocks(body)
    first = encode(MIXED[:65_536])
    assert first.codec == Codec.LZ4
    assert stored == first.body + MIXED[65_536:]
    wanted = b"\x10" + struct.pack("<I", len(first.body) * 4 + 1) + digest(first.body)
    wanted += struct.pack("<I", 65_536 * 4) + digest(MIXED[65_536:])
    assert table == wanted + digest(oid + struct.pack("<Q", PART_BYTES) + wanted)
    # In memory the table comes first, with its length.
    assert body == varint(len(table)) + table + stored
    assert [block.is_raw for block in blocks_in(table, PART_BYTES)] == [False, True]
    zstd, _ = split_blocks(encoded_of("zstd"))
    assert [block.codec for block in blocks_in(zstd, PART_BYTES)] == [Codec.ZSTD, Codec.ZSTD]


def test_the_bytes_of_a_place_with_a_table() -> None:
    place = PackLocation(3, 300, 1000, Codec.BLOCKS, b"t" * 200)
    assert place.encode() == bytes.fromhex("03ac02e80707c801") + b"t" * 200
    assert decode_location(b"x" + place.encode() + b"y", 1) == (place, 1 + len(place.encode()))
    for end in range(len(place.encode())):
        with pytest.raises(IndexError):
            decode_location(place.encode()[:end])
    # A place without one is as it was.
    assert PackLocation(3, 300, 1000, Codec.RAW).encode() == bytes.fromhex("03ac02e80700")


def test_only_whole_parts_are_in_blocks() -> None:
    assert is_part(Kind.BLOB, PART_BYTES)
    for kind, data in ((Kind.BLOB, RANDOM[:-1]), (Kind.BLOB, RANDOM + b"1"), (Kind.TREE, RANDOM)):
        assert encode_object(oid_of(data), kind, data).codec == Codec.RAW
    assert encode_object(oid_of(TEXT * 2), Kind.BLOB, TEXT * 2).codec == Codec.LZ4


@pytest.mark.parametrize("name", PARTS)
def test_all_of_a_part_comes_back(name: str) -> None:
    body = encoded_of(name)
    assert decoded(body, PART_BYTES) == PARTS[name]
    if name != "raw":
        assert len(body) < PART_BYTES * 9 // 10


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 12_288, 100_001])
def test_the_last_block_may_be_shorter(size: int) -> None:
    data = TEXT[:size]
    pieces = [data[at : at + 4096] for at in range(0, size, 4096)]
    coded = [encode(piece) for piece in pieces]
    table = make_table(oid_of(data), size, 4096, coded)
    body = with_table(table, b"".join(body for _, body in coded)).body
    assert decoded(body, size) == data
    assert [block.size for block in blocks_in(table, size)] == [len(piece) for piece in pieces]
    for other in (0, size + 4096, max(size - 4096, 0)):
        with pytest.raises(DecodeError):
            decoded(body, other)


def test_a_range_has_the_blocks_that_hold_it() -> None:
    table, _ = split_blocks(encoded_of("raw"))
    whole = blocks_in(table, PART_BYTES)
    assert len(whole) == 16
    for start, stop in ((0, 1), (8191, 8192), (8191, 8193), (8192, 8193), (1, PART_BYTES)):
        found, begin = blocks_between(table, PART_BYTES, start, stop)
        assert found == whole[start // 8192 : (stop - 1) // 8192 + 1]
        assert begin == start // 8192 * 8192
    for start, stop in ((5, 5), (6, 5), (-1, 5), (0, PART_BYTES + 1)):
        with pytest.raises(ValueError, match="of an object"):
            blocks_between(table, PART_BYTES, start, stop)


class Stored:
    """A part in a pack, and another one of the same kind behind it."""

    def __init__(self, path: Path, directory: Directory, name: str) -> None:
        self.data = PARTS[name]
        self.oid = oid_of(self.data)
        table, self.blocks = split_blocks(encoded_of(name))
        other = self.data[::-1]
        self.other_oid = oid_of(other)
        encoded = encode_object(self.other_oid, Kind.BLOB, other, prefer_zstd=name == "zstd")
        self.other_table, other_blocks = split_blocks(encoded.body)
        self.path = path / "pack-1"
        self.path.write_bytes(bytes(self.blocks) + bytes(other_blocks))
        self.place = PackLocation(1, 0, len(self.blocks), Codec.BLOCKS, table)
        self.files = PackFiles(directory, 0, set)

    def piece(self, place: PackLocation, start: int, stop: int) -> bytes | None:
        return piece_at(self.files, place, self.oid, PART_BYTES, start, stop)

    def refuses(self, place: PackLocation, oid: Oid | None = None, size: int = PART_BYTES) -> None:
        with pytest.raises(DecodeError):
            piece_at(self.files, place, oid or self.oid, size, 5000, 9000)


@pytest.fixture(params=list(PARTS))
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stored]:
    path = tmp_path_factory.mktemp("packs")
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    directory = Directory(fd)
    os.close(fd)
    made = Stored(path, directory, request.param)
    yield made
    made.files.close()
    directory.close()


def test_any_piece_is_that_of_the_part(stored: Stored) -> None:
    dice = random.Random(11)
    edges = [0, 1, 8191, 8192, 8193, 65_535, 65_536, 65_537, PART_BYTES - 1, PART_BYTES]
    ranges = [*pairwise(edges), (0, PART_BYTES)]
    for _ in range(300):
        start = dice.randrange(PART_BYTES)
        ranges.append((start, min(start + dice.choice((1, 100, 4096, 40_000)), PART_BYTES)))
    for start, stop in ranges:
        assert stored.piece(stored.place, start, stop) == stored.data[start:stop]
    assert stored.piece(stored.place._replace(codec=Codec.RAW, table=b""), 0, 10) is None


def test_no_damage_of_a_block_is_read(stored: Stored) -> None:
    sound = stored.path.read_bytes()
    for at in range(0, len(stored.blocks), 997):
        spoilt = bytearray(sound)
        spoilt[at] ^= 1 << at % 8
        stored.path.write_bytes(spoilt)
        refused = begin = 0
        for block in blocks_in(stored.place.table, PART_BYTES):
            is_hit = block.at <= at < block.at + block.length
            if is_hit:
                with pytest.raises(DecodeError, match="damaged"):
                    stored.piece(stored.place, begin, begin + 100)
                refused += 1
            else:
                wanted = stored.data[begin : begin + 100]
                assert stored.piece(stored.place, begin, begin + 100) == wanted
            begin += block.size
        assert refused == 1


def test_no_damage_of_a_table_is_read(stored: Stored) -> None:
    table = stored.place.table
    assert is_sound(table, stored.oid, PART_BYTES)
    for at in range(len(table)):
        for bit in (1, 128):
            spoilt = bytearray(table)
            spoilt[at] ^= bit
            stored.refuses(stored.place._replace(table=bytes(spoilt)))
            # All of it is never another part: its id tells.
            try:
                body = with_table(bytes(spoilt), stored.blocks).body
                found = decoded(body, PART_BYTES)
            except DecodeError:
                continue
            assert len(found) == PART_BYTES
    for length in (*range(40), len(table) - 1, len(table) + 1):
        stored.refuses(stored.place._replace(table=(table + b"\0")[:length]))


def test_what_is_of_another_part_is_refused(stored: Stored) -> None:
    # The table of another part, and that of this one for another.
    stored.refuses(stored.place._replace(table=stored.other_table))
    stored.refuses(stored.place, stored.other_oid)
    # One that shares the short id.
    stored.refuses(stored.place, Oid(stored.oid[:7] + bytes(25)))
    stored.refuses(stored.place, size=PART_BYTES - 1)
    # A place that no file has, and one that no number of the system holds.
    for offset in (1 << 40, (1 << 63) - 1, (1 << 64) - 1):
        stored.refuses(stored.place._replace(offset=offset))
    # The place of the other one, and a place between.
    for offset in (len(stored.blocks), 1, 8192):
        stored.refuses(stored.place._replace(offset=offset))


def test_swapped_blocks_are_refused(stored: Stored) -> None:
    table, first = stored.place.table, blocks_in(stored.place.table, PART_BYTES)
    entries = table[1:-16]
    swapped = table[:1] + entries[20:40] + entries[:20] + entries[40:] + table[-16:]
    stored.refuses(stored.place._replace(table=swapped))
    if first[0].length == first[1].length:
        sound = bytes(stored.blocks)
        length = first[0].length
        stored.path.write_bytes(sound[length : 2 * length] + sound[:length] + sound[2 * length :])
        stored.refuses(stored.place)


def test_a_pack_that_was_cut_short_is_refused(stored: Stored) -> None:
    last = blocks_in(stored.place.table, PART_BYTES)[-1]
    for length in (0, 1, last.at, last.at + last.length - 1):
        stored.path.write_bytes(bytes(stored.blocks[:length]))
        with pytest.raises(DecodeError, match="ends before byte"):
            stored.piece(stored.place, PART_BYTES - 10, PART_BYTES)
    stored.path.unlink()
    stored.files.close()
    with pytest.raises(DecodeError, match="cannot be read"):
        stored.piece(stored.place, 0, 10)


def test_a_body_that_is_cut_off_is_no_other_part(stored: Stored) -> None:
    body = with_table(stored.place.table, stored.blocks).body
    for length in (0, 1, 2, 30, 300, 5000, len(body) - 1):
        with pytest.raises(DecodeError):
            decoded(body[:length], PART_BYTES)
    number, _ = read_varint(body, 0)
    assert number == len(stored.place.table)
