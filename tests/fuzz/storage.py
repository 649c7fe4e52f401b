"""Harnesses of the store above L2: encodings, records, the journal, packs, the witness."""

from __future__ import annotations

import os
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.objects.ids import Kind
from heliosfs.store.directory import Directory
from heliosfs.store.edited import EditedObject, decode_edited
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.blocks import decode_blocks, split_blocks
from heliosfs.store.encoding.codecs import Codec, DecodeError, encode, encode_delta
from heliosfs.store.encoding.packs import load_packed
from heliosfs.store.encoding.pieces import piece_at
from heliosfs.store.encoding.places import (
    PackedObject,
    PackLocation,
    PackUse,
    decode_location,
    decode_uses,
    encode_uses,
)
from heliosfs.store.journal.journal import CHECKED_FROM, RECORD_HEAD, RECORD_MAGIC, Journal
from heliosfs.store.journal.replay import read_record, replay
from heliosfs.store.l2.record import (
    decode_chain,
    join_bundle,
    pack,
    read_alone,
    record_in,
    split_bundle,
    unpack,
)
from heliosfs.store.l2.series import Value, join_blocks, split_block
from heliosfs.store.pending import Pending
from heliosfs.store.witness import WITNESS_FILE, make_witness, read_witness
from tests.fuzz.harness import Harness
from tests.fuzz.shared import LONG, NEW, OLD, blob_id, in_blocks, opened
from tests.in_memory import tmpfs


def _codec(data: bytes) -> None:
    codec, size, split = struct.unpack_from("<BIH", data)
    body, base = data[7 : 7 + split], data[7 + split :]
    with suppress(DecodeError):
        assert len(codecs.decode(codec, body, size)) == size
    with suppress(DecodeError):
        assert len(codecs.decode_delta(codec, body, size, base)) == size


def _codec_seeds() -> list[bytes]:
    noise = bytes(range(256)) * 8
    encoded = [
        (encode(OLD), OLD, b""),
        (encode(OLD, prefer_zstd=True), OLD, b""),
        (encode(b"tiny"), b"tiny", b""),
    ]
    for new in (NEW, OLD + noise, noise + OLD):
        for prefer_zstd in (False, True):
            delta = encode_delta(new, OLD, prefer_zstd=prefer_zstd)
            assert delta is not None
            encoded.append((delta, new, OLD))
    return [
        struct.pack("<BIH", codec, len(data), len(body)) + body + base
        for (codec, body), data, base in encoded
    ]


def _record(data: bytes) -> None:
    payload = unpack(1000, data)
    if payload.base is None and payload.codec != Codec.PACKED:
        decode_chain([payload])


def _records() -> list[bytes]:
    whole, delta = encode(OLD), encode_delta(NEW, OLD)
    assert delta is not None
    return [
        pack(blob_id(OLD), Kind.BLOB, len(OLD), whole),
        pack(blob_id(NEW), Kind.BLOB, len(NEW), delta, 3, 1),
        pack(blob_id(b"c"), Kind.COMMIT, 1, encode(b"c")),
    ]


def _bundle(data: bytes) -> None:
    for record in split_bundle(data):
        with suppress(DecodeError):
            _record(record)
    for index in range(data[0]):
        record_in(data, index)
    read_alone(data)


def _bundle_seeds() -> list[bytes]:
    return [join_bundle(_records()), join_bundle([b"", *_records()]), b"\0\x02" + _records()[0]]


def _series(data: bytes) -> None:
    for _ in split_block(7, data):
        pass


def _series_seeds() -> list[bytes]:
    entries = {number: Value(number % 3, b"value %d" % number) for number in range(7, 90, 4)}
    return [block for _, block in join_blocks(entries)]


def _edited(data: bytes) -> None:
    size = int.from_bytes(data[:8], "little")
    edited, end = decode_edited(data, 8, size)
    assert end <= len(data), "an edit ends behind the bytes"
    edited.apply(OLD, Kind.BLOB, blob_id(b"abc" + OLD[3:90] + bytes(10)))


def _edited_seeds() -> list[bytes]:
    small, large = [(0, b"abc"), (90, bytes(10))], [(5, b"x")]
    return [
        size.to_bytes(8, "little") + EditedObject(blob_id(OLD), size, edits).encode()
        for size, edits in ((100, small), (100, large), (1 << 40, large))
    ]


def _location(data: bytes) -> None:
    place, _ = decode_location(data)
    packs, oid = opened().packs, blob_id(LONG)
    with suppress(DecodeError):
        piece = piece_at(packs.files, place, oid, len(LONG), 4000, 4200)
        assert piece is None or piece == LONG[4000:4200]
    with suppress(DecodeError):
        assert load_packed(packs, PackedObject(place, len(LONG)), Kind.BLOB, oid) == LONG
    load_packed(packs, PackedObject(place, len(OLD)), Kind.BLOB, blob_id(OLD))


