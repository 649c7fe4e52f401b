"""A disk that records: every change of a store's directory, and what a power cut may leave of it.

`RecordingDirectory` notes every write, truncation, created, renamed and deleted name, and when each
sync began and returned.  From that, `Disk.state` makes what may be on the disk when the power fails
at a moment:

- what was synced before is there: by a sync that began after the change, and had returned;
- any other change may be there, or not, or in part, whatever its order; a disk writes sectors of
  512 bytes whole, and the kernel pages of 4 KiB;
- a sector is as it was after one of its changes, as the page cache has no other content.  So when
  of two changes of a sector the later one is there, the earlier one is, too;
- names are kept or lost one by one, whether their file was synced or not;
- after a sync that failed, what it should have written may be lost for ever: the kernel calls the
  pages clean, and a later sync returns 0 without writing them.

LMDB writes its file itself, in C.  Its file is compared before and after each commit, page by page:
the changed pages are written in any order, then synced, then the meta page, whose descriptor is
opened with O_DSYNC.  A library put before libc (LD_PRELOAD) would see the calls, but must be there
when the process begins, cannot be told in the same process which sync is to fail or to wait, and
sees nothing more: a page that is written with the bytes it had is no change.  That LMDB does make
its calls in this order is what `test_lmdb_order.py` checks, with such a library.
"""

from __future__ import annotations

import errno
import os
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import lmdb

from heliosfs.store.directory import Directory
from tests.crash.faulty import Died

SECTOR = 512
PAGE = 4096
NAMES = -1
"""Number that stands for the names of the directory, where others are numbers of files."""
_MAPPED = ("store.lmdb", "store.lmdb.new")
"""Files that LMDB writes."""
_UNTRACKED = ("lock", "store.lmdb-lock")
"""Never synced, and trusted by nobody: a state has them in any condition."""
LMDB_META_PAGES = 2
LEFT_LOCK = b"4194303\n"
"""Lock of a process that ended without a close, or whose last truncation was lost."""
LOCKS = (None, b"", LEFT_LOCK)


class Change(NamedTuple):
    """A change of a file, or of a name."""

    at: int
    verb: str
    """`write`, `truncate`, `create`, `rename` or `unlink`."""
    file: int
    offset: int = 0
    """Offset of a write; the new size for a truncation."""
    data: bytes = b""
    name: str = ""
    new_name: str = ""

    @property
    def is_of_names(self) -> bool:
        return self.verb in ("create", "rename", "unlink")


class Synced(NamedTuple):
    """A sync that returned, or failed."""

    file: int
    begin: int
    end: int
    has_failed: bool


class Torn(NamedTuple):
    """A write of which only some blocks reach the disk."""

    change: int
    """`at` of the write."""
    block: int
    """`SECTOR` or `PAGE`."""
    kept: Callable[[int, int], bool]
    """Function of (number, count) of a block of the write; True if the block is on the disk."""


