"""The packs of a push, and their rows, in the head of its object with trees.

A clone without contents needs the rows alone, so they travel with the trees: each pack of contents
is named with the number of its rows, which follow in the order of the packs.  Once they take more
than `INLINE_MAX`, they lie in objects of their own, which are written before that with the trees:
`INDEX_HEAD` and rows, named by the BLAKE3 of all of it.  Packs that the frames have overflowed into
hold trees, commits and lists of parts, and no contents; whoever reads trees needs them whole, so
they have no rows here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES
from heliosfs.remote.packfile import PACK_FULL_BYTES, PACK_MAX, ROW_BYTES, FinishedPack, PackName

INDEX_HEAD = b"helios-index 1\n\0"
INLINE_MAX = 4 * 1024 * 1024
"""Most bytes of rows that lie beside the trees."""
INDEX_FULL_BYTES = 32 * 1024 * 1024
"""Bytes of rows from which an object with rows takes no further ones."""
INDEX_MAX = INDEX_FULL_BYTES + 2 * PACK_FULL_BYTES
"""Largest object with rows that is read."""
NAMED_MAX = 1_000_000
"""Most packs, or bases, of one push: 8 TB; more of them would take the memory of a reader."""
_COUNTS = struct.Struct("<II")
_PACK = struct.Struct(f"<{OID_BYTES}sQBI")
_INDEX = struct.Struct(f"<{OID_BYTES}sQI")
_CONTENTS, _TREES = 0, 1


class NamedPack(NamedTuple):
    """A pack that a push has named."""

    name: PackName
    holds_trees: bool
    """True for a pack that has to be read whole."""
    row_count: int | None
    """Number of its rows; None where they are at its end alone, and its kinds are not known."""


class IndexName(NamedTuple):
    """An object with the rows of some packs."""

    digest: bytes
    size: int
    pack_count: int
    """Number of packs whose rows it has: those after the packs of the index before."""


class PackTable(NamedTuple):
    """The packs of a push."""

    packs: list[NamedPack]
    indexes: list[IndexName]
    rows: bytes
    """Rows of the packs that no index has."""

    def indexed(self) -> Iterator[tuple[IndexName, list[NamedPack]]]:
        """Yield each index with its packs."""
        at = 0
        for index in self.indexes:
            yield index, self.packs[at : at + index.pack_count]
            at += index.pack_count

    def beside(self) -> list[NamedPack]:
        """Return the packs whose rows lie beside the trees."""
        return self.packs[sum(each.pack_count for each in self.indexes) :]


class PackTableWriter:
    """The packs of a push as they are sent; its methods may be called on any thread, in turn."""

    def __init__(self, create: Callable[[bytes, bytes], None]) -> None:
        """Prepare an empty table; `create` stores an object with rows, of a digest."""
        self._create = create
        self._packs: list[bytes] = []
        self._indexes: list[bytes] = []
        self._rows: list[bytes] = []
        self._rows_bytes = self._indexed_count = 0

    def add(self, pack: FinishedPack, *, holds_trees: bool) -> None:
        """Name a pack."""
        kind = _TREES if holds_trees else _CONTENTS
        count = 0 if holds_trees else len(pack.rows) // ROW_BYTES
        self._packs.append(_PACK.pack(*pack.name, kind, count))
        if not holds_trees:
            self._rows.append(pack.rows)
            self._rows_bytes += len(pack.rows)
        if self._rows_bytes >= INDEX_FULL_BYTES:
            self._close_index()

    def _close_index(self) -> None:
        data = b"".join((INDEX_HEAD, *self._rows))
        digest, count = blake3(data).digest(), len(self._packs) - self._indexed_count
        self._create(digest, data)
        self._indexes.append(_INDEX.pack(digest, len(data), count))
        self._rows, self._rows_bytes, self._indexed_count = [], 0, len(self._packs)

    def finish(self) -> tuple[bytes, bytes]:
        """Return the counts of packs and indexes, and their table with the rows."""
        if self._rows_bytes > INLINE_MAX:
            self._close_index()
        counts = _COUNTS.pack(len(self._packs), len(self._indexes))
        return counts, b"".join((*self._packs, *self._indexes, *self._rows))


def read_table(shown: str, data: bytes, counts_at: int, at: int) -> tuple[PackTable, int]:
    """Read a table, and return the offset after it; the bytes end where frames may.

    CorruptObject.
    """
    pack_count, index_count = _COUNTS.unpack_from(data, counts_at)
    indexes_at = at + pack_count * _PACK.size
    rows_at = indexes_at + index_count * _INDEX.size
    if rows_at > len(data) or pack_count > NAMED_MAX:
        raise CorruptObject(f"{shown} of the remote has an impossible head")
    packs = []
    for digest, size, kind, row_count in _PACK.iter_unpack(data[at:indexes_at]):
        if kind not in (_CONTENTS, _TREES) or (kind == _TREES and row_count):
            raise CorruptObject(f"{shown} of the remote has an impossible head")
        packs.append(NamedPack(PackName(digest, size), kind == _TREES, row_count))
    indexes = [IndexName(*each) for each in _INDEX.iter_unpack(data[indexes_at:rows_at])]
    table = PackTable(packs, indexes, b"")
    if sum(each.pack_count for each in indexes) > pack_count:
        raise CorruptObject(f"{shown} of the remote has rows of packs that it does not name")
    for index, named in table.indexed():
        if index.size > INDEX_MAX or index.size != len(INDEX_HEAD) + _rows_bytes(named):
            raise CorruptObject(f"{shown} of the remote has an index of impossible size")
    rows_bytes = _rows_bytes(table.beside())
    end = rows_at + rows_bytes
    if rows_bytes > INLINE_MAX:
        raise CorruptObject(f"{shown} of the remote has more rows than {INLINE_MAX} bytes hold")
    if end > len(data):
        raise CorruptObject(f"{shown} of the remote ends within its rows")
    return table._replace(rows=data[rows_at:end]), end


def check_packs(shown: str, packs: Sequence[NamedPack]) -> None:
    """Check that packs can be read.  CorruptObject."""
    if any(pack.name.size > PACK_MAX for pack in packs):
        raise CorruptObject(f"{shown} of the remote has a pack of impossible size")


def read_index(index: IndexName, data: bytes) -> bytes:
    """Return the rows of an object with rows.  CorruptObject."""
    if blake3(data).digest() != index.digest or not data.startswith(INDEX_HEAD):
        raise CorruptObject(
            f"index {index.digest.hex()[:12]} of the remote has other bytes than its name says"
        )
    return data[len(INDEX_HEAD) :]


def split_rows(packs: Sequence[NamedPack], rows: bytes) -> Iterator[tuple[NamedPack, bytes]]:
    """Yield each pack with its rows, of which there are as many as the packs say."""
    at = 0
    for pack in packs:
        end = at + (pack.row_count or 0) * ROW_BYTES
        yield pack, rows[at:end]
        at = end


def _rows_bytes(packs: Sequence[NamedPack]) -> int:
    return sum(pack.row_count or 0 for pack in packs) * ROW_BYTES
