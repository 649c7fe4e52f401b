"""Replay of the journal of a run that did not end cleanly.

A record that a crash cut short ends the journal.  A damaged record looks the same, and later
records tell the two apart: each one states up to which batch the journal was on the disk when it
was written.  A damaged batch that was on the disk is an error.  One that was not may be lost in a
power cut, together with all batches after it.

Theory of operation.  Every file is read to its end, past anything that is not sound, by looking for
the magic bytes again: only what lies behind damage can tell whether it matters.  That takes time
in proportion to the file, whatever its bytes are (`rangecheck`).  Then the batches
are taken in the order of their numbers, from the one after L2's last, and no batch without the one
before it, because state of a later batch may refer to objects of an earlier one.  The order of the
files and of the records in them means nothing: a segment that was used before still holds records
of then, and their numbers, which are those of drained batches, say so.

Refused: to stop at the first bad byte, which takes damage in the middle for a power cut
and drops acknowledged commits without a word; and to refuse any damage, which takes the normal end
of a power cut for a fault, so that nobody could open the store.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from heliosfs.errors import StoreError
from heliosfs.objects.ids import object_id
from heliosfs.store.directory import Directory, store_error
from heliosfs.store.edited import EditedObject
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.encoding.packs import Packs, load_packed
from heliosfs.store.encoding.places import PackedObject
from heliosfs.store.journal.journal import CHECKED_FROM, PREFIX, RECORD_HEAD, RECORD_MAGIC
from heliosfs.store.journal.rangecheck import RangeChecks
from heliosfs.store.journal.table import StateItem, read_items
from heliosfs.store.pending import Batches, Changes, Pending

_log = logging.getLogger(__name__)


class Record(NamedTuple):
    """A batch as it was read from the journal."""

    number: int
    durable: int
    objects: list[Pending]
    state: Changes
    end: int
    """Offset of the next record."""


class Remains(NamedTuple):
    """The batches that a damaged journal still has."""

    batches: Batches
    lost: list[str]
    """Lines for people about what it lacks."""


@dataclass(slots=True)
class _Scan:
    """A segment and its sound records, including those of an earlier use of the file."""

    name: str
    found: list[Record] = field(default_factory=list)
    end: int = 0
    """Offset of the first bytes that are no sound record, or not the next one in order."""
    before: int = 0
    """Number of sound records before `end`."""

    def is_broken_at(self, number: int) -> bool:
        """Return True if the missing record of batch `number` should begin at `end`."""
        if self.before:
            return self.found[self.before - 1].number == number - 1
        # Nothing sound comes before the damage; a later record shows that the file was in use then.
        return any(record.number > number for record in self.found)


def segment_names(directory: Directory) -> list[str]:
    """Return the names of the journal's files."""
    return [
        name
        for name in directory.names()
        if name.startswith(PREFIX) and name[len(PREFIX) :].isdigit()
    ]


def replay(directory: Directory, packs: Packs, salt: bytes, drained: int) -> Batches:
    """Return the batches after `drained`, in order.  Raise StoreError if damage has lost some."""
    scans = _scans(directory, salt)
    found = {record.number: record for scan in scans for record in scan.found}
    objects: list[Pending] = []
    state: dict[bytes, bytes | None] = {}
    last = drained
    # I34: no batch without the one before it.
    # After a power cut without a sync, a record may be on the disk, and the body that it names not.
    while last + 1 in found and _are_packed(packs, found[last + 1].objects):
        last += 1
        objects += found[last].objects
        # In order, so that a later value replaces an earlier one.
        state.update(found[last].state)
    _check_lost(scans, last)
    return Batches(objects, state, last)


def _scans(directory: Directory, salt: bytes) -> list[_Scan]:
    """Read all files of the journal.  Raise StoreError."""
    seed = crc32(salt)
    try:
        return [_scan(name, directory.read(name), seed) for name in segment_names(directory)]
    except OSError as error:
        raise store_error("cannot read the journal", error) from error


def _are_packed(packs: Packs, objects: list[Pending]) -> bool:
    """Return True if the packs have every body that the records of the objects name."""
    try:
        for item in objects:
            if isinstance(item.data, PackedObject):
                load_packed(packs, item.data, item.kind, item.oid)
    except DecodeError:
        return False
    return True


