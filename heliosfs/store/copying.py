"""Copies of objects and state from the L2 of a store into that of another: for backups.

Objects are taken in the order of their numbers, so that the base of a delta comes before it, and
the record of a copy is that of the original: it is decoded and compared with its id, but not
encoded again.  The other store has numbers of its own.  A number always means the same object, so
a later copy of the same store begins where the last one ended.

State is compared as the layers above see it, since the blocks of L2 name objects by number.  Both
sides have it in nearly the same order, so that a comparison of the two in step holds in memory only
what differs.  Most state of a long history are two series that only grow: its commits and its
operations.  Of each long series a copy keeps a mark, a digest of the blocks that were there; where
the next copy finds the same, it looks at what comes behind them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby, islice, zip_longest
from typing import NamedTuple

from blake3 import blake3

from heliosfs.emptying import Container
from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Oid, object_id
from heliosfs.pace import Pace
from heliosfs.store.base import LISTED, NUMBERED
from heliosfs.store.encoding.codecs import Codec, DecodeError, Encoded
from heliosfs.store.encoding.versions import PreparedObject
from heliosfs.store.gc.chains import Chains
from heliosfs.store.l2 import walk
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.reader import NUMBER, Snapshot, unpacked
from heliosfs.store.l2.record import SHORT_BYTES, Head, Payload, unpack_head
from heliosfs.store.l2.sealed import shown_key, unseal
from heliosfs.store.l2.series import Value, block_number, split_block
from heliosfs.store.l2.states import StateReader
from heliosfs.store.l2.totals import read_totals
from heliosfs.store.remembered import TwoGenerationCache

TAIL_COUNT = 32
"""Number of objects by which a store is known to be the one that was copied before."""
_MARKED_ROWS = 4
"""Blocks from which on a series gets a mark; a shorter one is compared faster than it is noted."""


class SeriesMark(NamedTuple):
    """The extent of a series at a moment, as a later look at it can find it again."""

    rows: int
    """Number of its blocks, without the last one."""
    digest: str
    """Digest of these, as they lie in L2."""
    last: int
    """Last number in the series."""
    tail: str
    """Digest of the entries in the last block."""


class GrownSeries(NamedTuple):
    """A series that has the entries of a known mark, and perhaps more."""

    row: bytes
    """Key of the block with which the new ones begin, or end what was there."""
    last: int
    """Last number that was there."""


class CopiedRecord(NamedTuple):
    """An object that can be read, as the other store takes it."""

    number: int
    prepared: PreparedObject


class DamagedRecord(NamedTuple):
    """An object, or several, that cannot be copied."""

    number: int
    text: str
    """Line for people."""


class Copying:
    """The objects and the state that L2 has, for a thread that copies them.

    Nobody may remove objects meanwhile; whoever copies holds a collection that sweeps nothing.
    """

    def __init__(self, database: ObjectDatabase) -> None:
        self._database = database
        self._chains = Chains()
        self._oids: TwoGenerationCache[Oid] = TwoGenerationCache()
        """Ids by number, as bytes: those of the bases of what comes next."""

    @property
    def salt(self) -> bytes:
        """Random bytes that no other store has, not even one that was restored from it."""
        return self._database.totals.salt

    @property
    def end(self) -> int:
        """Number after that of the last object now."""
        return self._database.totals.next_number

    def containers(self) -> tuple[Container, ...]:
        """Return what holds objects and ids, for whoever empties it."""
        return *self._chains.containers(), *self._oids.containers()

    @contextmanager
    def snapshot(self) -> Iterator[CopiedSnapshot]:
        """Open a snapshot of objects and state for a thread; one is open at a time."""
        with self._database.browsing() as snapshot:
            yield CopiedSnapshot(snapshot, self._chains, self._oids)


class CopiedSnapshot:
    """The objects and the state as one transaction sees them."""

    def __init__(self, snapshot: Snapshot, chains: Chains, oids: TwoGenerationCache[Oid]) -> None:
        self._snapshot = snapshot
        self._chains = chains
        self._oids = oids
        self._state = StateReader(snapshot)
        totals = read_totals(snapshot.txn)
        assert totals is not None
        self.end = totals.next_number
        """Number after that of the last object."""

    def records(self, first: int, stop: int) -> Iterator[CopiedRecord | DamagedRecord]:
        """Yield the objects of a range of numbers, in order, each checked against its id: 12 us."""
        pace = Pace()
        for number, record, text in walk.records(self._snapshot, first):
            if number >= stop:
                return
            pace()
            if text:
                yield DamagedRecord(number, f"objects from number {number} on: {text}")
                continue
            try:
                prepared = self._prepared(self._head(number, record))
            except DecodeError as error:
                yield DamagedRecord(number, self._named(number, str(error)))
                continue
            yield CopiedRecord(number, prepared)

    def unlike(self, first: int, wanted: Iterable[PreparedObject]) -> Iterator[DamagedRecord]:
        """Compare the objects from a number on with those that were just written: 5 us each.

        An object that was there before is passed over.  A record that has the bytes and the base
        that were wanted is not decoded: its base was compared before it, and what both yield has
        the right id, since it had it where they come from.
        """
        pace, left = Pace(), iter(wanted)
        for number, record, text in walk.records(self._snapshot, first):
            pace()
            try:
                if text:
                    raise DecodeError(text)
                head = self._head(number, record)
                if not self._is_next(head, left):
                    self._prepared(head)
            except DecodeError as error:
                yield DamagedRecord(number, self._named(number, str(error)))

    def _is_next(self, head: Head, wanted: Iterator[PreparedObject]) -> bool:
        """Compare a record with the next wanted object that has its id; return True if equal."""
        number, codec, kind, kept, size, base, position, record, at = head
        for each in wanted:
            if not each.oid.startswith(kept):
                continue
            encoded = each.encoded
            base_oid = None if base is None else self._oids.get(NUMBER.pack(base))
            if (
                encoded is None
                or (kind, size, position) != (each.kind, each.size, each.position)
                or base_oid != each.base
                or codec != encoded.codec
                or record[at:] != encoded.body
            ):
                return False
            self._oids.put(NUMBER.pack(number), each.oid)
            return True
        return False

    def _head(self, number: int, record: bytes | None) -> Head:
        return unpack_head(number, self._snapshot.record(number) if record is None else record)

    def _prepared(self, head: Head) -> PreparedObject:
        number, codec, kind, kept, size, base, position, record, at = head
        found = self._chains.decode_record(self._snapshot, head)
        oid = object_id(kind, found.data)
        if not oid.startswith(kept):
            raise DecodeError("its bytes have another id")
        body = record[at:]
        if codec == Codec.PACKED:
            payload = Payload(number, codec, kind, kept, size, base, position, body)
            payload = unpacked(self._snapshot.packs, payload, keeps_table=True)
            codec, body = payload.codec, payload.body
        encoded = Encoded(Codec(codec), body)
        base_oid = None if base is None else self._oid_of(base)
        self._oids.put(NUMBER.pack(number), oid)
        return PreparedObject(oid, kind, size, position, base_oid, encoded)

    def _oid_of(self, number: int) -> Oid:
        key = NUMBER.pack(number)
        oid = self._oids.get(key)
        if oid is None:
            found = self._chains.decode(self._snapshot, number)
            oid = object_id(found.kind, found.data)
            self._oids.put(key, oid)
        return oid

    def _named(self, number: int, text: str) -> str:
        """Return a line about a damaged object, with its kind and the id that its record has."""
        try:
            head = unpack_head(number, self._snapshot.record(number))
        except DecodeError:
            return f"object {number}: {text}"
        return f"{head[2].name.lower()} {head[3].hex()}…: {text}"

    def tail(self, stop: int) -> list[tuple[int, str]]:
        """Return the last objects before a number: number, and beginning of the id in hex."""
        found: list[tuple[int, str]] = []
        # Numbers that were removed leave gaps; wider ones find fewer objects, which is safe.
        first = max(1, stop - TAIL_COUNT * 4)
        try:
            for head in walk.heads(self._snapshot, first):
                if head[0] >= stop:
                    break
                found.append((head[0], head[3][:SHORT_BYTES].hex()))
        except DecodeError:
            return []
        return found[-TAIL_COUNT:]

    def _rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys of the table of state, and what lies under them, in order."""
        yield from self._snapshot.txn.cursor(self._snapshot.tables.state)

    def series(
        self, known: Mapping[bytes, SeriesMark]
    ) -> tuple[dict[bytes, SeriesMark], dict[bytes, GrownSeries]]:
        """Return the marks of all long series, and the series that have grown since known marks.

        One in which anything else has changed is not among these.
        """
        pace = Pace()
        marks: dict[bytes, SeriesMark] = {}
        grown: dict[bytes, GrownSeries] = {}
        for name, rows in groupby(self._rows(), key=_series):
            if name is None:
                continue
            mark, found = _look(rows, known.get(name), pace)
            if mark is not None:
                marks[name] = mark
            if found is not None:
                grown[name] = found
        return marks, grown

    def state(
        self,
        grown: Mapping[bytes, GrownSeries],
        damaged: list[bytes] | None = None,
        *,
        without: Collection[bytes] = (),
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys and values: of grown series the new ones, of those in `without` none.

        Raise CorruptObject.  With `damaged`, add the keys of L2 whose values cannot be read to it,
        and go on.
        """
        pace = Pace()
        for row in self._rows():
            name = _series(row)
            after = -1
            if name is not None:
                if name in without:
                    continue
                found = grown.get(name)
                if found is not None:
                    after = found.last
                    if row[0] < found.row:
                        continue
            try:
                for item in self._state.expand(*row, after=after):
                    pace()
                    yield item
            except CorruptObject:
                if damaged is None:
                    raise
                damaged.append(row[0])

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None.  Raise CorruptObject."""
        return self._state.get(key)


def differences(
    wanted: Iterable[tuple[bytes, bytes]],
    there: Iterable[tuple[bytes, bytes]],
    is_copied: Callable[[bytes], bool],
) -> dict[bytes, bytes | None]:
    """Return the changes that make the state that is there the wanted one.

    Only keys for which `is_copied` is true count, on both sides.  In memory are what differs, and
    what comes at another place than on the other side.
    """
    ahead: dict[bytes, bytes] = {}
    behind: dict[bytes, bytes] = {}
    for new, old in zip_longest(wanted, there):
        if new == old:
            continue
        if new is not None and is_copied(new[0]):
            if behind.get(new[0]) == new[1]:
                del behind[new[0]]
            else:
                ahead[new[0]] = new[1]
        if old is not None and is_copied(old[0]):
            if ahead.get(old[0]) == old[1]:
                del ahead[old[0]]
            else:
                behind[old[0]] = old[1]
    changes: dict[bytes, bytes | None] = dict.fromkeys(behind)
    changes.update(ahead)
    return changes


def _series(row: tuple[bytes, bytes]) -> bytes | None:
    """Return the name of the series to which a block belongs; None if it is no block."""
    key = row[0]
    if key[:1] not in (LISTED, NUMBERED):
        return None
    try:
        return None if block_number(key) is None else key[: -NUMBER.size]
    except CorruptObject:
        return None


def _look(
    rows: Iterable[tuple[bytes, bytes]], known: SeriesMark | None, pace: Pace
) -> tuple[SeriesMark | None, GrownSeries | None]:
    """Return the mark of a series, if it is long, and what has grown if it has a known one."""
    hasher = blake3()
    count, last_row = -1, (b"", b"")
    digest = ""
    recent: list[tuple[bytes, bytes]] = []
    for row in rows:
        pace()
        if count >= 0:
            for part in last_row:
                hasher.update(part)
        count, last_row = count + 1, row
        if known is not None and count >= known.rows:
            digest = digest or hasher.hexdigest()
            if (block_number(row[0]) or 0) <= known.last:
                recent.append(row)
    mark = grown = None
    try:
        if count >= _MARKED_ROWS:
            entries = _entries([last_row])
            mark = SeriesMark(count, hasher.hexdigest(), entries[-1][0], _digest(entries))
        if known is not None and recent and digest == known.digest:
            before = [entry for entry in _entries(recent) if entry[0] <= known.last]
            if _digest(before) == known.tail:
                grown = GrownSeries(recent[0][0], known.last)
    except CorruptObject:
        return None, None
    return mark, grown


def _entries(rows: Iterable[tuple[bytes, bytes]]) -> list[tuple[int, Value]]:
    """Return the entries of blocks with their numbers.  Raise CorruptObject."""
    return [
        entry
        for key, sealed in rows
        for entry in split_block(block_number(key) or 0, unseal(key, sealed))
    ]


def _digest(entries: Iterable[tuple[int, Value]]) -> str:
    hasher = blake3()
    for number, (refers, rest) in entries:
        hasher.update(b"%d %d %d " % (number, refers, len(rest)) + rest)
    return str(hasher.hexdigest())


def family(key: bytes) -> bytes:
    """Return the part of a key of state that it shares with all of its kind."""
    name, slash, _ = key.partition(b"/")
    return name + slash


def shown(keys: Iterable[bytes], limit: int) -> list[str]:
    """Return lines for people about keys whose values cannot be read."""
    return [f"the state under {shown_key(key)} cannot be read" for key in islice(keys, limit)]
