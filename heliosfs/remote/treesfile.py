"""The object with all new trees and commits of a push, and with the names and rows of its packs.

It is `HEAD`, the counts of its bases, packs and indexes, these, rows of packs (`packtable`), and
then `frames`: groups of whole objects that are compressed together.  At the end is the BLAKE3 of
all before it.  It is named by the commit that was pushed, so its bytes are not what the name
promises; each object in it is known by the id of its bytes alone, and whoever reads it checks that
nothing is missing (`closure`).

Where a frame has a dictionary, it begins with `DICTIONARY_HEAD` instead, so that a program which
knows of none refuses it.  The first programs wrote `OLD_HEAD`, and of packs only their names: such
an object is read, too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.remote.frames import (
    DICTIONARY_KINDS,
    DICTIONARY_MAX_BYTES,
    FRAME_BYTES,
    OLDER_MAX,
    OLDER_MIN_BYTES,
    RECORD_HEAD_BYTES,
    Frame,
    encode_frame,
    encode_frame_after,
    frames_of,
    objects_of,
)
from heliosfs.remote.packfile import PackName, RemoteObject, check_size
from heliosfs.remote.packtable import (
    NAMED_MAX,
    NamedPack,
    PackTable,
    PackTableWriter,
    check_packs,
    read_table,
)

HEAD = b"helios-trees 2\n\0"
DICTIONARY_HEAD = b"helios-trees 3\n\0"
OLD_HEAD = b"helios-trees 1\n\0"
_HEADS = (HEAD, DICTIONARY_HEAD, OLD_HEAD)
_ANY_HEAD = re.compile(rb"helios-trees (\d+)\n")
_COUNT = struct.Struct("<I")
_COUNTS = struct.Struct("<III")
_OLD_COUNTS = struct.Struct("<II")
_OLD_PACK = struct.Struct(f"<{OID_BYTES}sQ")
FRAMES_FULL_BYTES = 16 * 1024 * 1024
"""Size of all frames from which further trees go into packs."""
_GAIN_MIN_BYTES = 64
"""Bytes that a dictionary must save, for who reads the frame needs other objects first."""
TREES_MAX = 256 * 1024 * 1024
"""Largest object of this form that is read."""


class OlderObjects:
    """Earlier versions of the trees of a push, for a dictionary, within the limits of one."""

    def __init__(self) -> None:
        self.objects: dict[Oid, RemoteObject] = {}
        self._bytes = 0
        self._counts = dict.fromkeys(DICTIONARY_KINDS, 0)

    @property
    def is_full(self) -> bool:
        """True if nothing more is to be looked for."""
        return self._bytes >= DICTIONARY_MAX_BYTES or max(self._counts.values()) >= OLDER_MAX

    def add(self, older: RemoteObject) -> None:
        """Take an object that the remote has, unless it is too small or too large to be of use."""
        size = len(older.data)
        if size < OLDER_MIN_BYTES or self._bytes + size > DICTIONARY_MAX_BYTES:
            return
        if older.oid not in self.objects and self._counts[older.kind] < OLDER_MAX:
            self.objects[older.oid] = older
            self._bytes += size
            self._counts[older.kind] += 1


class TreesWriter:
    """Frames that grow in memory; its methods may be called on any thread, one after another."""

    def __init__(self) -> None:
        self._waiting: list[RemoteObject] = []
        self._waiting_bytes = 0
        self._frames: list[bytes] = []
        self._frames_bytes = 0

    @property
    def is_full(self) -> bool:
        """True if further objects belong into packs."""
        return self._frames_bytes >= FRAMES_FULL_BYTES

    def add(self, found: RemoteObject) -> None:
        """Add an object.  TooLarge."""
        check_size(found)
        self._waiting.append(found)
        self._waiting_bytes += RECORD_HEAD_BYTES + len(found.data)
        if self._waiting_bytes >= FRAME_BYTES:
            self._close_frame()

    def _close_frame(self) -> None:
        frame = encode_frame(self._waiting)
        self._frames.append(frame)
        self._frames_bytes += len(frame)
        self._waiting, self._waiting_bytes = [], 0

    def finish(
        self,
        bases: Sequence[CommitId],
        packs: PackTableWriter,
        older: Iterable[RemoteObject] = (),
    ) -> bytes:
        """Return the bytes of the object.

        Where all objects are one frame, those in `older` may become a dictionary.
        """
        head = HEAD
        apart = [] if self._frames else self._after(list(older))
        if apart:
            head, self._frames = DICTIONARY_HEAD, apart
        elif self._waiting:
            self._close_frame()
        counts, table = packs.finish()
        data = b"".join((head, _COUNT.pack(len(bases)), counts, *bases, table, *self._frames))
        return data + blake3(data).digest()

    def _after(self, older: list[RemoteObject]) -> list[bytes]:
        """Return frames of which one has a dictionary; none if that saves too little."""
        trees = [each for each in self._waiting if each.kind in DICTIONARY_KINDS]
        if not trees or not older:
            return []
        others = [each for each in self._waiting if each.kind not in DICTIONARY_KINDS]
        frames = [encode_frame(others)] if others else []
        frames.append(encode_frame_after(trees, older))
        gain = len(encode_frame(trees, is_fast=True)) - len(frames[-1])
        return frames if gain >= _GAIN_MIN_BYTES else []


class PushedTrees(NamedTuple):
    """The head of such an object, and the place of its frames."""

    bases: list[CommitId]
    """Commits that name the objects with the rest of the closure."""
    table: PackTable
    data: bytes
    frames_at: int
    shown: str
    """Name of the object in words."""

    @property
    def packs(self) -> list[NamedPack]:
        """Packs of the push."""
        return self.table.packs

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, not decoded.  CorruptObject."""
        return frames_of(self.shown, self.data, self.frames_at)


