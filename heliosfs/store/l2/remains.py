"""The remains of a damaged LMDB file: what its pages still hold, read without LMDB and its trees.

Every page is looked at by itself.  An object is worth reading wherever it lies, since its id says
whether it is sound.  State is not: a page that no tree reaches holds values of an earlier time.  So
values from such pages are taken only where the trees do not lead to all that they should have.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, decode_delta, named_id
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.encoding.places import decode_location
from heliosfs.store.l2.btree import TreeWalk
from heliosfs.store.l2.pages import (
    BIG,
    LEAF,
    LEAF2,
    NODE,
    OVERFLOW,
    PAGE,
    SUB,
    U32,
    U64,
    Damage,
    newest_meta,
    node_offsets,
)
from heliosfs.store.l2.reader import NUMBER, piece_key
from heliosfs.store.l2.record import (
    PAGE_BYTES,
    Payload,
    bundle_count,
    kept_id,
    read_alone,
    split_value,
    unpack,
)
from heliosfs.store.l2.sealed import unseal
from heliosfs.store.pending import Pending

_NUMBERED_BEGIN = bytes(3)
"""Beginning of every key of an object: a number below 2**40.  No key of state begins so."""
_KEPT_BYTES = 64 * 1024 * 1024
_CHAIN_MAX = 256


class _Node(NamedTuple):
    key: bytes
    page: int
    at: int
    """Offset of the node in its page."""


class _Decoded(NamedTuple):
    oid: Oid
    kind: Kind
    data: bytes
    base: Oid | None


class PageRemains:
    """The nodes of all leaves of a file, those that its trees lead to first."""

    def __init__(self, fd: int, packs: Packs) -> None:
        """Look at every page: 10 us each.  Raise OSError."""
        self._fd = fd
        self._packs = packs
        self._length = os.fstat(fd).st_size
        self.problems: list[str] = []
        """Lines for people about the trees of the file."""
        self._objects: dict[bytes, list[_Node]] = {}
        self._state: dict[bytes, list[tuple[bool, _Node]]] = {}
        self._kept: OrderedDict[int, _Decoded] = OrderedDict()
        self._kept_bytes = 0
        walk = self._walk()
        pages = range(2, self._length // PAGE_BYTES)
        for is_reached in (True, False):
            for number in pages:
                if (walk is not None and walk.is_reached(number)) is is_reached:
                    self._note(number, is_reached=is_reached)

    def _walk(self) -> TreeWalk | None:
        """Mark the pages that the trees lead to; None if none can be found."""
        try:
            meta = newest_meta(self._fd, self._length)
            walk = TreeWalk(self._fd, self._length, meta, None, self.problems.append)
            for _, table in walk.tables():
                for _, data, flags in walk.entries(table, "a table"):
                    if flags & SUB:
                        walk.check(data)
        except Damage as error:
            self.problems.append(str(error))
            return None
        return walk

    def _note(self, number: int, *, is_reached: bool) -> None:
        page = os.pread(self._fd, PAGE_BYTES, number * PAGE_BYTES)
        try:
            own, _, flags, _, _ = PAGE.unpack_from(page)
            if own != number or not flags & LEAF or flags & LEAF2:
                return
            offsets = node_offsets(page, number)
        except (Damage, struct.error):
            return
        for at in offsets:
            _, _, flags, key_bytes = NODE.unpack_from(page, at)
            key = page[at + NODE.size : at + NODE.size + key_bytes]
            if flags & SUB or not key:
                continue
            node = _Node(key, number, at)
            if key.startswith(_NUMBERED_BEGIN):
                self._objects.setdefault(key, []).append(node)
            else:
                self._state.setdefault(key, []).append((is_reached, node))

    def _value(self, node: _Node) -> bytes:
        """Return the value of a node.  Raise DecodeError."""
        page = os.pread(self._fd, PAGE_BYTES, node.page * PAGE_BYTES)
        low, high, flags, key_bytes = NODE.unpack_from(page, node.at)
        size = low | high << 16
        at = node.at + NODE.size + key_bytes
        if not flags & BIG:
            return page[at : at + size]
        if at + U64.size > len(page):
            raise DecodeError("a value is not where its key says")
        (first,) = U64.unpack_from(page, at)
        begin = first * PAGE_BYTES
        if begin + PAGE.size + size > self._length:
            raise DecodeError("a value lies behind the end of the file")
        head = os.pread(self._fd, PAGE.size, begin)
        if not PAGE.unpack_from(head)[2] & OVERFLOW or not U32.unpack_from(head, 12)[0]:
            raise DecodeError("a value is not where its key says")
        return os.pread(self._fd, size, begin + PAGE.size)

    def alone(self, key: bytes) -> bytes | None:
        """Return a sealed value of the unnamed database, such as the totals; None without one."""
        for _, node in self._state.get(key, ()):
            try:
                value = self._value(node)
                return unseal(key, value)
            except (DecodeError, CorruptObject):
                continue
        return None

    def state(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield keys and values as L2 has them, in no order; None for a value that is lost."""
        for key, nodes in self._state.items():
            if not nodes[0][0] and not self.problems:
                continue
            found = None
            for _, node in nodes:
                try:
                    value = self._value(node)
                    found = unseal(key, value)
                except (DecodeError, CorruptObject):
                    continue
                break
            yield key, found

    def objects(self) -> Iterator[Pending | str]:
        """Yield every sound object, bases first, and a line for each number without one."""
        numbers = sorted(NUMBER.unpack(key)[0] for key in self._objects if len(key) == NUMBER.size)
        for first in numbers:
            for number in range(first, first + self._count(first)):
                try:
                    found = self.decoded(number)
                except DecodeError as error:
                    yield str(error)
                    continue
                if found is not None:
                    yield Pending(found.oid, found.kind, found.data, found.base)

    def _count(self, first: int) -> int:
        """Return the number of records of the largest bundle under a number."""
        counts = [1]
        for node in self._objects[NUMBER.pack(first)]:
            try:
                counts.append(bundle_count(self._value(node)))
            except DecodeError:
                continue
        return max(counts)

    def oid_of(self, number: int) -> Oid | None:
        """Return the id of an object; None if it cannot be read."""
        try:
            found = self.decoded(number)
        except DecodeError:
            return None
        return None if found is None else found.oid

    def decoded(self, number: int, depth: int = 0) -> _Decoded | None:
        """Return an object; None if it was removed, DecodeError if no copy of it is sound."""
        if number in self._kept:
            return self._kept[number]
        reason = f"object {number} is missing"
        is_removed = False
        for record in self._records(number):
            if not record:
                is_removed = True
                continue
            try:
                found = self._decode(number, record, depth)
            except (DecodeError, IndexError, struct.error) as error:
                reason = str(error)
                continue
            self._keep(number, found)
            return found
        if is_removed:
            return None
        raise DecodeError(reason)

    def _decode(self, number: int, record: bytes, depth: int) -> _Decoded:
        if depth > _CHAIN_MAX:
            raise DecodeError(f"object {number} has too long a chain of bases")
        payload = unpack(number, record)
        base: _Decoded | None = None
        if payload.base is not None:
            base = self.decoded(payload.base, depth + 1)
            if base is None:
                raise DecodeError(f"the base of object {number} is missing")
            named = named_id(payload.kind, kept_id(base.oid, base.kind))
            data = decode_delta(payload.codec, payload.body, payload.size, base.data, named)
        else:
            data = self._whole(payload)
        oid = object_id(payload.kind, data)
        if kept_id(oid, payload.kind) != payload.id:
            raise DecodeError(f"the bytes of object {number} have another id")
        return _Decoded(oid, payload.kind, data, None if base is None else base.oid)

    def _whole(self, payload: Payload) -> bytes:
        if payload.codec != Codec.PACKED:
            return decode(payload.codec, payload.body, payload.size)
        place, _ = decode_location(payload.body)
        return self._packs.read_whole(place, payload.size)

    def _records(self, number: int) -> Iterator[bytes]:
        """Yield all copies of the record of a number, also damaged ones."""
        for first in range(number, max(0, number - _CHAIN_MAX), -1):
            for node in self._objects.get(NUMBER.pack(first), ()):
                try:
                    value = self._value(node)
                    records = split_value(value)
                    if not bundle_count(value):
                        if first == number:
                            yield self._joined(number, value)
                    elif number - first < len(records):
                        yield records[number - first]
                except DecodeError:
                    continue

    def _joined(self, number: int, value: bytes) -> bytes:
        further, record = read_alone(value)
        pieces = [record]
        for index in range(1, further + 1):
            nodes = self._objects.get(piece_key(number, index))
            if not nodes:
                raise DecodeError(f"object {number} lacks its piece {index}")
            pieces.append(self._value(nodes[0]))
        return b"".join(pieces)

    def _keep(self, number: int, found: _Decoded) -> None:
        self._kept[number] = found
        self._kept_bytes += len(found.data)
        while self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1].data)
