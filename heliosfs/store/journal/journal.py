"""The journal: batches in files `journal-<n>`, each batch one record and one write.

A record is a header, a *table* (a list of the objects and state changes that follow) and the bytes
of the objects:

    record  magic 4 | crc32 4 | table bytes 4 | object bytes 8 | number 8 | durable 8
    object  tag 1 | kind 1 | has base 1 | size 8 | id 32 | base 0 or 32
    packed  tag 1 | kind 1 | 0 1 | size 8 | id 32 | place
    edited  tag 1 | kind 1 | 1 1 | size 8 | id 32 | base 32 | edits
    state   tag 1 | removed 1 | key bytes 2 | value bytes 4 | key | value

Numbers are consecutive over all segments.  The checksum covers the header behind it and
the table, and starts from the store's salt; the bytes of an object are checked against
its id, which is in the table.  So a publish need not run a second checksum over the
content, and crc32 is the cheapest for the 200 bytes that remain (0.4 us; BLAKE3 1.3 us).

Segments whose batches are in L2 are overwritten, and new ones are first filled with zeros: a write
of 17 KB into existing pages takes 2 us, an appended one 10 us.  Records of an earlier use are
recognized by their numbers, which are those of drained batches.  Content of a file that looks like
a record is never taken for one, because its checksum does not start from the salt.

Theory of operation.  A commit must be safe from a killed process before it is answered, in some
microseconds: so it is one `pwritev` into the page cache, and nothing is encoded or synced for it.
`rotate` begins another segment when a drain is planned, so that the segments before it hold just
what that drain moves; when it has succeeded, they are spares, and not before.  The order within
`append` matters: the write comes first, number and end are raised after it.  A write that failed
so has no number, and the next record lies over it.

Refused: LMDB without syncing in place of a journal, which a power cut can corrupt; encoding
before the append, so that the journal holds deltas, which puts the encoder and the bases in the way
of a commit; one file that grows, to which appending is slow
(docs/decisions/2026-11-23-raw-journal-delta-store.md).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from zlib import crc32

from heliosfs.errors import StoreError
from heliosfs.store.directory import Directory, store_error
from heliosfs.store.encoding.places import PackedObject
from heliosfs.store.pending import Changes, Pending
from heliosfs.store.witness import Witness

PREFIX = "journal-"
RECORD_MAGIC = b"\xf5HJ\x01"

RECORD_HEAD = struct.Struct("<4sIIQQQ")
CHECKED_FROM = 8
"""Offset in a record's header from which the checksum covers it."""
_U32 = struct.Struct("<I")
_CHECKED = struct.Struct("<IQQQ")
OBJECT = struct.Struct("<BBBQ32s")
_BASED = struct.Struct("<BBBQ32s32s")
STATE = struct.Struct("<BBHI")
_pack_object = OBJECT.pack
_pack_based = _BASED.pack
_pack_state = STATE.pack
OBJECT_TAG = 1
STATE_TAG = 2
PACKED_TAG = 3
EDITED_TAG = 4

KEEP_BYTES = 16 * 1024 * 1024
"""Size to which a segment is cut when it is kept for another use."""
_SPARES = 2
_PREPARED_BYTES = 2 * 1024 * 1024
"""Zeros that are written to a segment before its first use: 0.5 ms, for a hundred commits."""
_FOLIO_BYTES = 64 * 1024
"""Bytes of zeros in one write.  The kernel makes one folio of a write, and small writes into large
folios are slow (17 KB into one of 64 KiB 1.8 us, of 1 MiB 3.6, of 2 MiB 5.6; ext4, Linux 6.18)."""


class Segment:
    """An open segment file."""

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = fd
        self.end = 0
        """Offset of the next record."""
        self.extent = 0
        """Bytes of the file; at least `end`."""
        self.last = 0
        """Number of its last record; 0 if it has none."""

    def shrink(self, directory: Directory) -> None:
        """Truncate a spare, drained segment to the size that is kept.  On any thread."""
        if self.extent > KEEP_BYTES:
            directory.truncate(self.fd, KEEP_BYTES)
            self.extent = KEEP_BYTES


