"""A disk of which a test decides what it keeps: deaths, power cuts, full and failing ones.

The files are real ones, so that LMDB can map them, and lie on tmpfs, which uses no inode number
twice: what they hold is what the page cache holds.  Beside them is recorded what has reached the
disk for good.  A power cut puts the files back to that, and to any part of what came after it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

import lmdb

from heliosfs.store.directory import Directory
from tests.simulation.threads import gate

SECTOR_BYTES = 512
TMPFS = "/dev/shm"


class Died(BaseException):
    """The process ends here, or the machine."""


class NoRoom(OSError):
    """The disk is full."""


class NoRoomForCommit(lmdb.DiskError):
    """The disk is full, as LMDB tells of it."""


def is_for_want_of_room(error: BaseException) -> bool:
    """Return True if a full disk is the cause of an error, which a thread may tell of later."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (NoRoom, NoRoomForCommit)):
        cause = cause.__cause__
    return cause is not None


class Write(NamedTuple):
    """A change of a file that is not safe yet: bytes at an offset, or a new size."""

    offset: int
    data: bytes | None


@dataclass
class Contents:
    """Content of one file on the disk, and the writes that are not safe there yet."""

    base: bytearray = field(default_factory=bytearray)
    late: list[Write] = field(default_factory=list)
    """Writes since the last sync, of which a power cut leaves any part."""
    lost: list[Write] = field(default_factory=list)
    """Writes whose sync failed: no later sync brings them to the disk."""

    def settle(self) -> None:
        for write in self.late:
            # What comes later to the same place is there in any case.
            self.lost = [each for each in self.lost if not _replaces(write, each)]
            _apply(self.base, write)
        self.late.clear()


class Disk:
    """The directory of a store, over all lives of the processes that open it."""

    def __init__(self, path: Path, random: Random) -> None:
        self.path = path
        self.random = random
        self.contents: dict[int, Contents] = {}
        """By inode number; files that LMDB writes have none, since it syncs what it commits."""
        self.names: dict[str, int] = {}
        """The names that are safe from a power cut."""
        self.late_names: list[dict[str, int]] = []
        """Changes of names since the last sync of the directory, each atomic; 0 removes one."""
        self.replaced: dict[int, bytes] = {}
        """Contents of files of LMDB, by inode number, from when another file took their names."""
        self.change_count = 0
        self.dies_at = 0
        """Number of the change with which the process dies; 0 for none."""
        self.is_dead = False
        self.is_full = False
        self.failing_syncs = 0
        self.has_failed = False
        """True if a sync has failed in this life."""

    def step(self) -> bool:
        """Count a change; tells whether the process dies with it.  All after it raise `Died`."""
        if self.is_dead:
            raise Died
        self.change_count += 1
        if self.change_count == self.dies_at:
            self.is_dead = True
        return self.is_dead

    def of(self, fd: int) -> Contents:
        return self.contents.setdefault(os.fstat(fd).st_ino, Contents())

    def begin(self, *, dies_after: int = 0) -> None:
        """Begin a new life, which ends with one of its first changes, if that is asked for."""
        self.is_dead = self.is_full = self.has_failed = False
        self.failing_syncs = 0
        self.dies_at = self.change_count + dies_after if dies_after else 0

    def end(self, *, is_killed: bool) -> None:
        """Close what a process had open; one that was killed leaves its pid in the lock file."""
        self.is_dead = True
        lock = self.path / "lock"
        if is_killed and lock.exists():
            lock.write_bytes(b"1\n")
        prefix = os.fspath(self.path)
        for name in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{name}").startswith(prefix):
                    os.close(int(name))
            except OSError:
                continue

    def cut_power(self, *, spares: bool = True) -> None:
        """Leave what is safe, and, if it `spares` anything, any part of the rest.

        Call it when all is closed.
        """
        random = self.random
        names = dict(self.names)
        for change in self.late_names[: random.randint(0, len(self.late_names)) * spares]:
            names.update(change)
        by_number = {os.stat(self.path / name).st_ino: name for name in os.listdir(self.path)}
        kept: dict[str, bytes] = {}
        keeps = random.choice([0.0, 0.5, 0.9, 1.0]) * spares
        for name, ino in names.items():
            if not ino:
                continue
            contents = self.contents.get(ino)
            if contents is not None:
                kept[name] = self._left(contents, keeps)
            elif ino in by_number:
                kept[name] = (self.path / by_number[ino]).read_bytes()
            elif ino in self.replaced:
                kept[name] = self.replaced[ino]
        if "lock" in kept and random.random() < 0.5:
            # The pid is never synced: the file says that the store was closed properly.
            kept["lock"] = b""
        for name in os.listdir(self.path):
            os.unlink(self.path / name)
        for name, data in kept.items():
            (self.path / name).write_bytes(data)
        self.settle()

    def settle(self) -> None:
        """Let all that is there be safe, as after days; call it when all is closed."""
        self.contents.clear()
        self.names.clear()
        self.late_names.clear()
        self.replaced.clear()
        for name in os.listdir(self.path):
            data = (self.path / name).read_bytes()
            ino = self.names[name] = os.stat(self.path / name).st_ino
            if not is_foreign(name):
                self.contents[ino] = Contents(bytearray(data))

    def _left(self, contents: Contents, keeps: float) -> bytes:
        data = bytearray(contents.base)
        random = self.random
        for write in (*contents.lost, *contents.late):
            if random.random() >= keeps:
                continue
            if write.data is not None and random.random() < 0.2:
                self._tear(data, write.offset, write.data)
            else:
                _apply(data, write)
        return bytes(data)

    def _tear(self, data: bytearray, offset: int, written: bytes) -> None:
        """Apply some of the sectors of a write."""
        at = 0
        while at < len(written):
            end = at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES
            if self.random.random() < 0.5:
                _apply(data, Write(offset + at, written[at:end]))
            at = end