def first_half(number: int, count: int) -> bool:
    return number < max(1, count // 2)


def second_half(number: int, count: int) -> bool:
    return number >= max(1, count // 2)


def every_other(number: int, count: int) -> bool:
    return number % 2 == 1


class Failing(NamedTuple):
    """Choice of the syncs that fail: `many` of them, from the `first` one on."""

    first: int
    many: int
    outcome: str = "nothing"
    """State after a commit of LMDB that fails: no page was written (`nothing`); all were, and are
    seen, but the sync of the meta page failed (`all`); or LMDB put the old meta page back, as it
    does (`restored`)."""


Files = Mapping[str, bytes]


class Disk:
    """Record of the changes of a directory and its syncs, in order; each event has a number."""

    def __init__(self, files: Files | None = None) -> None:
        """`files` are on the disk from the beginning."""
        self.now = 0
        self.changes: list[Change] = []
        self.syncs: list[Synced] = []
        self.names: dict[str, int] = {}
        """Name -> number of the file that a process finds there now."""
        self.contents: dict[int, bytearray] = {}
        self._inodes: dict[int, int] = {}
        self._count = 0
        for name, data in (files or {}).items():
            if name not in _UNTRACKED:
                self.names[name] = self._new(data)
        self._base_names = dict(self.names)
        self._base = {file: bytes(data) for file, data in self.contents.items()}
        self.failing: Failing | None = None
        self.sync_count = 0
        self.on_sync: Callable[[], None] = lambda: None
        """Called before and after each sync; it may let others go on meanwhile."""
        self.chance = random.Random(0)
        self._gone: dict[int, int] = {}
        """Changes that are known not to have reached the disk, and since when."""
        self._found: dict[int, int] = {}
        """Changes that no sync covers, and that were read from the disk, and when."""
        self.metas: bytes | None = None
        """The meta pages that LMDB puts back after a failure, which another process will see.

        Not at once: this process still has the new ones in memory, other than after a failure.
        """
        self._safe_from: dict[int, int | None] = {}

    def _new(self, data: bytes = b"") -> int:
        self._count += 1
        self.contents[self._count] = bytearray(data)
        return self._count

    def tick(self) -> int:
        self.now += 1
        return self.now

    def adopt(self, path: Path) -> None:
        """Go on in a directory that holds what a process sees now."""
        self._inodes = {}
        for name, file in self.names.items():
            self._inodes[os.stat(path / name).st_ino] = file
        if self.metas is not None:
            with open(path / "store.lmdb", "r+b") as real:
                real.write(self.metas)
            self.wrote(self.names["store.lmdb"], 0, self.metas)
            self.metas = None

    def _note(self, change: Change) -> None:
        self.changes.append(change)

    def created(self, name: str, inode: int) -> None:
        if name in _UNTRACKED:
            return
        file = self.names[name] = self._inodes[inode] = self._new()
        self._note(Change(self.tick(), "create", file, name=name))

    def file_of(self, inode: int) -> int | None:
        return self._inodes.get(inode)

    def wrote(self, file: int, offset: int, data: bytes) -> None:
        content = self.contents[file]
        if len(content) < offset:
            content += bytes(offset - len(content))
        content[offset : offset + len(data)] = data
        self._note(Change(self.tick(), "write", file, offset, bytes(data)))

    def truncated(self, file: int, size: int) -> None:
        content = self.contents[file]
        if len(content) == size:
            return
        del content[size:]
        content += bytes(size - len(content))
        self._note(Change(self.tick(), "truncate", file, size))

    def renamed(self, old: str, new: str) -> None:
        file = self.names[new] = self.names.pop(old)
        self._note(Change(self.tick(), "rename", file, name=old, new_name=new))

    def unlinked(self, name: str) -> None:
        if name not in _UNTRACKED:
            file = self.names.pop(name)
            self._note(Change(self.tick(), "unlink", file, name=name))

    def sync(self, file: int) -> None:
        """Carry out a sync, or let it fail."""
        begin = self.tick()
        self.sync_count += 1
        fails = self.is_failing
        self.syncs.append(Synced(file, begin, self.tick(), fails))
        if fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    @property
    def is_failing(self) -> bool:
        """Return True if the sync that was counted last fails."""
        failing = self.failing
        if failing is None:
            return False
        return failing.first <= self.sync_count < failing.first + failing.many

    def seal(self) -> None:
        """Work out when each change is safe, after the last one."""
        good: dict[int, list[tuple[int, int]]] = {}
        bad: dict[int, list[int]] = {}
        for sync in self.syncs:
            if sync.has_failed:
                bad.setdefault(sync.file, []).append(sync.begin)
            else:
                good.setdefault(sync.file, []).append((sync.begin, sync.end))
        self._safe_from = {}
        for change in self.changes:
            target = NAMES if change.is_of_names else change.file
            ends = [end for begin, end in good.get(target, ()) if begin > change.at]
            safe = min(ends, default=None)
            # A journal of names is written again; pages are not.
            if not change.is_of_names and safe is not None:
                failed = bad.get(target, ())
                if any(change.at < begin < safe for begin in failed):
                    safe = None
            self._safe_from[change.at] = self._found.get(change.at, safe)

    def reread(self, file: int) -> bytes:
        """Draw what is on the disk of a file that is read anew after a sync; return its bytes."""
        self.seal()
        moment = self.tick()
        content = _Content(self._base.get(file, b""))
        for change in self.changes:
            if change.file == file and not change.is_of_names:
                if self._safe_from[change.at] is None and change.at not in self._gone:
                    outcome = self._gone if self.chance.random() < 0.5 else self._found
                    outcome[change.at] = moment
                content.change(change, None, change.at not in self._gone)
        data = content.on_disk(has_sizes=True)
        self.contents[file] = bytearray(data)
        return data

    def unsafe_at(self, moment: int) -> list[Change]:
        """Return the changes that a power cut at a moment may take or leave."""
        end = bisect_left(self.changes, moment, key=lambda change: change.at)
        found = []
        for change in self.changes[:end]:
            safe = self._safe_from[change.at]
            if self._gone.get(change.at, moment) < moment:
                continue
            if safe is None or safe >= moment:
                found.append(change)
        return found

    def state(
        self,
        moment: int,
        lost: frozenset[int] = frozenset(),
        torn: Torn | None = None,
        *,
        has_sizes: bool = False,
    ) -> dict[str, bytes]:
        """Return the files on the disk after a power cut, without the changes that it took.

        `has_sizes`: the size of a file is on the disk although its bytes are not, which are zeros.
        """
        names = dict(self._base_names)
        files: dict[int, _Content] = {}
        for change in self.changes:
            if change.at >= moment:
                break
            is_kept = change.at not in lost and self._gone.get(change.at, moment) >= moment
            if change.verb == "create":
                if is_kept:
                    names[change.name] = change.file
            elif change.verb == "rename":
                if is_kept:
                    if names.get(change.name) == change.file:
                        del names[change.name]
                    names[change.new_name] = change.file
            elif change.verb == "unlink":
                if is_kept and names.get(change.name) == change.file:
                    del names[change.name]
            else:
                content = files.get(change.file)
                if content is None:
                    content = files[change.file] = _Content(self._base.get(change.file, b""))
                content.change(change, torn if torn and torn.change == change.at else None, is_kept)
        return {
            name: files[file].on_disk(has_sizes=has_sizes)
            if file in files
            else self._base.get(file, b"")
            for name, file in names.items()
        }


class _Content:
    """The bytes of a file: what a process sees, and what is on the disk."""

    def __init__(self, base: bytes) -> None:
        self.seen = bytearray(base)
        self.disk = bytearray(base)

    def change(self, change: Change, torn: Torn | None, is_kept: bool) -> None:
        seen, disk = self.seen, self.disk
        if change.verb == "truncate":
            _resize(seen, change.offset)
            if is_kept:
                _resize(disk, change.offset)
            return
        start, end = change.offset, change.offset + len(change.data)
        if len(seen) < start:
            _resize(seen, start)
        seen[start:end] = change.data
        if not is_kept:
            return
        if torn is None:
            self._write_back(start, end)
            return
        first, last = start // torn.block, -(-end // torn.block)
        for block in range(first, last):
            if torn.kept(block - first, last - first):
                at = block * torn.block
                self._write_back(max(at, start), min(at + torn.block, end))

    def _write_back(self, start: int, end: int) -> None:
        """Let the sectors be on the disk as a process sees them."""
        if end > len(self.disk):
            _resize(self.disk, end)
        start = start // SECTOR * SECTOR
        stop = min(-(-end // SECTOR) * SECTOR, len(self.disk), len(self.seen))
        self.disk[start:stop] = self.seen[start:stop]

    def on_disk(self, *, has_sizes: bool) -> bytes:
        if has_sizes:
            _resize(self.disk, len(self.seen))
        return bytes(self.disk)


def _resize(data: bytearray, size: int) -> None:
    if size < len(data):
        del data[size:]
    else:
        data += bytes(size - len(data))


class RecordingDirectory(Directory):
    """A store's directory whose changes a disk records."""

    def __init__(self, dir_fd: int, recorded: Disk) -> None:
        super().__init__(dir_fd)
        self.recorded = recorded
        self.is_dead = False

    def _live(self) -> None:
        if self.is_dead:
            raise Died

    def open(self, name: str, flags: int) -> int:
        is_new = bool(flags & os.O_CREAT) and name not in self.names()
        fd = super().open(name, flags)
        if is_new:
            self.recorded.created(name, os.fstat(fd).st_ino)
        elif flags & os.O_TRUNC:
            self.recorded.truncated(self._file(fd), 0)
        return fd

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        self._live()
        written = super().write(fd, buffers, offset)
        if self._is_tracked(fd):
            self.recorded.wrote(self._file(fd), offset, b"".join(buffers))
        return written

    def truncate(self, fd: int, size: int) -> None:
        self._live()
        super().truncate(fd, size)
        if self._is_tracked(fd):
            self.recorded.truncated(self._file(fd), size)

    def unlink(self, name: str) -> None:
        self._live()
        self._note_mapped()
        super().unlink(name)
        self.recorded.unlinked(name)

    def rename(self, old: str, new: str) -> None:
        self._live()
        self._note_mapped()
        super().rename(old, new)
        self.recorded.renamed(old, new)

    def sync(self, fd: int, *, forgets: bool = False) -> None:
        # Around the lock of syncs, not within it: that of another one would not come to its turn.
        self.recorded.on_sync()
        super().sync(fd)
        if forgets:
            # What a failed sync did not write is lost, or is there; from now on it is known which.
            data = self.recorded.reread(self._file(fd))
            with open(f"/proc/self/fd/{fd}", "r+b") as real:
                real.truncate(len(data))
                real.write(data)
        self.recorded.on_sync()

    def _sync(self, fd: int) -> None:
        self._live()
        self._note_mapped()
        file = NAMES if fd == self.fd else self._file(fd)
        # What is tested is made of the record; the real disk need not be waited for.
        self.recorded.sync(file)

    def _commit(self, txn: lmdb.Transaction[bytes]) -> None:
        self._live()
        recorded = self.recorded
        self._note_mapped()
        file = recorded.names["store.lmdb"]
        recorded.on_sync()
        begin = recorded.tick()
        recorded.sync_count += 1
        fails = recorded.is_failing
        if fails and recorded.failing and recorded.failing.outcome == "nothing":
            recorded.syncs.append(Synced(file, begin, recorded.tick(), has_failed=True))
            raise lmdb.Error("mdb_txn_commit: Input/output error")
        old = self.read("store.lmdb")[: LMDB_META_PAGES * PAGE]
        super()._commit(txn)
        pages = list(self._changed_pages("store.lmdb", file))
        for number, data in pages:
            if number >= LMDB_META_PAGES:
                recorded.wrote(file, number * PAGE, data)
        recorded.syncs.append(Synced(file, recorded.tick(), recorded.tick(), has_failed=False))
        for number, data in pages:
            if number < LMDB_META_PAGES:
                recorded.wrote(file, number * PAGE, data)
        recorded.syncs.append(Synced(file, recorded.tick(), recorded.tick(), has_failed=fails))
        if fails:
            if recorded.failing and recorded.failing.outcome == "restored":
                recorded.metas = old
            raise lmdb.Error("mdb_txn_commit: Input/output error")
        recorded.on_sync()

    def _is_tracked(self, fd: int) -> bool:
        return os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) not in _UNTRACKED

    def _file(self, fd: int) -> int:
        file = self.recorded.file_of(os.fstat(fd).st_ino)
        assert file is not None
        return file

    def _note_mapped(self) -> None:
        """Note what LMDB wrote without a commit that syncs: a new file, a copy, spilled pages."""
        for name in _MAPPED:
            try:
                inode = self.status(name).st_ino
            except FileNotFoundError:
                continue
            if name not in self.recorded.names:
                self.recorded.created(name, inode)
            file = self.recorded.names[name]
            for number, data in self._changed_pages(name, file):
                self.recorded.wrote(file, number * PAGE, data)

    def _changed_pages(self, name: str, file: int) -> Iterator[tuple[int, bytes]]:
        now = self.read(name)
        before = self.recorded.contents[file]
        for at in range(0, len(now), PAGE):
            page = now[at : at + PAGE]
            if before[at : at + PAGE] != page:
                yield at // PAGE, page


def record(path: Path, disk: Disk) -> RecordingDirectory:
    """Return the directory of a store at a path, recorded by a disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return RecordingDirectory(fd, disk)
    finally:
        os.close(fd)


def lay_out(path: Path, files: Files, seed: int, locks: Sequence[bytes | None] = LOCKS) -> None:
    """Write files as a power cut left them, with what nobody may trust in some condition.

    `locks` are the conditions of the lock, of which one is drawn.
    """
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
    chance = random.Random(seed)
    lock = chance.choice(locks)
    if lock is not None:
        (path / "lock").write_bytes(lock)
    readers = chance.choice((None, b"", bytes(8192), chance.randbytes(8192)))
    if readers is not None and "store.lmdb" in files:
        (path / "store.lmdb-lock").write_bytes(readers)


def sizes(changes: Iterable[Change]) -> int:
    """Return the bytes that changes write."""
    return sum(len(change.data) for change in changes)
