"""Comparison of a directory of another file system ("foreign") with a tree.

Each foreign file is new, the same as in the tree, or different.  Items in `known`, which were seen
before, are left out.  A file whose size differs is not read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Container
from functools import partial
from typing import NamedTuple

from heliosfs.errors import NotPermitted
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import Kind, TreeId, object_id
from heliosfs.objects.tree import Entry, decode_entry, entry_name
from heliosfs.steps import TURN, Progress, Steps, on_thread
from heliosfs.store.base import Store
from heliosfs.trees.reserved import DOT_HELIOS
from heliosfs.trees.stored import read_entries
from heliosfs.workspace.large_file import LargeFile

NOTE = b"HELIOS-NOT-MOUNTED"
"""Name of a file beneath the mount point that tells users that nothing is mounted."""
SKIPPED = frozenset({DOT_HELIOS, NOTE})
"""Names that are never compared or copied."""
DIGEST_BYTES = 8

_READ_BYTES = 1024 * 1024
_PROGRESS_EVERY = 256


class ForeignItem(NamedTuple):
    """Entry of a foreign directory, at any depth."""

    path: bytes
    """Path relative to the foreign directory, without a leading slash."""
    mode: int
    mtime_ns: int
    size: int
    """Size of a regular file in bytes; 0 for other kinds."""
    target: bytes = b""
    rdev: int = 0

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def digest(self) -> bytes:
        """Return eight bytes that identify the item as long as nobody writes to it."""
        time_ns = 0 if self.is_dir else self.mtime_ns
        text = b"%d %d %d " % (stat.S_IFMT(self.mode), self.size, time_ns) + self.path
        return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()


class Comparison:
    """Result of comparing a foreign directory with a tree."""

    def __init__(self) -> None:
        self.new: list[ForeignItem] = []
        """Items that the tree lacks, directories before their contents."""
        self.different: list[ForeignItem] = []
        """Items whose kind or content differs; nothing below a directory if the tree has a file."""
        self.same: list[ForeignItem] = []
        self.reserved: list[bytes] = []
        """Paths below the top directory that are left out, because the workspace has the name."""
        self.is_whole = True
        """False if some items were not compared, being too many or not readable."""

    @property
    def new_files(self) -> list[ForeignItem]:
        """Return the new items without directories."""
        return [item for item in self.new if not item.is_dir]


class KnownItems(Container[bytes]):
    """Set of digests of items, which can be packed into eight bytes each."""

    def __init__(self, packed: bytes = b"") -> None:
        self._digests = {
            packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES)
        }

    def __contains__(self, digest: object) -> bool:
        return digest in self._digests

    def add(self, item: ForeignItem) -> None:
        """Add an item's digest."""
        self._digests.add(item.digest)

    def pack(self) -> bytes:
        """Return all digests as bytes, from which the set can be constructed again."""
        return b"".join(sorted(self._digests))


class _Compare:
    def __init__(self, store: Store, dir_fd: int, known: Container[bytes]) -> None:
        self._store = store
        self._dir_fd = dir_fd
        self._known = known
        self.found = Comparison()

    def directory(
        self, entry: Entry | None, items: list[ForeignItem], *, trusts_times: bool
    ) -> Steps[list[tuple[bytes, Entry | None]]]:
        """Compare the items of one directory; return the directories to visit next."""
        raws = read_entries(self._store, TreeId(entry.oid)) if entry is not None else []
        here = {entry_name(raw): raw for raw in raws}
        below: list[tuple[bytes, Entry | None]] = []
        for item in items:
            is_known = item.digest in self._known
            # A directory is visited even if it is known: something new may lie in it.
            if is_known and not item.is_dir:
                continue
            raw = here.get(item.path.rpartition(b"/")[2])
            there = decode_entry(raw)[0] if raw is not None else None
            if item.is_dir and (there is None or there.is_dir):
                below.append((item.path, there))
                if there is None and not is_known:
                    self.found.new.append(item)
            elif there is None:
                self.found.new.append(item)
            elif (yield from self._is_same(item, there, trusts_times=trusts_times)):
                self.found.same.append(item)
            else:
                self.found.different.append(item)
        return below

    def _is_same(self, item: ForeignItem, there: Entry, *, trusts_times: bool) -> Steps[bool]:
        if stat.S_IFMT(item.mode) != stat.S_IFMT(there.mode):
            return False
        if not item.is_file:
            return (item.target, item.rdev) == (there.target, there.rdev)
        if item.size != there.size:
            return False
        if not item.size or (trusts_times and item.mtime_ns == there.mtime_ns):
            return True
        same: bool = yield from self._has_bytes(item, there)
        return same

    def _has_bytes(self, item: ForeignItem, there: Entry) -> Steps[bool]:
        try:
            fd = yield from on_thread(partial(_open, self._dir_fd, item.path, 0))
        except NotPermitted:
            self.found.is_whole = False
            return False
        try:
            if item.size <= WHOLE_MAX:
                data = yield from on_thread(partial(_read, fd, 0, WHOLE_MAX + 1))
                return object_id(Kind.BLOB, data) == there.oid
            content = LargeFile.load(self._store, there.oid)
            for offset in range(0, item.size, _READ_BYTES):
                data = yield from on_thread(partial(_read, fd, offset, _READ_BYTES))
                if data != content.read(self._store, offset, _READ_BYTES):
                    return False
                # The file may be larger than the memory.
                content.loaded.drop_clean()
                yield TURN
            return True
        finally:
            os.close(fd)


