"""Harnesses of L2: the pages of its file, and the values in it, of this format and the first."""

from __future__ import annotations

import functools
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import lmdb

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.objects.commit import Commit, Signature, encode_commit
from heliosfs.objects.ids import Kind, object_id
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.codecs import Codec, DecodeError, encode, encode_delta, varint
from heliosfs.store.formats import format1
from heliosfs.store.l2 import btree
from heliosfs.store.l2.environment import FILE
from heliosfs.store.l2.pages import Damage
from heliosfs.store.l2.reader import Snapshot, Unindexed
from heliosfs.store.l2.record import (
    decode_chain,
)
from heliosfs.store.l2.sealed import seal, unseal
from heliosfs.store.l2.states import StateReader
from heliosfs.store.l2.walk import headers, values
from heliosfs.store.local import LocalStore
from tests.fuzz.harness import Harness
from tests.fuzz.objects import ROOT, WHO
from tests.fuzz.shared import NEW, OLD, blob_id, opened
from tests.in_memory import tmpfs
from tests.stores import run

_STATE = 2
"""Number of the table of state."""
KEYS = (b"plain", b"@commit/" + bytes(32), b"~op/" + bytes(16))


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
    with tempfile.TemporaryDirectory(dir=tmpfs()) as path:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        store = LocalStore.open(fd, create=True)
        os.close(fd)
        base = None
        for number in range(20):
            data = OLD + b"%d" % number
            store.add(blob_id(data), Kind.BLOB, data, base)
            base = blob_id(data)
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
    with tempfile.TemporaryDirectory(dir=tmpfs()) as path:
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
    database = opened().database
    txn = database.env.begin(write=True)
    try:
        for table, key, value in _entries(data):
            if table == _STATE:
                # What an id or a chain in the state leads to is read only behind a right seal.
                value = seal(key, value)
            with suppress(lmdb.Error):
                txn.put(key, value, db=database.tables[table])
        snapshot = Snapshot(txn, database.tables, Unindexed({}), opened().packs)
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
    oid = blob_id(OLD + b"0")
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
    with tempfile.TemporaryDirectory(dir=tmpfs()) as path:
        Path(path, FILE).write_bytes(_stored())
        found = []
        with lmdb.open(f"{path}/{FILE}", subdir=False, readonly=True, lock=False, max_dbs=3) as env:
            for table, name in enumerate((b"objects", b"ids", b"state")):
                database = env.open_db(name, create=False)
                with env.begin() as txn:
                    for key, value in txn.cursor(database):
                        if table == _STATE:
                            value = unseal(key, value)
                        head = struct.pack("<BBH", table, len(key), len(value))
                        found.append(head + key + value)
    return [b"".join(found), b"".join(found[-4:])]


def _format1(data: bytes) -> None:
    """Values of a file of the first format, whose pages are sound."""
    with tempfile.TemporaryDirectory(dir=tmpfs()) as path:
        name = f"{path}/{format1.FILE}"
        with lmdb.open(name, subdir=False, max_dbs=4, map_size=1 << 24, sync=False) as env:
            tables = [env.open_db(each) for each in (b"payloads", b"index", b"state", b"meta")]
            with env.begin(write=True) as txn:
                txn.put(b"totals", struct.pack("<QQQQQ8s", 1, 1, 1, 1, 1, bytes(8)), db=tables[3])
                for table, key, value in _entries(data):
                    with suppress(lmdb.Error):
                        txn.put(key, value, db=tables[table])
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        directory = Directory(fd)
        os.close(fd)
        old = format1.OldDatabase(directory)
        try:
            for pending in old.objects():
                assert isinstance(pending.data, bytes)
            assert len(format1.upgraded(old.state())) >= 0
        finally:
            old.close()
            directory.close()


def _format1_seeds() -> list[bytes]:
    head = bytes((Codec.LZ4, Kind.BLOB)) + varint(len(OLD))
    delta = encode_delta(NEW, OLD)
    assert delta is not None
    payloads = [
        head + varint(0) + encode(OLD).body,
        bytes((delta.codec, Kind.BLOB)) + varint(len(NEW)) + varint(0) + b"\x01\x01" + delta.body,
        head + varint(2) + encode(OLD).body[:99],
        encode(OLD).body[99:200],
        encode(OLD).body[200:],
    ]
    items = [(0, struct.pack(">Q", number), each) for number, each in enumerate(payloads, 1)]
    items += [(1, blob_id(OLD), struct.pack(">Q", 1)), (1, blob_id(NEW), struct.pack(">Q", 2))]
    items += [(2, b"commit/" + blob_id(OLD), b""), (2, b"op/" + bytes(16), b"x" * 60)]
    return [b"".join(struct.pack("<BBH", t, len(k), len(v)) + k + v for t, k, v in items)]


HARNESSES = [
    Harness("btree", _tree_file, (Damage, OSError), _tree_file_seeds),
    Harness("format1", _format1, (StoreError,), _format1_seeds, (varint(1 << 40),)),
    Harness("l2", _l2, (), _l2_seeds, (varint(300), b"@commit/", b"~op/")),
]
