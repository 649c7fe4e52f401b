"""The B-trees of an LMDB file, walked without LMDB, to check that every reachable page is there.

LMDB maps its file and trusts it: a page behind the end of a file that was cut short ends the
process (SIGBUS), and a damaged page may (an assertion).  So after an unclean end, the pages that
the newest meta page reaches are read with pread(2) first.  A page that nothing reaches may be
missing: LMDB does not write a page that a transaction took and freed before its commit.  If that is
the file's last page, a sound file is shorter than `last_pgno` says.

A walk leaves nothing open that LMDB takes for granted: each page is in use once, or free once; its
nodes lie beside each other in the page; keys are in order, within the page and below the keys
that lead to it, so that a search finds what is there; counts and flags are those that are noted.
So no process of its own is needed to try whether LMDB survives the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from heliosfs.pace import Pace, paced
from heliosfs.store.l2.pages import (
    BIG,
    BRANCH,
    DEPTH_MAX,
    DUPLICATES,
    ENVIRONMENT_FLAGS,
    INTEGER_KEYS,
    LEAF,
    LEAF2,
    LMDB_KEY_MAX,
    NO_PAGE,
    NODE,
    OVERFLOW,
    PAGE,
    SUB,
    U32,
    U64,
    Below,
    Damage,
    Database,
    Meta,
    check_order,
    children,
    database_in,
    even,
    fixed_count,
    fixed_keys,
    newest_meta,
    node_count,
    node_offsets,
)

_MISSING_MAX = 1 << 20
"""Most pages at the end of a file that LMDB may have left out, as nothing refers to them."""


class WalkResult(NamedTuple):
    """The results of a walk."""

    meta: Meta
    reached: int
    """Number of pages in the trees."""
    free: int
    """Number of pages on the free list."""
    highest: int
    """Last page that is in a tree."""


def walk(fd: int, tables: Mapping[bytes, int] | None = None) -> WalkResult:
    """Walk everything that the newest meta page reaches.  Raise Damage or OSError.

    `tables` are the flags of the tables that may be there.  Cost: 4 s for 1 GB of small records,
    2 us for each page of large ones.  It reads with pread(2) alone, and so may run on any thread.
    """
    length = os.fstat(fd).st_size
    meta = newest_meta(fd, length)
    return TreeWalk(fd, length, meta, tables).run()


def problems(fd: int, tables: Mapping[bytes, int] | None = None) -> list[str]:
    """Return everything that a walk finds: it goes on behind damage.  Raise OSError."""
    found: list[str] = []
    length = os.fstat(fd).st_size
    try:
        meta = newest_meta(fd, length)
        TreeWalk(fd, length, meta, tables, found.append).run()
    except Damage as error:
        found.append(str(error))
    return found


def is_short(fd: int) -> bool:
    """Return True if a file has fewer pages than its newest meta page counts.

    Raise Damage or OSError.
    """
    length = os.fstat(fd).st_size
    meta = newest_meta(fd, length)
    return length < (meta.last_page + 1) * meta.page_bytes


@dataclass(slots=True)
class _Sums:
    """Pages and entries of a tree, as they are counted."""

    own: list[int]
    """Numbers of branch, leaf and overflow pages."""
    below: list[int]
    """The same of the trees below the entries."""
    entries: int = 0


class TreeWalk:
    """A walk: the pages seen so far, each of which may be in use only once."""

    def __init__(
        self,
        fd: int,
        length: int,
        meta: Meta,
        tables: Mapping[bytes, int] | None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare a walk.  It ends at the first damage, or tells of all that it finds.

        Raise Damage if the file says to be much longer than it is.
        """
        if meta.last_page >= length // meta.page_bytes + _MISSING_MAX:
            raise Damage(
                f"the meta page says that the last page is {meta.last_page}, far beyond the end"
            )
        self._tell = tell
        self._fd = fd
        self._tables = tables
        self._page_bytes = meta.page_bytes
        self._count = min(length // meta.page_bytes, meta.last_page + 1)
        """Number of pages that the file has."""
        self._meta = meta
        self._seen = bytearray(meta.last_page // 8 + 1)
        self._reached = 0
        self._highest = 1

    def run(self) -> WalkResult:
        meta = self._meta
        if meta.free.flags & ~ENVIRONMENT_FLAGS or not meta.free.flags & INTEGER_KEYS:
            raise Damage(f"the free list has unexpected flags: {meta.free.flags:#x}")
        if meta.main.flags:
            raise Damage(f"the table of tables has unexpected flags: {meta.main.flags:#x}")
        # The two meta pages belong to no tree.
        self._take(0, 2)
        free = 0
        try:
            free = sum(self._free_pages())
        except Damage as error:
            self._found(error)
        for key, table in self.tables():
            try:
                self._check_table(key, table)
                self._walk_table(table)
            except Damage as error:
                self._found(error)
        return WalkResult(meta, self._reached, free, self._highest)

    def tables(self) -> Iterator[tuple[bytes, Database]]:
        """Yield the named tables.  Raise Damage."""
        entries = self.entries(self._meta.main, "the table of tables")
        for key, data, flags in entries:
            # A named table: its description is a value of the table of tables.
            if flags & SUB and not flags & DUPLICATES:
                yield key, database_in(data)

    def is_reached(self, number: int) -> bool:
        """Return True if the walk has passed a page, or found it on the free list."""
        at = number >> 3
        return at < len(self._seen) and bool(self._seen[at] & 1 << (number & 7))

    def check(self, values: bytes) -> None:
        """Walk the tree of the values of a key, as its entry describes it.  Raise Damage."""
        for _ in self.entries(database_in(values), "the values of a key"):
            pass

    def _found(self, error: Damage) -> None:
        if self._tell is None:
            raise error
        self._tell(str(error))

    def _check_table(self, name: bytes, table: Database) -> None:
        if self._tables is not None and self._tables.get(name) != table.flags:
            raise Damage(f"table {name!r} is unknown, or has unexpected flags: {table.flags:#x}")

    def _walk_table(self, table: Database) -> None:
        for _, data, flags in self.entries(table, "a table"):
            if flags & SUB:
                self.check(data)

    def _free_pages(self) -> Iterator[int]:
        """Yield the count of pages in each entry of the free list.

        Raise Damage if a page occurs twice.
        """
        entries = self.entries(self._meta.free, "the free list", wants_data=True)
        for key, data, _ in entries:
            if len(key) != U64.size or U64.unpack(key)[0] > self._meta.transaction:
                raise Damage(f"an entry of the free list has a wrong key: {key.hex()}")
            if len(data) < U64.size:
                raise Damage("an entry of the free list is cut short")
            (count,) = U64.unpack_from(data)
            if len(data) < (count + 1) * U64.size:
                raise Damage("an entry of the free list is cut short")
            before = self._meta.last_page + 1
            for (page,) in paced(U64.iter_unpack(data[U64.size : (count + 1) * U64.size])):
                if page >= before:
                    raise Damage(f"the free list names page {page} after page {before}")
                before = page
                if not 2 <= page <= self._meta.last_page:
                    raise Damage(f"the free list names page {page}, which the file does not have")
                self._mark(page)
            yield count

    def entries(
        self, tree: Database, what: str, *, wants_data: bool = False
    ) -> Iterator[tuple[bytes, bytes, int]]:
        """Yield key, data and flags of each entry of a tree, and then compare the counts.

        Data in overflow pages is read only if `wants_data`; otherwise it is empty.
        """
        if tree.root == NO_PAGE:
            if tree.entries or tree.depth:
                raise Damage(f"{what} has {tree.entries} entries and no root")
            return
        if not 0 < tree.depth <= DEPTH_MAX:
            raise Damage(f"{what} has a depth of {tree.depth}, not of 1 to {DEPTH_MAX}")
        sums, pace = _Sums([0, 0, 0], [0, 0, 0]), Pace()
        pending = [Below(tree.root, tree.depth, None, None)]
        while pending:
            pace()
            try:
                found = self._look(tree, what, pending, sums, wants_data=wants_data)
            except Damage as error:
                self._found(error)
                continue
            yield from found
        wanted = (tree.branch_pages, tree.leaf_pages, tree.overflow_pages, tree.entries)
        # LMDB notes the pages of a key's many values at the table, too.
        with_values = [own + others for own, others in zip(sums.own, sums.below, strict=True)]
        if wanted not in ((*sums.own, sums.entries), (*with_values, sums.entries)):
            counted = (*sums.own, sums.entries)
            self._found(
                Damage(f"{what} has the counts {counted}, but its description says {wanted}")
            )

    def _look(
        self, tree: Database, what: str, pending: list[Below], sums: _Sums, *, wants_data: bool
    ) -> list[tuple[bytes, bytes, int]]:
        """Take a page from `pending`, and return its entries; add the pages below it to `pending`.

        Raise Damage.
        """
        at = pending.pop()
        number, depth, _, _ = at
        page = self._page(number)
        flags = PAGE.unpack_from(page)[2]
        # All leaves of a B-tree are equally deep, so the depth says of which kind a page must be.
        is_leaf = depth == 1
        if bool(flags & LEAF) != is_leaf or bool(flags & BRANCH) == is_leaf:
            raise Damage(
                f"page {number} has unexpected flags at depth {depth} of {what}: {flags:#x}"
            )
        sums.own[is_leaf] += 1
        if not is_leaf:
            pending += children(page, at, tree.flags)
            return []
        if flags & LEAF2:
            keys = fixed_keys(page, number, tree.key_bytes)
            check_order(keys, at, tree.flags)
            sums.entries += len(keys)
            return []
        nodes = list(self._nodes(page, number, wants_data))
        check_order([node[0] for node in nodes], at, tree.flags)
        for _, data, node_flags, large in nodes:
            sums.own[2] += large
            sums.entries += self._entry_count(data, node_flags)
            if node_flags & SUB:
                values = database_in(data)
                sums.below[0] += values.branch_pages
                sums.below[1] += values.leaf_pages
                sums.below[2] += values.overflow_pages
        return [(key, data, node_flags) for key, data, node_flags, _ in nodes]

    def _entry_count(self, data: bytes, flags: int) -> int:
        """Return the number of entries of a node: one, or the values of a key with several."""
        if not flags & DUPLICATES:
            return 1
        if flags & SUB:
            return database_in(data).entries
        # A page within the page.
        if len(data) < PAGE.size:
            raise Damage("the values of a key are cut short")
        return fixed_count(data, 0) if PAGE.unpack_from(data)[2] & LEAF2 else node_count(data, 0)

    def _nodes(
        self, page: bytes, number: int, wants_data: bool
    ) -> Iterator[tuple[bytes, bytes, int, int]]:
        """Yield key, data, flags and number of overflow pages of each node of a leaf."""
        end = len(page)
        room = end - PAGE.unpack_from(page)[4]
        for at in node_offsets(page, number):
            low, high, flags, key_bytes = NODE.unpack_from(page, at)
            size = low | high << 16
            data_at = at + NODE.size + key_bytes
            # A large value lies in pages of its own, and its node has the number of the first.
            in_page = U64.size if flags & BIG else size
            if key_bytes > LMDB_KEY_MAX or data_at + in_page > end:
                raise Damage(f"a node of page {number} goes beyond the end of the page")
            room -= even(NODE.size + key_bytes + in_page)
            key = page[at + NODE.size : data_at]
            if not flags & BIG:
                yield key, page[data_at : data_at + size], flags, 0
                continue
            (first,) = U64.unpack_from(page, data_at)
            count, data = self._overflow(first, size, wants_data=wants_data)
            yield key, data, flags, count
        if room:
            raise Damage(f"the nodes of page {number} overlap, or have gaps between them")

    def _overflow(self, first: int, size: int, *, wants_data: bool) -> tuple[int, bytes]:
        head = self._read(first, 1)
        number, _, flags, _, _ = PAGE.unpack_from(head)
        (count,) = U32.unpack_from(head, 12)
        wanted = (PAGE.size + size + self._page_bytes - 1) // self._page_bytes
        if number != first or not flags & OVERFLOW or count != wanted:
            raise Damage(f"page {first} is not the beginning of a value of {size} bytes")
        self._take(first, count)
        data = self._read(first, count)[PAGE.size : PAGE.size + size] if wants_data else b""
        return count, data

    def _page(self, number: int) -> bytes:
        self._take(number, 1)
        page = self._read(number, 1)
        if PAGE.unpack_from(page)[0] != number:
            raise Damage(f"page {number} says that it is page {PAGE.unpack_from(page)[0]}")
        return page

    def _read(self, number: int, count: int) -> bytes:
        if number + count > self._count:
            raise Damage(
                f"page {number + count - 1} is in use, but the file has only {self._count} pages"
            )
        data = os.pread(self._fd, count * self._page_bytes, number * self._page_bytes)
        if len(data) < count * self._page_bytes:
            raise Damage(f"the file ends within page {number}")
        return data

    def _take(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self._mark(number)
        self._reached += count
        self._highest = max(self._highest, first + count - 1)

    def _mark(self, number: int) -> None:
        if number > self._meta.last_page:
            raise Damage(f"page {number} lies behind the last one, {self._meta.last_page}")
        at, bit = number >> 3, 1 << (number & 7)
        # A page used twice would be freed twice, and then hold two things at once.
        if self._seen[at] & bit:
            raise Damage(f"page {number} is used twice")
        self._seen[at] |= bit
