"""Harnesses of the store: encodings, the journal, packs, and L2."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import lmdb

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.objects.commit import Commit, Signature, encode_commit
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.directory import Directory
from heliosfs.store.edited import EditedObject, decode_edited
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import Codec, DecodeError, encode, encode_delta, varint
from heliosfs.store.encoding.packs import (
    PackedObject,
    PackLocation,
    Packs,
    PackUse,
    decode_location,
    decode_uses,
    encode_uses,
)
from heliosfs.store.journal.journal import CHECKED_FROM, RECORD_HEAD, RECORD_MAGIC, Journal
from heliosfs.store.journal.replay import read_record, replay
from heliosfs.store.l2 import btree
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.environment import FILE
from heliosfs.store.l2.pages import Damage
from heliosfs.store.l2.reader import Snapshot, Unindexed
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
from heliosfs.store.l2.states import StateReader
from heliosfs.store.l2.walk import headers, values
from heliosfs.store.local import LocalStore
from heliosfs.store.pending import Pending
from tests.fuzz.harness import Harness
from tests.fuzz.objects import ROOT, WHO
from tests.stores import run

OLD = b"".join(b"line %d of an old version\n" % number for number in range(60))
NEW = OLD.replace(b"line 30 of an old", b"line 30 of a newer")
KEYS = (b"plain", b"@commit/" + bytes(32), b"~op/" + bytes(16))


def _oid(data: bytes) -> Oid:
    return object_id(Kind.BLOB, data)


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
        pack(_oid(OLD), Kind.BLOB, len(OLD), whole),
        pack(_oid(NEW), Kind.BLOB, len(NEW), delta, 3, 1),
        pack(_oid(b"c"), Kind.COMMIT, 1, encode(b"c")),
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
    edited.apply(OLD, Kind.BLOB, _oid(b"abc" + OLD[3:90] + bytes(10)))


def _edited_seeds() -> list[bytes]:
    small, large = [(0, b"abc"), (90, bytes(10))], [(5, b"x")]
    return [
        size.to_bytes(8, "little") + EditedObject(_oid(OLD), size, edits).encode()
        for size, edits in ((100, small), (100, large), (1 << 40, large))
    ]


def _location(data: bytes) -> None:
    place, _ = decode_location(data)
    _opened().packs.load(PackedObject(place, len(OLD)), Kind.BLOB, _oid(OLD))


def _location_seeds() -> list[bytes]:
    body = _opened().location
    return [body.encode(), body._replace(offset=1).encode(), PackLocation(9, 0, 5, 1).encode()]


def _uses(data: bytes) -> None:
    assert encode_uses(decode_uses(data)) or True


def _uses_seeds() -> list[bytes]:
    return [encode_uses({1: PackUse(10, 10), 2: PackUse(90, 80)})]


class _Opened:
    """Files that the harnesses share."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_memory()))
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self.directory = Directory(fd)
        os.close(fd)
        self.packs = Packs(self.directory)
        self.location = self.packs.append(encode(OLD))
        self.database = ObjectDatabase(self.directory, b"12345678", create=True)


def _memory() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


@functools.cache
def _opened() -> _Opened:
    return _Opened()


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
    opened = _opened()
    (opened.path / "journal-1").write_bytes(whole)
    try:
        replay(opened.directory, opened.packs, b"12345678", 0)
    finally:
        (opened.path / "journal-1").unlink()


def _journal_seeds() -> list[bytes]:
    batches: list[tuple[list[Pending], dict[bytes, bytes | None]]] = [
        ([Pending(_oid(OLD), Kind.BLOB, OLD, None)], {b"key": b"value", b"gone": None}),
        ([Pending(_oid(NEW), Kind.BLOB, EditedObject(_oid(OLD), 10, [(1, b"x")]), _oid(OLD))], {}),
        ([Pending(_oid(OLD), Kind.BLOB, PackedObject(_opened().location, len(OLD)), None)], {}),
        ([], {b"~op/" + bytes(16): b"x" * 40}),
    ]
    found = []
    with tempfile.TemporaryDirectory(dir=_memory()) as path:
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
    opened = _opened()
    (opened.path / "journal-1").write_bytes(data)
    try:
        replay(opened.directory, opened.packs, b"12345678", 0)
    finally:
        (opened.path / "journal-1").unlink()


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


def _tree_file(data: bytes) -> None:
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, data)
        btree.is_short(fd)
        btree.walk(fd)
    finally:
        os.close(fd)


