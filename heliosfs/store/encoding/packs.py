"""Packs: files to which large objects are written once, when they are added.

An object of `PACKED_FROM_BYTES` or more that is not stored as a delta lies in a file `pack-<n>`,
and L2 has only its place.  One that another thread than the store's adds is appended to a pack at
once, and the journal has only its place, too: it never waits in memory, and is written to the disk
once.  One that the owner adds is written to the journal as it is, so that nobody waits for its
compression, and to a pack by the drain.

A body whose compression is deferred lies, as it came, in a pack with others of its kind
(`store.deferral`): when all of them are compressed, nothing is left in it, and it is deleted.

The bytes of a pack after the last place that L2 refers to were never published: the next open cuts
them off, and deletes a pack to which L2 does not refer at all.  Prior art: the value log of WiscKey
(Lu et al., FAST '16), Bitcask.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple, TypeAlias

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.directory import Directory, store_error, store_errors
from heliosfs.store.encoding.blocks import decode_blocks, split_blocks, with_table
from heliosfs.store.encoding.codecs import (
    Codec,
    DecodeError,
    Encoded,
    decode,
)
from heliosfs.store.encoding.packfiles import PREFIX, PackFiles
from heliosfs.store.encoding.places import PackedObject, PackLocation, PackUse
from heliosfs.store.version import BlocksDeclaration

Body: TypeAlias = "tuple[Codec, bytes | memoryview]"
"""Codec and bytes of an encoded object; those of BLOCKS with their table."""

PACKED_FROM_BYTES = 64 * 1024
PACK_MAX_BYTES = 256 * 1024 * 1024
"""Size from which a pack gets no more bodies, so that the disk of dead ones can be recovered
separately."""
_CODECS = frozenset((Codec.RAW, Codec.LZ4, Codec.ZSTD, Codec.BLOCKS))
"""Codecs of the bodies in packs."""
_BLOCKS = int(Codec.BLOCKS)


class PackSync(NamedTuple):
    """The scope of one sync of the packs."""

    fds: list[int]
    """Duplicated descriptors, which the caller must close."""
    append_count: int
    """Number of appends before the sync began."""
    names: int
    """Number of packs created before it; 0 if all their names are safe."""


class _Growing:
    """A pack to which bodies are appended."""

    __slots__ = ("end", "pack")

    def __init__(self) -> None:
        self.pack = 0
        """Number of the pack; 0 while there is none."""
        self.end = 0

    @property
    def is_open(self) -> bool:
        """True if the pack gets more bodies."""
        return bool(self.pack) and self.end < PACK_MAX_BYTES

    def close(self) -> None:
        """Append no more to this pack."""
        self.end = max(self.end, PACK_MAX_BYTES)


class Packs:
    """The packs of a store.  Any thread may append and read."""

    def __init__(self, directory: Directory, *, is_read_only: bool = False) -> None:
        """With `is_read_only` nobody may append or call `tidy`."""
        self._directory = directory
        flags = os.O_RDONLY if is_read_only else os.O_RDWR
        self.files = PackFiles(directory, flags, lambda: {self._growing.pack, self._deferred.pack})
        self._appending = threading.Lock()
        self.declaration = BlocksDeclaration(directory)
        self._growing = _Growing()
        self._deferred = _Growing()
        """The pack of bodies that will be compressed, and leave it then."""
        self._unsynced: dict[int, int] = {}
        """Number of the last append to each pack that has unsynced bytes.

        A pack is removed when a sync has *returned* that began after that append."""
        self._append_count = 0
        self._names_made = 0
        self._names_synced = 0
        """Number of created packs whose names are safe from a power cut."""
        self._unnamed: dict[int, int] = {}
        """Number of bodies in each pack to which L2 does not refer yet, or ever."""
        self.disk_bytes = 0
        """Bytes of all packs."""

    def tidy(self, uses: Mapping[int, PackUse]) -> None:
        """Cut off all bytes that L2 does not refer to, at open, once L2 has the journal.

        Raise StoreError.
        """
        try:
            for pack in pack_numbers(self._directory):
                self._adopt(pack, uses.get(pack))
        except OSError as error:
            raise store_error("cannot clean up the packs", error) from error

    def problems(self, uses: Mapping[int, PackUse]) -> Iterator[str]:
        """Yield a line for each pack that is missing, or too short for its places in L2."""
        there = set(pack_numbers(self._directory))
        for pack, use in sorted(uses.items()):
            if pack not in there:
                yield f"{PREFIX}{pack} is missing"
            elif (length := self._directory.status(f"{PREFIX}{pack}").st_size) < use.end:
                yield f"{PREFIX}{pack} ends at byte {length}, and not at {use.end}"

    def append(self, encoded: Encoded) -> PackLocation:
        """Write a body, as `append_all` does."""
        return self.append_all((encoded,))[0]

    def append_all(
        self, bodies: Sequence[Body], *, are_deferred: bool = False
    ) -> list[PackLocation]:
        """Write bodies one after the other; they are safe from a power cut after a sync.

        With `are_deferred`, they will be compressed later.  Raise StoreError or StoreFull: then
        nothing will name any of them.
        """
        growing = self._deferred if are_deferred else self._growing
        places: list[PackLocation] = []
        if any(codec == Codec.BLOCKS for codec, _ in bodies):
            self.declaration.declare()
        with self._appending:
            # After a failed sync, bytes that L2 would name may be lost.
            self._directory.check()
            try:
                while len(places) < len(bodies):
                    places += self._append_some(growing, bodies[len(places) :])
            except OSError as error:
                raise store_error("cannot write a pack", error) from error
            for place in places:
                self._unnamed[place.pack] = self._unnamed.get(place.pack, 0) + 1
        return places

    def _append_some(self, growing: _Growing, bodies: Sequence[Body]) -> list[PackLocation]:
        """Write the first of these bodies with one write, as many as the pack takes."""
        if not growing.is_open:
            self._begin(growing)
        places: list[PackLocation] = []
        stored: list[bytes | memoryview] = []
        pack, end = growing.pack, growing.end
        for codec, body in bodies:
            if end >= PACK_MAX_BYTES:
                break
            table = b""
            if codec == Codec.BLOCKS:
                table, body = split_blocks(body)
            places.append(PackLocation(pack, end, len(body), codec, table))
            stored.append(body)
            end += len(body)
        self._directory.write(self.files.fd(pack), stored, growing.end)
        self.disk_bytes += end - growing.end
        growing.end = end
        self._append_count += 1
        self._unsynced[pack] = self._append_count
        return places

    def named(self, places: Iterable[PackLocation]) -> None:
        """Note that L2 refers to these places, appended in this run or the one before."""
        with self._appending:
            for place in places:
                if self._unnamed.get(place.pack):
                    self._unnamed[place.pack] -= 1

    def retire(self, uses: Mapping[int, PackUse]) -> None:
        """Stop appending to a pack if more than half of it is dead."""
        with self._appending:
            for growing in (self._growing, self._deferred):
                use = uses.get(growing.pack, PackUse(growing.end, 0))
                if use.live_bytes * 2 < use.end:
                    growing.close()

    def is_settled(self, pack: int) -> bool:
        """Return True if L2 will refer to no more bodies of a pack than now."""
        with self._appending:
            growing = (self._growing, self._deferred)
            is_open = any(each.pack == pack and each.is_open for each in growing)
            return not is_open and not self._unnamed.get(pack)

    def remove_unused(self, uses: Mapping[int, PackUse]) -> None:
        """Delete the packs to which L2 does not refer, and never will.  Raise StoreError.

        Call it on the owner's thread, so that nobody is about to read a place that was found a
        moment ago.
        """
        try:
            for pack in pack_numbers(self._directory):
                if pack in uses or not self.is_settled(pack):
                    continue
                name = f"{PREFIX}{pack}"
                self.files.forget(pack)
                self.disk_bytes -= self._directory.status(name).st_size
                self._directory.unlink(name)
        except OSError as error:
            raise store_error("cannot delete a pack", error) from error

    def read(self, place: PackLocation) -> Encoded:
        """Return the body at a place, with its table if it is in blocks, as `append` takes it.

        Raise DecodeError if the pack ends before the body does.
        """
        body = self._body(place)
        if place.codec == _BLOCKS:
            return with_table(place.table, body)
        return Encoded(Codec(place.codec), body)

    def read_whole(self, place: PackLocation, size: int) -> bytes:
        """Return the object of `size` bytes whose body is at a place.  Raise DecodeError."""
        body = self._body(place)
        if place.codec == _BLOCKS:
            # As it is, if it is as long as the object: its id tells, whatever the table says.
            return body if place.length == size else decode_blocks(place.table, body, size)
        return decode(place.codec, body, size)

    def _body(self, place: PackLocation) -> bytes:
        if place.codec not in _CODECS:
            raise DecodeError(f"codec {place.codec} is unknown in pack {place.pack}")
        return self.files.read(place, 0, place.length)

    def begin_sync(self) -> PackSync:
        """Return the scope of a sync that begins now.  Raise StoreError."""
        with self._appending:
            with store_errors("cannot sync the packs"), ExitStack() as duplicated:
                fds = []
                for pack in sorted(self._unsynced):
                    fds.append(self.files.duplicate(pack))
                    duplicated.callback(os.close, fds[-1])
                duplicated.pop_all()
            names = self._names_made if self._names_made > self._names_synced else 0
            return PackSync(fds, self._append_count, names)

    def end_sync(self, synced: PackSync) -> None:
        """Record that the scope is on the disk, after all calls of its sync have returned."""
        with self._appending:
            for pack, appended in list(self._unsynced.items()):
                if appended <= synced.append_count:
                    del self._unsynced[pack]
            self._names_synced = max(self._names_synced, synced.names)

    def sync(self) -> None:
        """Make everything that was appended safe from a power cut, on any thread.

        Raise StoreError.
        """
        sync = self.begin_sync()
        try:
            for fd in sync.fds:
                self._directory.sync(fd)
            if sync.names:
                self._directory.sync_names()
        finally:
            for fd in sync.fds:
                os.close(fd)
        self.end_sync(sync)

    def close(self) -> None:
        """Close the files.  Idempotent."""
        self.files.close()

    def _adopt(self, pack: int, use: PackUse | None) -> None:
        name = f"{PREFIX}{pack}"
        if use is None:
            self._directory.unlink(name)
            return
        length = self._directory.status(name).st_size
        if length > use.end:
            self._directory.truncate(self.files.fd(pack), use.end)
        self.disk_bytes += min(length, use.end)
        # Appending goes on in the last pack, if that is not full.
        growing = self._growing
        if pack > growing.pack and use.end < PACK_MAX_BYTES:
            # A pack shorter than its places is damaged: new bodies go behind them all the same.
            growing.pack, growing.end = pack, max(length, use.end)

    def _begin(self, growing: _Growing) -> None:
        known = (self._growing.pack, self._deferred.pack)
        pack = max(*known, *pack_numbers(self._directory)) + 1
        self.files.create(pack)
        self._names_made += 1
        growing.pack, growing.end = pack, 0


def load_packed(packs: Packs, packed: PackedObject, kind: Kind, oid: Oid) -> bytes:
    """Return the bytes of an object.  Raise DecodeError if their id is not `oid`."""
    data = packs.read_whole(packed.place, packed.size)
    if object_id(kind, data) != oid:
        raise DecodeError(f"the bytes in the pack are not those of object {oid.hex()}")
    return data


def settle_packs(directory: Directory, uses: Mapping[int, PackUse]) -> None:
    """Sync the packs that have more than L2 names, and forget what the page cache has of them.

    A killed process may have left bytes that are only in memory, and L2 is about to name them.
    Raise StoreError.
    """
    try:
        for pack in pack_numbers(directory):
            name = f"{PREFIX}{pack}"
            if directory.status(name).st_size <= uses.get(pack, PackUse(0, 0)).end:
                continue
            fd = directory.open(name, os.O_RDWR)
            try:
                directory.sync(fd, forgets=True)
            finally:
                os.close(fd)
    except OSError as error:
        raise store_error("cannot read a pack", error) from error


def pack_numbers(directory: Directory) -> list[int]:
    """Return the numbers of the packs in the directory."""
    rests = (name[len(PREFIX) :] for name in directory.names() if name.startswith(PREFIX))
    return sorted(int(rest) for rest in rests if rest.isdigit())