def _location_seeds() -> list[bytes]:
    body = opened().location
    places = (body, body._replace(offset=1), PackLocation(9, 0, 5, 1), opened().blocks)
    return [place.encode() for place in places]


def _blocks(data: bytes) -> None:
    (size,) = struct.unpack_from("<I", data)
    assert len(decode_blocks(*split_blocks(data[4:]), size)) == size


def _blocks_seeds() -> list[bytes]:
    return [struct.pack("<I", len(LONG)) + in_blocks(LONG).body]


def _uses(data: bytes) -> None:
    assert encode_uses(decode_uses(data)) or True


def _uses_seeds() -> list[bytes]:
    return [encode_uses({1: PackUse(10, 10), 2: PackUse(90, 80)})]


def _journal(data: bytes) -> None:
    """A record whose checksum is right, whatever its table says."""
    (split,) = struct.unpack_from("<H", data)
    table, content = data[2 : 2 + split], data[2 + split :]
    seed = crc32(b"12345678")
    head = RECORD_HEAD.pack(RECORD_MAGIC, 0, len(table), len(content), 1, 0)
    check = crc32(head[CHECKED_FROM:] + table, seed)
    record = RECORD_HEAD.pack(RECORD_MAGIC, check, len(table), len(content), 1, 0)
    whole = record + table + content
    found = read_record(whole, 0, seed)
    assert found is None or found.end == len(whole)
    files = opened()
    (files.path / "journal-1").write_bytes(whole)
    try:
        replay(files.directory, files.packs, b"12345678", 0)
    finally:
        (files.path / "journal-1").unlink()


def _journal_seeds() -> list[bytes]:
    batches: list[tuple[list[Pending], dict[bytes, bytes | None]]] = [
        ([Pending(blob_id(OLD), Kind.BLOB, OLD, None)], {b"key": b"value", b"gone": None}),
        (
            [
                Pending(
                    blob_id(NEW),
                    Kind.BLOB,
                    EditedObject(blob_id(OLD), 10, [(1, b"x")]),
                    blob_id(OLD),
                )
            ],
            {},
        ),
        ([Pending(blob_id(OLD), Kind.BLOB, PackedObject(opened().location, len(OLD)), None)], {}),
        ([], {b"~op/" + bytes(16): b"x" * 40}),
    ]
    found = []
    with tempfile.TemporaryDirectory(dir=tmpfs()) as path:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        directory = Directory(fd)
        os.close(fd)
        for number, (objects, state) in enumerate(batches):
            journal = Journal(directory, b"12345678", number)
            journal.append(objects, state)
            journal.close(drained=False)
            name = max(Path(path).glob("journal-*"), key=lambda each: each.stat().st_mtime_ns)
            data = name.read_bytes()
            _, _, table, content, _, _ = RECORD_HEAD.unpack_from(data)
            begin = RECORD_HEAD.size
            found.append(struct.pack("<H", table) + data[begin : begin + table + content])
            name.unlink()
        directory.close()
    return found


def _segment(data: bytes) -> None:
    """A file of the journal, as it may be on a disk that was damaged."""
    files = opened()
    (files.path / "journal-1").write_bytes(data)
    try:
        replay(files.directory, files.packs, b"12345678", 0)
    finally:
        (files.path / "journal-1").unlink()


def _segment_seeds() -> list[bytes]:
    found = []
    for data in _journal_seeds()[::3]:
        (split,) = struct.unpack_from("<H", data)
        table, content = data[2 : 2 + split], data[2 + split :]
        head = RECORD_HEAD.pack(RECORD_MAGIC, 0, len(table), len(content), 1, 0)
        check = crc32(head[CHECKED_FROM:] + table, crc32(b"12345678"))
        head = RECORD_HEAD.pack(RECORD_MAGIC, check, len(table), len(content), 1, 0)
        found += [head + table + content, head + table + content + head + bytes(40)]
    return found


def _witness(data: bytes) -> None:
    files = opened()
    (files.path / WITNESS_FILE).write_bytes(data)
    read_witness(files.directory)


def _witness_seeds() -> list[bytes]:
    make_witness(opened().directory, b"12345678")
    return [(opened().path / WITNESS_FILE).read_bytes()]


HARNESSES = [
    Harness("codec", _codec, (struct.error,), _codec_seeds),
    Harness("record", _record, (DecodeError,), _records),
    Harness("bundle", _bundle, (DecodeError, IndexError, struct.error), _bundle_seeds),
    Harness("series", _series, (CorruptObject,), _series_seeds),
    Harness("edited", _edited, (DecodeError, IndexError), _edited_seeds),
    Harness("location", _location, (DecodeError, IndexError), _location_seeds),
    Harness("blocks", _blocks, (DecodeError, struct.error), _blocks_seeds),
    Harness("uses", _uses, (struct.error,), _uses_seeds),
    Harness("journal", _journal, (StoreError, struct.error), _journal_seeds),
    Harness("segment", _segment, (StoreError,), _segment_seeds, (RECORD_MAGIC,)),
    Harness("witness", _witness, (), _witness_seeds),
]
