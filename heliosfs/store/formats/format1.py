"""L2 in format 1, which is read once, when such a store is opened.

index      id -> number of the payload, u64 big-endian
payloads   number -> codec 1 | kind 1 | size | further pieces | of a delta: distance,
position | body; in pieces under consecutive numbers
state      key -> value
meta       totals -> next number, objects, stored bytes, logical bytes, batch (u64 each), salt 8
"""

from __future__ import annotations

import logging
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import lmdb

from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, object_id
from heliosfs.store.base import LISTED, NUMBERED
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.codecs import DELTAS, DecodeError, decode, decode_delta, read_varint
from heliosfs.store.l2.environment import LMDB_0_9, check_file
from heliosfs.store.pending import Pending

VERSION = 1
FILE = "objects.lmdb"
FILES = (FILE, f"{FILE}-lock")
_NUMBER = struct.Struct(">Q")
_NUMBER_END = 1 << 64
_TOTALS = struct.Struct("<QQQQQ8s")
_FORMAT1_MAP_BYTES = 1 << 40
"""Address space that is mapped, not disk; a file of format 1 is only read."""
_KEPT_BYTES = 64 * 1024 * 1024
_CHAIN_MAX = 256
_COMMIT = b"commit/"
_OPERATION = b"op/"
_IN_FORMAT_1 = bytes(32) + b"\xff"
"""Prefix of an operation that is encoded as in format 1."""
_KINDS = {int(kind): kind for kind in Kind}

_log = logging.getLogger(__name__)


def upgraded(state: Iterable[tuple[bytes, bytes | None]]) -> dict[bytes, bytes | None]:
    """Return state as in format 2: commits as a list, operations as a series."""
    made: dict[bytes, bytes | None] = {}
    for key, value in state:
        if key.startswith(_COMMIT):
            made[LISTED + key] = value
        elif key.startswith(_OPERATION):
            made[NUMBERED + key] = None if value is None else _IN_FORMAT_1 + value
        else:
            made[key] = value
    return made


class _Payload(NamedTuple):
    codec: int
    kind: Kind
    size: int
    base: int | None
    next_number: int
    body: bytes


class _Decoded(NamedTuple):
    kind: Kind
    data: bytes


class OldDatabase:
    """A file of format 1, whose store this process has locked."""

    def __init__(self, directory: Directory) -> None:
        """Open the file.  Raise StoreError."""
        check_file(directory, FILE, is_thorough=False)
        try:
            self._env = lmdb.open(
                directory.path_of(FILE),
                map_size=_FORMAT1_MAP_BYTES,
                subdir=False,
                readonly=True,
                lock=False,
                max_dbs=4,
                lib_version=LMDB_0_9,
            )
        except lmdb.Error as error:
            raise StoreError(f"cannot open {FILE}: {error}") from error
        try:
            names = (b"index", b"payloads", b"state", b"meta")
            self._index, self._payloads, self._state, meta = (
                self._env.open_db(name, create=False) for name in names
            )
            self._txn = self._env.begin()
            totals = _TOTALS.unpack(self._txn.get(b"totals", db=meta) or b"")
        except (lmdb.Error, struct.error) as error:
            self._env.close()
            raise StoreError(f"cannot open {FILE}: {error}") from error
        self.batch: int = totals[-2]
        """Number of the last batch that is here completely."""
        self.salt: bytes = totals[-1]
        self._kept: OrderedDict[int, _Decoded] = OrderedDict()
        self._kept_bytes = 0

    def close(self) -> None:
        self._txn.abort()
        self._env.close()

    def state(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all state."""
        return iter(self._txn.cursor(self._state))

    def objects(self) -> Iterator[Pending]:
        """Yield all sound objects, bases before their deltas; log the damaged ones."""
        cursor = self._txn.cursor(self._payloads)
        number = 1
        while number < _NUMBER_END and cursor.set_range(_NUMBER.pack(number)):
            key = cursor.key()
            number = int.from_bytes(key[: _NUMBER.size].ljust(_NUMBER.size, b"\0"), "big")
            next_number = number + 1
            if len(key) != _NUMBER.size:
                _log.error("%s has a value under the key %s, which is none", FILE, key.hex())
                number = next_number
                continue
            try:
                payload = self._payload(number)
                next_number = payload.next_number
                kind, data = self._decode(number, payload)
                oid = object_id(kind, data)
                if self._txn.get(oid, db=self._index) != _NUMBER.pack(number):
                    raise DecodeError(f"payload {number} has another id than it was stored under")
                base = None if payload.base is None else object_id(*self._decode(payload.base))
                yield Pending(oid, kind, data, base)
            except DecodeError as error:
                _log.error("an object of %s is damaged and stays behind: %s", FILE, error)
            number = next_number

    def _payload(self, number: int) -> _Payload:
        """Return a payload, joined from its pieces.  Raise DecodeError."""
        raw = self._txn.get(_NUMBER.pack(number), db=self._payloads)
        if raw is None:
            raise DecodeError(f"payload {number} is missing")
        try:
            codec, kind = raw[0], _KINDS[raw[1]]
            size, at = read_varint(raw, 2)
            further, at = read_varint(raw, at)
            base = None
            if codec in DELTAS:
                distance, at = read_varint(raw, at)
                _, at = read_varint(raw, at)
                base = number - distance
                if not 0 < base < number:
                    raise DecodeError(
                        f"payload {number} refers to the base {base}, which does not exist"
                    )
        except (IndexError, KeyError) as error:
            raise DecodeError(f"payload {number} has a damaged header") from error
        next_number = number + 1 + further
        if next_number > _NUMBER_END:
            raise DecodeError(f"payload {number} has more pieces than there are numbers")
        pieces = [raw[at:]]
        for piece_number in range(number + 1, next_number):
            piece = self._txn.get(_NUMBER.pack(piece_number), db=self._payloads)
            if piece is None:
                # At the first one: a damaged count would be looked for all day.
                raise DecodeError(f"payload {number} lacks its piece {piece_number}")
            pieces.append(piece)
        return _Payload(codec, kind, size, base, next_number, b"".join(pieces))

    def _decode(self, number: int, payload: _Payload | None = None) -> _Decoded:
        """Return the object of a payload.  Raise DecodeError."""
        above: list[tuple[int, _Payload]] = []
        at: int | None = number
        while at is not None and at not in self._kept:
            read = payload if at == number else None
            above.append((at, read or self._payload(at)))
            if len(above) > _CHAIN_MAX:
                raise DecodeError(f"payload {number} has too long a chain of bases")
            at = above[-1][1].base
        found = self._kept[at] if at is not None else None
        for each, (codec, kind, size, _, _, body) in reversed(above):
            if found is None:
                data = decode(codec, body, size)
            else:
                data = decode_delta(codec, body, size, found.data)
            found = _Decoded(kind, data)
            self._keep(each, found)
        assert found is not None
        return found

    def _keep(self, number: int, found: _Decoded) -> None:
        self._kept[number] = found
        self._kept_bytes += len(found.data)
        while self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1].data)