def read_trees(shown: str, data: bytes) -> PushedTrees:
    """Read the head of an object with trees.  CorruptObject."""
    end = len(data) - OID_BYTES
    is_old = data.startswith(OLD_HEAD)
    counts = _OLD_COUNTS if is_old else _COUNTS
    at = len(HEAD) + counts.size
    if end < at or blake3(data[:end]).digest() != data[end:] or not _ANY_HEAD.match(data):
        raise CorruptObject(f"{shown} of the remote is damaged or cut off")
    if not data.startswith(_HEADS):
        raise CorruptObject(
            f"{shown} of the remote has a form that is not known here: a later heliosfs may know it"
        )
    base_count, pack_count, *_ = counts.unpack_from(data, len(HEAD))
    packs_at = at + base_count * OID_BYTES
    if packs_at > end or max(base_count, pack_count) > NAMED_MAX:
        raise CorruptObject(f"{shown} of the remote has an impossible head")
    if is_old:
        table, frames_at = _old_table(shown, data[:end], packs_at, pack_count)
    else:
        table, frames_at = read_table(shown, data[:end], len(HEAD) + _COUNT.size, packs_at)
    check_packs(shown, table.packs)
    bases = [data[place : place + OID_BYTES] for place in range(at, packs_at, OID_BYTES)]
    commits = [CommitId(Oid(each)) for each in bases]
    return PushedTrees(commits, table, data[:end], frames_at, shown)


def replace_bases(trees: PushedTrees, bases: Sequence[CommitId]) -> bytes:
    """Return the bytes of an object with other bases, and the same frames and packs."""
    counts = _OLD_COUNTS if trees.data.startswith(OLD_HEAD) else _COUNTS
    at = len(HEAD) + counts.size
    others = trees.data[len(HEAD) + _COUNT.size : at]
    rest = trees.data[at + len(trees.bases) * OID_BYTES :]
    data = b"".join((trees.data[: len(HEAD)], _COUNT.pack(len(bases)), others, *bases, rest))
    return data + blake3(data).digest()


def _old_table(shown: str, data: bytes, at: int, count: int) -> tuple[PackTable, int]:
    """Read the packs of an object of the first form.  CorruptObject."""
    end = at + count * _OLD_PACK.size
    if end > len(data):
        raise CorruptObject(f"{shown} of the remote has an impossible head")
    names = [PackName(*row) for row in _OLD_PACK.iter_unpack(data[at:end])]
    packs = [NamedPack(name, holds_trees=False, row_count=None) for name in names]
    return PackTable(packs, [], b""), end


def plain_objects(trees: PushedTrees) -> Iterator[RemoteObject]:
    """Yield the objects of frames without a dictionary: all commits and contents are among them.

    CorruptObject.
    """
    for frame in trees.frames():
        if not frame.named:
            yield from objects_of(trees.shown, frame)