def is_foreign(name: str) -> bool:
    """Return True if writes of a file bypass `Directory`: those of LMDB, or of a mere note."""
    return "lmdb" in name or name == "lock"


class SimulatedDirectory(Directory):
    """The directory, as the store reaches it."""

    def __init__(self, disk: Disk) -> None:
        fd = os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY)
        super().__init__(fd)
        os.close(fd)
        self.fake = disk

    def open(self, name: str, flags: int) -> int:
        disk = self.fake
        if not flags & os.O_CREAT or (self.path_is_there(name) and not flags & os.O_TRUNC):
            return super().open(name, flags)
        if disk.step():
            raise Died
        if disk.is_full:
            raise NoRoom(errno.ENOSPC, os.strerror(errno.ENOSPC))
        is_there = self.path_is_there(name)
        fd = super().open(name, flags)
        ino = os.fstat(fd).st_ino
        if is_there:
            disk.of(fd).late.append(Write(0, None))
        else:
            disk.contents.pop(ino, None)
            disk.late_names.append({name: ino})
            if not is_foreign(name):
                disk.contents[ino] = Contents()
        return fd

    def disk(self) -> os.statvfs_result:
        found = list(super().disk())
        if self.fake.is_full:
            found[3] = found[4] = 0
        return os.statvfs_result(found)

    def path_is_there(self, name: str) -> bool:
        return os.path.lexists(self.fake.path / name)

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        disk = self.fake
        dies = disk.step()
        data = b"".join(buffers)
        if dies or disk.is_full:
            data = data[: disk.random.randint(0, len(data))]
        written = super().write(fd, (data,), offset)
        disk.of(fd).late.append(Write(offset, data))
        if dies:
            raise Died
        if disk.is_full:
            raise NoRoom(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def _sync(self, fd: int) -> None:
        gate()
        self._sync_now(fd)
        gate()

    def _sync_now(self, fd: int) -> None:
        disk = self.fake
        if disk.step():
            raise Died
        if disk.failing_syncs:
            disk.failing_syncs -= 1
            disk.has_failed = True
            if fd != self.fd:
                contents = disk.of(fd)
                contents.lost += contents.late
                contents.late.clear()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if fd != self.fd:
            ino = os.fstat(fd).st_ino
            if ino in disk.contents:
                disk.contents[ino].settle()
            return
        for change in disk.late_names:
            disk.names.update(change)
        disk.late_names.clear()
        disk.replaced.clear()
        for name in os.listdir(self.fd):
            disk.names[name] = os.stat(name, dir_fd=self.fd).st_ino

    def truncate(self, fd: int, size: int) -> None:
        if self.fake.step():
            raise Died
        super().truncate(fd, size)
        self.fake.of(fd).late.append(Write(size, None))

    def unlink(self, name: str) -> None:
        if self.fake.step():
            raise Died
        super().unlink(name)
        self.fake.late_names.append({name: 0})

    def rename(self, old: str, new: str) -> None:
        if self.fake.step():
            raise Died
        ino = os.stat(old, dir_fd=self.fd).st_ino
        if is_foreign(new) and self.path_is_there(new):
            there = self.fake.path / new
            self.fake.replaced[os.stat(there).st_ino] = there.read_bytes()
        super().rename(old, new)
        self.fake.late_names.append({old: 0, new: ino})

    def _commit(self, txn: lmdb.Transaction[bytes]) -> None:
        gate()
        disk = self.fake
        if disk.step():
            if disk.random.random() < 0.5:
                super()._commit(txn)
            raise Died
        if disk.is_full:
            raise NoRoomForCommit("mdb_txn_commit")
        super()._commit(txn)
        self._note_foreign()
        gate()

    def _note_foreign(self) -> None:
        """The names of files that LMDB made are changes of the directory, too."""
        disk = self.fake
        known = {name for change in disk.late_names for name in change} | disk.names.keys()
        for name in ("store.lmdb", "store.lmdb-lock", "lock"):
            if name not in known and self.path_is_there(name):
                disk.late_names.append({name: os.stat(name, dir_fd=self.fd).st_ino})


def _replaces(write: Write, lost: Write) -> bool:
    """Return True if a later write leaves nothing of an earlier one for a power cut to bring."""
    if write.data is None:
        return lost.offset >= write.offset
    if lost.data is None:
        return False
    end, lost_end = write.offset + len(write.data), lost.offset + len(lost.data)
    return write.offset < lost_end and lost.offset < end


def _apply(data: bytearray, write: Write) -> None:
    if write.data is None:
        if write.offset < len(data):
            del data[write.offset :]
        else:
            data.extend(bytes(write.offset - len(data)))
        return
    if write.offset > len(data):
        data.extend(bytes(write.offset - len(data)))
    data[write.offset : write.offset + len(write.data)] = write.data