def _check_lost(scans: list[_Scan], last: int) -> None:
    """Check the batches after `last`, which cannot be applied because `last` + 1 is missing.

    Raise StoreError if one of them says that the missing one was on the disk; otherwise warn.
    """
    later = [record for scan in scans for record in scan.found if record.number > last]
    if not later:
        return
    text = f"batch {last + 1} cannot be read"
    for scan in scans:
        if scan.is_broken_at(last + 1):
            text = f"{scan.name} is damaged at byte {scan.end}: {text}"
    # Some record knew that the missing one was on the disk: this is no power cut.
    if max(record.durable for record in later) > last:
        raise StoreError(text)
    _log.warning("%s, nor the %d after it: a power cut came before a sync", text, len(later))


def _scan(name: str, data: bytes, seed: int) -> _Scan:
    scan = _Scan(name)
    at = 0
    record = read_record(data, at, seed)
    # A number out of order belongs to an earlier use of the file, which ends here.
    while record is not None and (not scan.found or record.number == scan.found[-1].number + 1):
        scan.found.append(record)
        at = record.end
        record = read_record(data, at, seed)
    # What follows is older, damaged, or not there: only a later number tells which.
    scan.end = at
    scan.before = len(scan.found)
    # Behind the damage, later records are looked for: they say how much was on the disk.
    checks = RangeChecks(data)
    at = data.find(RECORD_MAGIC, at)
    while at >= 0:
        record = read_record(data, at, seed, checks)
        if record is not None:
            scan.found.append(record)
        # Content of a sound record is not looked at: it may hold anything.
        at = data.find(RECORD_MAGIC, at + 1 if record is None else record.end)
    return scan


def read_record(
    data: bytes, at: int, seed: int, checks: RangeChecks | None = None
) -> Record | None:
    """Return the record at offset `at`; None unless a complete, undamaged record begins there.

    With `checks`, bytes that only resemble a header cost the same time for any length in them.
    """
    table_at = at + RECORD_HEAD.size
    if len(data) < table_at or data[at : at + len(RECORD_MAGIC)] != RECORD_MAGIC:
        return None
    _, check, table_bytes, content_bytes, number, durable = RECORD_HEAD.unpack_from(data, at)
    content_at = table_at + table_bytes
    end = content_at + content_bytes
    # A crash may leave the header of a record and not all of its content.
    if end > len(data):
        return None
    begin = at + CHECKED_FROM
    if checks is None:
        found = crc32(memoryview(data)[begin:content_at], seed)
    else:
        found = checks.of(begin, content_at, seed)
    if found != check:
        return None
    objects, state = _read_table(data, table_at, content_at)
    for item in objects:
        # The checksum covers the table alone; the id of an object covers its bytes.
        if isinstance(item.data, bytes) and object_id(item.kind, item.data) != item.oid:
            return None
    return Record(number, durable, objects, state, end)


def _read_table(data: bytes, at: int, content_at: int) -> tuple[list[Pending], Changes]:
    """Decode a table whose checksum was verified; the bytes of its objects follow the table."""
    objects = []
    state: dict[bytes, bytes | None] = {}
    for item in read_items(data, at, content_at):
        if isinstance(item, StateItem):
            state[item.key] = item.value
            continue
        held: bytes | PackedObject | EditedObject | None = item.elsewhere
        if held is None:
            held = data[content_at : content_at + item.size]
            content_at += item.size
        objects.append(Pending(item.oid, item.kind, held, item.base))
    return objects, state


def remains(directory: Directory, packs: Packs, salt: bytes, drained: int) -> Remains:
    """Return the sound batches after number `drained`, whatever is missing between them.

    Raise StoreError.
    """
    scans = _scans(directory, salt)
    found = {record.number: record for scan in scans for record in scan.found}
    objects: list[Pending] = []
    state: dict[bytes, bytes | None] = {}
    lost: list[str] = []
    last = drained
    for number in sorted(number for number in found if number > drained):
        if number > last + 1:
            lost.append(f"the journal lacks what was done between batch {last} and {number}")
        last = number
        for item in found[number].objects:
            if isinstance(item.data, PackedObject) and not _are_packed(packs, [item]):
                lost.append(f"object {item.oid.hex()} is not in the pack that the journal names")
            else:
                objects.append(item)
        state.update(found[number].state)
    return Remains(Batches(objects, state, last), lost)