def compare(
    store: Store,
    root: Entry,
    dir_fd: int,
    known: Container[bytes] = (),
    *,
    limit: int | None = None,
    trusts_times: bool = False,
) -> Steps[Comparison]:
    """Compare the open directory with the tree `root`, top down.

    The walk stops after about `limit` names.  With `trusts_times`, a file of the same size and
    mtime counts as the same.  Cost: 7 us a name, and reading the files of equal size.
    """
    comparing = _Compare(store, dir_fd, known)
    found = comparing.found
    pending: deque[tuple[bytes, Entry | None]] = deque([(b"", root)])
    count = 0
    while pending:
        path, entry = pending.popleft()
        try:
            items, reserved = yield from on_thread(partial(scan, dir_fd, path))
        except OSError:
            found.is_whole = False
            continue
        if path:
            found.reserved += reserved
        below = yield from comparing.directory(entry, items, trusts_times=trusts_times)
        pending.extend(below)
        if count // _PROGRESS_EVERY != (count + len(items)) // _PROGRESS_EVERY:
            yield Progress(count, 0, "files")
        count += len(items)
        if limit is not None and count >= limit and pending:
            found.is_whole = False
            break
        yield TURN
    return found


def everything(dir_fd: int) -> Steps[tuple[KnownItems, list[bytes]]]:
    """Return the digests of all items that the open directory has now, and its reserved paths.

    These are the `.helios` of the directories below it.
    """
    known = KnownItems()
    reserved: list[bytes] = []
    pending = deque([b""])
    while pending:
        path = pending.popleft()
        items, named = yield from on_thread(partial(scan, dir_fd, path))
        if path:
            reserved += named
        for item in items:
            known.add(item)
            if item.is_dir:
                pending.append(item.path)
        yield TURN
    return known, reserved


def scan(dir_fd: int, path: bytes) -> tuple[list[ForeignItem], list[bytes]]:
    """Return the items of the directory at `path`, sorted by name, and its `.helios`, if any.

    Raise OSError.
    """
    fd = os.open(path or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        with os.scandir(fd) as entries:
            names = sorted(os.fsencode(entry.name) for entry in entries)
        prefix = path + b"/" if path else b""
        items = [_item(fd, prefix, name) for name in names if name not in SKIPPED]
        return items, [prefix + name for name in names if name == DOT_HELIOS]
    finally:
        os.close(fd)


def _item(fd: int, prefix: bytes, name: bytes) -> ForeignItem:
    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    mode = status.st_mode
    target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(mode) else b""
    rdev = status.st_rdev if stat.S_IFMT(mode) in (stat.S_IFCHR, stat.S_IFBLK) else 0
    size = status.st_size if stat.S_ISREG(mode) else 0
    return ForeignItem(prefix + name, mode, status.st_mtime_ns, size, target, rdev)


def _open(dir_fd: int, path: bytes, flags: int) -> int:
    try:
        # Without O_NONBLOCK the open of a FIFO would wait for a writer.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags, dir_fd=dir_fd)
    except PermissionError as error:
        raise NotPermitted(f"cannot read {os.fsdecode(path)!r}: permission denied") from error


def _read(fd: int, offset: int, length: int) -> bytes:
    parts = []
    while length and (data := os.pread(fd, length, offset)):
        parts.append(data)
        offset += len(data)
        length -= len(data)
    return b"".join(parts)
