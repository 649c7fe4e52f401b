"""State in L2: most of it as it is, numbered state and lists of commits packed.

`~name/<slot><number>` is kept in blocks under `~name/<slot>`.  `@name/<id>` of a commit that L2 has
is kept as the number of that object, in blocks under `@name/`; that of another one as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES, Oid
from heliosfs.pace import paced
from heliosfs.store.base import LISTED, NUMBERED
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.sealed import SealedTable, unseal
from heliosfs.store.l2.series import (
    Value,
    block_number,
    get_numbered,
    split_block,
    write_numbered,
)
from heliosfs.store.pending import Changes

_NUMBER = struct.Struct(">Q")
_LISTED = Value(0, b"")


class StateReader(SealedTable):
    """The state as a transaction sees it."""

    __slots__ = ("_objects",)

    def __init__(self, objects: Snapshot) -> None:
        # What SealedTable() does, without its call.
        self.txn, self.table, self.change = objects.txn, objects.tables.state, 0
        self._objects = objects

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key, or None."""
        mark = key[:1]
        if mark == NUMBERED:
            (number,) = _NUMBER.unpack_from(key, len(key) - _NUMBER.size)
            value = get_numbered(self, key[: -_NUMBER.size], number)
            return None if value is None else self._whole(value)
        if mark == LISTED and self._listed_as(*_split_listed(key)) is not None:
            return b""
        sealed = self.txn.get(key, db=self.table)
        return None if sealed is None else unseal(key, sealed)

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the state under a prefix, in key order."""
        name, slash, part = prefix.partition(b"/")
        mark = prefix[:1]
        found: list[tuple[bytes, bytes]] = []
        if mark == LISTED and part:
            found += self._listed_under(name + slash, part)
        elif mark == NUMBERED:
            prefix, whole = name + slash + part[: _NUMBER.size], prefix
            return [item for item in self.expanded(prefix) if item[0].startswith(whole)]
        found += self.expanded(prefix)
        found.sort()
        return found

    def write(self, changes: Changes) -> int:
        """Apply changes, in a transaction that writes and that has their objects already.

        Return the change of the sum of all seals.
        """
        packed: dict[bytes, dict[int, Value | None]] = {}
        plain: list[tuple[bytes, bytes]] = []
        for key, value in paced(changes.items()):
            mark = key[:1]
            if mark == NUMBERED:
                family, number = _split_numbered(key)
                entry = None if value is None else self._packed(value)
                packed.setdefault(family, {})[number] = entry
            elif mark == LISTED and (numbers := self._objects.commits(_split_listed(key)[1])):
                entries = packed.setdefault(_split_listed(key)[0], {})
                entries.update(dict.fromkeys(numbers))
                if value is not None:
                    entries[numbers[0]] = _LISTED
                self.delete(key)
            elif value is None:
                self.delete(key)
            else:
                plain.append((key, value))
        plain.sort()
        self.put_all(plain)
        for family, entries in packed.items():
            write_numbered(self, family, entries)
        return self.change

    def _packed(self, value: bytes) -> Value:
        if len(value) >= OID_BYTES:
            numbers = self._objects.commits(Oid(value[:OID_BYTES]))
            if numbers:
                return Value(numbers[0], value[OID_BYTES:])
        return Value(0, value)

    def _whole(self, value: Value) -> bytes:
        return self._oid(value.refers) + value.rest if value.refers else value.rest

    def _oid(self, number: int) -> Oid:
        try:
            return self._objects.oid_of(number)
        except DecodeError as error:
            raise CorruptObject(f"state refers to a damaged object: {error}") from error

    def _listed_as(self, family: bytes, oid: Oid) -> int | None:
        """Return the number under which a commit is listed, or None."""
        for number in self._objects.commits(oid):
            if self.is_listed(family, number):
                return number
        return None

    def _listed_under(self, family: bytes, part: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the commits of a list whose ids begin with `part`."""
        for number in self._objects.numbers_with_prefix(part):
            if self.is_listed(family, number):
                oid = self._oid(number)
                if oid.startswith(part):
                    yield family + oid, b""

    def listed(self, family: bytes, first: int, known: Mapping[int, Oid]) -> Iterator[Oid]:
        """Yield the commits of a list in the order of their numbers, from `first` on.

        `known` are ids that need not be read.
        """
        cursor = self.txn.cursor(self.table)
        key = family + _NUMBER.pack(first)
        if cursor.set_range(key) and cursor.key() != key:
            # The block before may reach to the number and beyond.
            cursor.prev()
        elif not cursor.key():
            cursor.last()
        more = cursor.key().startswith(family) or cursor.set_range(family)
        while more and (key := cursor.key()).startswith(family):
            begin = block_number(key)
            block = unseal(key, cursor.value())
            if begin is None:
                yield Oid(key[len(family) :])
            else:
                for each, _ in split_block(begin, block):
                    if each >= first:
                        yield known.get(each) or self._oid(each)
            more = cursor.next()

    def is_listed(self, family: bytes, number: int) -> bool:
        """Return True if a list has the commit of this number."""
        return get_numbered(self, family, number) is not None

    def expanded(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values for all database keys under a prefix, in no order."""
        cursor = self.txn.cursor(self.table)
        more = cursor.set_range(prefix)
        while more and (key := cursor.key()).startswith(prefix):
            yield from self.expand(key, cursor.value())
            more = cursor.next()

    def expand(
        self, key: bytes, sealed: bytes, *, after: int = -1
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys and values for a key of the database, of a block those after a number.

        Raise CorruptObject.
        """
        data = unseal(key, sealed)
        begin, family = block_number(key), key[: -_NUMBER.size]
        if begin is None:
            yield key, data
        elif key[:1] == NUMBERED:
            for each, value in split_block(begin, data):
                if each > after:
                    yield family + _NUMBER.pack(each), self._whole(value)
        else:
            for each, _ in split_block(begin, data):
                if each > after:
                    yield family + self._oid(each), b""


def _split_numbered(key: bytes) -> tuple[bytes, int]:
    return key[: -_NUMBER.size], _NUMBER.unpack(key[-_NUMBER.size :])[0]


def _split_listed(key: bytes) -> tuple[bytes, Oid]:
    return key[:-OID_BYTES], Oid(key[-OID_BYTES:])