@functools.cache
def _stored() -> bytes:
    """A file of L2 with some objects and state."""
    with tempfile.TemporaryDirectory(dir=_memory()) as path:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        store = LocalStore.open(fd, create=True)
        os.close(fd)
        base = None
        for number in range(20):
            data = OLD + b"%d" % number
            store.add(_oid(data), Kind.BLOB, data, base)
            base = _oid(data)
        who = Signature(b"a", b"b", 1, 0)
        commit = encode_commit(Commit(ROOT, (), who, WHO, b"message"))
        oid = object_id(Kind.COMMIT, commit)
        store.add(oid, Kind.COMMIT, commit)
        store.put(b"plain", b"value" * 500)
        store.put(b"@commit/" + oid, b"")
        for number in range(30):
            store.put(b"~op/" + struct.pack(">QQ", 1, number), oid + b"%d" % number)
        store.publish()
        run(store.plan_drain())
        store.close()
        return (Path(path) / FILE).read_bytes()


def _tree_file_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory(dir=_memory()) as path:
        name = f"{path}/small"
        with lmdb.open(name, subdir=False, max_dbs=2, map_size=1 << 20) as env:
            table = env.open_db(b"ids", dupsort=True, dupfixed=True)
            for begin in (0, 9):
                with env.begin(write=True) as txn:
                    txn.put(b"key%d" % begin, bytes(5000))
                    for number in range(begin, 9 + begin):
                        txn.put(b"k", b"%08d" % number, db=table)
        return [Path(name).read_bytes(), _stored()[: 60 * 1024]]


def _entries(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    at = 0
    while at + 4 <= len(data):
        table, key, value = struct.unpack_from("<BBH", data, at)
        at += 4
        yield table % 3, data[at : at + key], data[at + key : at + key + value]
        at += key + value


def _l2(data: bytes) -> None:
    """Values and keys that L2 has, in a file whose pages are sound."""
    database = _opened().database
    txn = database.env.begin(write=True)
    try:
        for table, key, value in _entries(data):
            with suppress(lmdb.Error):
                txn.put(key, value, db=database.tables[table])
        snapshot = Snapshot(txn, database.tables, Unindexed({}), _opened().packs)
        _read_l2(snapshot)
    finally:
        txn.abort()


def _read_l2(snapshot: Snapshot) -> None:
    state = StateReader(snapshot)
    for number in (1, 2, 3, 20):
        with suppress(DecodeError):
            decode_chain(snapshot.chain(number))
        with suppress(DecodeError):
            snapshot.oid_of(number)
        with suppress(DecodeError):
            snapshot.alone_bytes(number)
    oid = _oid(OLD + b"0")
    snapshot.find(oid, Kind.BLOB, OLD + b"0")
    snapshot.commits(oid)
    snapshot.numbers_with_prefix(oid[:2])
    with suppress(DecodeError):
        for stored in values(snapshot, 1):
            assert stored.first + len(stored.records) > 1
    with suppress(DecodeError):
        for payload in headers(snapshot, 1):
            assert payload.number >= 1
    for key in KEYS:
        with suppress(CorruptObject, DecodeError):
            state.get(key)
    for prefix in (b"", b"@commit/", b"@commit/" + oid[:1], b"~op/"):
        with suppress(CorruptObject, DecodeError):
            state.scan(prefix)


def _l2_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory(dir=_memory()) as path:
        Path(path, FILE).write_bytes(_stored())
        found = []
        with lmdb.open(f"{path}/{FILE}", subdir=False, readonly=True, lock=False, max_dbs=3) as env:
            for table, name in enumerate((b"objects", b"ids", b"state")):
                database = env.open_db(name, create=False)
                with env.begin() as txn:
                    found += [
                        struct.pack("<BBH", table, len(key), len(value)) + key + value
                        for key, value in txn.cursor(database)
                    ]
    return [b"".join(found), b"".join(found[-4:])]


HARNESSES = [
    Harness("codec", _codec, (struct.error,), _codec_seeds),
    Harness("record", _record, (DecodeError,), _records),
    Harness("bundle", _bundle, (DecodeError, IndexError, struct.error), _bundle_seeds),
    Harness("series", _series, (CorruptObject,), _series_seeds),
    Harness("edited", _edited, (DecodeError, IndexError), _edited_seeds),
    Harness("location", _location, (DecodeError, IndexError), _location_seeds),
    Harness("uses", _uses, (struct.error,), _uses_seeds),
    Harness("journal", _journal, (StoreError, struct.error), _journal_seeds),
    Harness("segment", _segment, (StoreError,), _segment_seeds, (RECORD_MAGIC,)),
    Harness("btree", _tree_file, (Damage, OSError), _tree_file_seeds),
    Harness("l2", _l2, (), _l2_seeds, (varint(300), b"@commit/", b"~op/")),
]