class Journal:
    """The journal of a store.

    One thread owns it.  It is created after the journal of the last run was replayed and deleted.
    """

    def __init__(
        self,
        directory: Directory,
        salt: bytes,
        last_number: int,
        witness: Witness | None = None,
        refusal: StoreError | None = None,
    ) -> None:
        """Begin a journal after batch `last_number`; `witness` gets the numbers of synced batches.

        With a refusal, create no file, and raise the refusal for every batch.  Raise StoreError.
        """
        self.number = last_number
        """Number of the last batch that was appended."""
        self.durable = last_number
        """Number of the last batch that is known to be safe from a power cut."""
        self.names_made = 0
        """Number of files that were created."""
        self.names_synced = 0
        """Number of those files whose names are safe from a power cut."""
        self._directory = directory
        self._witness = witness
        self._seed = crc32(salt)
        self._broken = refusal
        self._spares: list[Segment] = []
        self._name_count = 0
        self._live: list[Segment] = []
        if refusal is not None:
            return
        try:
            self._live.append(self._create())
        except OSError as error:
            raise store_error("cannot create a journal", error) from error

    def prepare(self) -> None:
        """Fill pages for the first records, and create a spare: 1 ms.  Failures cost only speed."""
        with suppress(OSError):
            self._spares.append(self._create())
        zeros = (bytes(_FOLIO_BYTES),)
        for segment in (*self._live, *self._spares):
            try:
                for at in range(0, _PREPARED_BYTES, _FOLIO_BYTES):
                    segment.extent = at + self._directory.write(segment.fd, zeros, at)
            except OSError:
                with suppress(OSError):
                    self._directory.truncate(segment.fd, 0)
                    segment.extent = 0

    def append(self, objects: Sequence[Pending], state: Changes) -> None:
        """Write a batch as the next record: 10 us for 17 KB in 4 objects.

        Raise StoreError or StoreFull.

        After an error, truncate the journal to its previous end.  If that fails, too, refuse all
        further batches.
        """
        if self._broken is not None:
            raise type(self._broken)(str(self._broken))
        # Records before this one may be lost, and replay stops at a gap: later ones would be lost
        # with them.
        if self._directory.failure is not None:
            self._directory.check()
        segment = self._live[-1]
        number = self.number + 1
        table, contents = encode_table(objects, state)
        head = encode_head(table, sum(map(len, contents)), number, self.durable, self._seed)
        try:
            written = self._directory.write(segment.fd, (head, table, *contents), segment.end)
        except OSError as error:
            self._cut_back(segment)
            raise store_error(f"cannot write {segment.name}", error) from error
        # I33: a record that was not written whole has no number and no place.
        segment.end += written
        segment.extent = max(segment.extent, segment.end)
        segment.last = self.number = number

    def rotate(self) -> None:
        """Let the next batch begin another segment, so that the earlier ones can be freed.

        If no segment can be created, the current one continues, and is freed later.
        """
        # Nothing was written to it yet, so it can take the next batch.
        if not self._live[-1].last:
            return
        if self._spares:
            segment = self._spares.pop()
            # The old records stay in the file: their numbers say that they are drained.
            segment.end = segment.last = 0
        else:
            try:
                segment = self._create()
            except OSError:
                return
        self._live.append(segment)

    def segments_up_to(self, number: int) -> list[Segment]:
        """Return the closed segments whose records all have numbers up to `number`."""
        return [segment for segment in self._live[:-1] if segment.last <= number]

    def free(self, segments: list[Segment]) -> None:
        """Keep drained segments for another use, and delete those beyond `_SPARES`."""
        # I36: only files of which all records are in L2 are written over.
        for segment in segments:
            assert segment is not self._live[-1]
            self._live.remove(segment)
            if len(self._spares) < _SPARES:
                self._spares.append(segment)
            else:
                self._drop(segment)

    def note_durable(self, number: int) -> None:
        """Note that all batches up to a number are on the disk."""
        self.durable = max(self.durable, number)
        # I53: what the witness says is on the disk.
        if self._witness is not None:
            self._witness.note(batch=self.durable)

    def unsynced(self) -> list[Segment]:
        """Return the segments with records that a power cut could destroy."""
        return [segment for segment in self._live if segment.last > self.durable]

    def fail(self, text: str) -> None:
        """Refuse all further batches with this text."""
        self._broken = StoreError(text)

    def close(self, *, drained: bool) -> None:
        """Close the files; delete them if L2 has all of their batches."""
        for segment in (*self._live, *self._spares):
            if drained:
                self._drop(segment)
            else:
                os.close(segment.fd)
        self._live.clear()
        self._spares.clear()

    def disk_bytes(self) -> int:
        """Return the bytes of all segments."""
        return sum(segment.extent for segment in (*self._live, *self._spares))

    def _create(self) -> Segment:
        self._name_count += 1
        name = f"{PREFIX}{self._name_count}"
        fd = self._directory.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.names_made += 1
        return Segment(name, fd)

    def _cut_back(self, segment: Segment) -> None:
        """Truncate a partly written record, which is void, but takes room on a full disk."""
        try:
            self._directory.truncate(segment.fd, segment.end)
            segment.extent = segment.end
        except OSError as error:
            self.fail(f"cannot cut {segment.name} back: {error.strerror}")

    def _drop(self, segment: Segment) -> None:
        os.close(segment.fd)
        try:
            self._directory.unlink(segment.name)
        except OSError:
            # It is read at the next open, and known by its numbers to be in L2.
            return


def encode_head(table: bytes, content_bytes: int, number: int, durable: int, seed: int) -> bytes:
    """Return the header of a record."""
    checked = _CHECKED.pack(len(table), content_bytes, number, durable)
    return RECORD_MAGIC + _U32.pack(crc32(table, crc32(checked, seed))) + checked


def encode_table(objects: Sequence[Pending], state: Changes) -> tuple[bytes, list[bytes]]:
    """Return the table of a record, and the bytes of its objects, which follow the table."""
    parts: list[bytes] = []
    contents: list[bytes] = []
    for oid, kind, data, base in objects:
        # Nearly all are bytes.
        if isinstance(data, bytes):
            contents.append(data)
            if base is None:
                parts.append(_pack_object(OBJECT_TAG, kind, 0, len(data), oid))
            else:
                parts.append(_pack_based(OBJECT_TAG, kind, 1, len(data), oid, base))
        elif isinstance(data, PackedObject):
            parts += (_pack_object(PACKED_TAG, kind, 0, data.size, oid), data.place.encode())
        else:
            parts += (_pack_object(EDITED_TAG, kind, 1, data.size, oid), data.encode())
    for key, value in state.items():
        if value is None:
            parts += (_pack_state(STATE_TAG, 1, len(key), 0), key)
        else:
            parts += (_pack_state(STATE_TAG, 0, len(key), len(value)), key, value)
    return b"".join(parts), contents
