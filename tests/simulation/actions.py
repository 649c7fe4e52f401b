"""Events of a simulation: calls of programs, verbs, and acts of the kernel and of the disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, NamedTuple

import trio

from heliosfs.errors import StoreError
from tests.simulation.disk import Disk
from tests.simulation.effects import Oracle, check
from tests.simulation.kernel import PAGE_BYTES, CachingKernel, Handle, Inode
from tests.simulation.model import File, PathBytes
from tests.simulation.mount import Fault, Life

NAMES = (b"a", b"b", b"c", b"d")
BRANCHES = ("main", "x", "y", "z/w")
SIZES = (0, 1, 7, 100, 4095, 4096, 4097, 9000)
XATTRS = (b"user.a", b"user.b")
LARGE_BYTES = 70_000
OPEN_MAX = 4
_OF_DISK = (errno.EIO, errno.ENOSPC, errno.EROFS)
_DOT = b".helios"


class Failed(NamedTuple):
    """The errno with which a call failed."""

    code: int


class Place(NamedTuple):
    """A place where a branch is shown: the mount point, or below `.helios/live`."""

    branch: str
    prefix: PathBytes


class OpenFile:
    """A file that a program has open, and what the model knows of it."""

    def __init__(self, handle: Handle, file: File, branch: str) -> None:
        self.handle = handle
        self.file = handle.file = file
        self.branch = branch


class Actor:
    """Somebody who uses the mount; several of them do at once."""

    def __init__(
        self, life: Life, oracle: Oracle, disk: Disk, random: Random, pid: int = 0
    ) -> None:
        self.life = life
        self.pid = pid
        self.oracle = oracle
        self.model = oracle.model
        self.cache: CachingKernel = life.cache
        self.disk = disk
        self.random = random
        self.open_files: list[OpenFile] = []
        self.promised = 0
        """Number of the batch that an answer has called safe."""
        self.log: list[str] = []

    async def act(self, kind: str, random: Random) -> None:
        """Do one thing; its choices come from `random` alone."""
        self.random = self.cache.random = random
        if random.random() < 0.3:
            self.cache.forget_some()
        await getattr(self, f"do_{kind}")()

    # Choices.

    def _place(self) -> Place:
        model = self.model
        if self.random.random() < 0.75:
            return Place(model.root, ())
        name = self.random.choice(BRANCHES)
        if name == model.root or name not in model.works:
            return Place(model.root, ())
        parts = tuple(part.encode() for part in name.split("/"))
        return Place(name, (_DOT, b"live", *parts))

    def _path(self, place: Place) -> PathBytes:
        """A path, mostly one that is there, or that could be."""
        random = self.random
        work = self.model.works[place.branch]
        if work.tree.files and random.random() < 0.6:
            return random.choice(sorted(work.tree.files))
        directories = [()] + [path for path, file in work.tree.files.items() if file.is_directory]
        return (*random.choice(sorted(directories)), random.choice(NAMES))

    def _file(self, place: Place) -> PathBytes:
        """A path of a regular file, if there is one."""
        files = self.model.works[place.branch].tree.files
        found = sorted(path for path, file in files.items() if stat.S_ISREG(file.mode))
        return self.random.choice(found) if found else self._path(place)

    def _bytes(self) -> bytes:
        random = self.random
        letter = bytes([random.randrange(97, 123)])
        if random.random() < 0.03:
            return letter + self._large()
        return letter * random.choice(SIZES[1:])

    # Calls on both sides.

    async def _both(self, place: Place, name: str, *paths_and_more: Any, why: str = "") -> Any:
        """Make a call through the kernel and on the model; both do the same."""
        was_settled = self.life.is_settled and self._is_there(place)
        arguments = [
            place.prefix + each if isinstance(each, tuple) else each for each in paths_and_more
        ]
        before = self.model.freeze()
        real = await outcome(self.cache.retried(getattr(self.cache, name), *arguments))
        if name == "listdir" and before != self.model.freeze():
            return None
        if not was_settled or not self.life.is_settled or not self._is_there(place):
            if isinstance(real, Inode):
                self.oracle.doubt(real)
            self.oracle.adopt()
            return None
        if self._is_excused(real):
            self.oracle.adopt()
            return None
        work = self.model.works[place.branch]
        try:
            wanted: Any = getattr(work.tree, name)(*paths_and_more)
        except OSError as error:
            wanted = Failed(error.errno or 0)
        if isinstance(real, Failed) or isinstance(wanted, Failed):
            check(f"{name}{paths_and_more} in {place.branch!r}", real, wanted)
        work.note()
        return real

    def _is_there(self, place: Place) -> bool:
        """Return True if a place still shows its branch."""
        if place.prefix:
            return place.branch in self.model.works and place.branch != self.model.root
        return place.branch == self.model.root

    def _is_excused(self, real: Any) -> bool:
        """Return True if a call may fail because the disk does."""
        is_failure = isinstance(real, Failed) and real.code in _OF_DISK
        return is_failure and (self.disk.is_full or self.disk.has_failed)

    # Files.

    async def do_mkdir(self) -> None:
        place = self._place()
        await self._both(place, "mkdir", self._path(place))

    async def do_symlink(self) -> None:
        place = self._place()
        await self._both(place, "symlink", self._path(place), b"to/" + self._bytes()[:1])

    async def do_link(self) -> None:
        place = self._place()
        await self._both(place, "link", self._file(place), self._path(place))

    async def do_unlink(self) -> None:
        place = self._place()
        await self._both(place, "unlink", self._path(place))

    async def do_rmdir(self) -> None:
        place = self._place()
        await self._both(place, "rmdir", self._path(place))

    async def do_rename(self) -> None:
        place = self._place()
        old, new = self._path(place), self._path(place)
        await self._both(place, "rename", old, new, self.random.choice((0, 0, 0, 1, 2)))

    async def do_chmod(self) -> None:
        place = self._place()
        mode = self.random.choice((0o644, 0o755, 0o600))
        await self._both(place, "chmod", self._path(place), mode)

    async def do_truncate(self) -> None:
        place = self._place()
        await self._both(place, "truncate", self._file(place), self.random.choice(SIZES))

    async def do_set_xattr(self) -> None:
        place = self._place()
        path, name = self._path(place), self.random.choice(XATTRS)
        if self.random.random() < 0.3:
            await self._both(place, "removexattr", path, name)
        else:
            value = self._bytes()[:20]
            await self._both(place, "setxattr", path, name, value)

    async def do_list_xattrs(self) -> None:
        place = self._place()
        path = self._path(place)
        real = await self._both(place, "xattrs", path)
        if real is not None and not isinstance(real, Failed):
            wanted = self.model.works[place.branch].tree.xattrs(path)
            check(f"attributes of {path} in {place.branch!r}", real, wanted)

    async def do_stat(self) -> None:
        place = self._place()
        path = self._path(place)
        real = await self._both(place, "stat", path)
        if real is None or isinstance(real, Failed):
            return
        wanted = self.model.works[place.branch].tree.stat(path)
        mode, size, links = real[9], real[1], real[10]
        found = (mode, 0, 0) if stat.S_ISDIR(mode) else (mode, size, links)
        check(f"stat of {path} in {place.branch!r}", found, wanted)

    async def do_listdir(self) -> None:
        place = self._place()
        await self._list(place, self._path(place) if self.random.random() < 0.5 else ())

    async def _list(self, place: Place, path: PathBytes) -> None:
        was_listed = self._is_dot_listed()
        real = await self._both(place, "listdir", path)
        if real is None or isinstance(real, Failed):
            return
        is_listed = self._is_dot_listed()
        if not path and is_listed != was_listed:
            # The setting was changed while the listing was under way: either is right.
            return
        wanted = self.model.works[place.branch].tree.listdir(path)
        if not path and is_listed:
            wanted = sorted([*wanted, _DOT])
        check(f"listing of {path} in {place.branch!r}", sorted(real), wanted)

    def _is_dot_listed(self) -> bool:
        return self.life.repository.configuration.settings.is_helios_listed

    async def do_read_tree(self) -> None:
        """Look at everything, as a search does."""
        place = self._place()
        await self._list(place, ())
        if not self._is_there(place):
            return
        for path, file in sorted(self.model.works[place.branch].tree.files.items()):
            if not self._is_there(place):
                return
            if file.is_directory:
                await self._list(place, path)
            else:
                await self._read_path(place, path)

    async def do_read(self) -> None:
        place = self._place()
        await self._read_path(place, self._file(place))

    async def _read_path(self, place: Place, path: PathBytes) -> None:
        if not self._is_there(place):
            return
        file = self.model.works[place.branch].tree.files.get(path)
        if file is None or not stat.S_ISREG(file.mode):
            if file is not None and stat.S_ISLNK(file.mode):
                real = await self._both(place, "readlink", path)
                if real is not None and not isinstance(real, Failed):
                    check(f"link {path}", real, file.data)
            return
        opened = await self._open(place, path, os.O_RDONLY)
        if opened is not None:
            await self._read_all(opened, f"{path} in {place.branch!r}")
            await self._close(opened)

    async def _read_all(self, opened: OpenFile, what: str) -> None:
        wanted, version = seen(opened), self.oracle.verbs
        is_known = opened.file.is_known and self.life.is_settled
        real = await outcome(self.cache.read(opened.handle, 0, 1 << 20))
        if not is_known or not opened.file.is_known or version != self.oracle.verbs:
            return
        if not self._is_excused(real):
            check(f"bytes of {what}", real, wanted)

    async def _open(self, place: Place, path: PathBytes, flags: int) -> OpenFile | None:
        was_settled = self.life.is_settled
        real = await outcome(self.cache.retried(self.cache.open, place.prefix + path, flags))
        is_settled = was_settled and self.life.is_settled and self._is_there(place)
        if isinstance(real, Failed):
            self._judge_open(place, path, flags, real, is_settled=is_settled)
            return None
        if not is_settled:
            if flags & os.O_TRUNC:
                self.oracle.doubt(real.inode)
            self.oracle.adopt()
            file = File(stat.S_IFREG)
            file.is_known = False
            return OpenFile(real, file, place.branch)
        work = self.model.works[place.branch]
        there = work.tree.files.get(path)
        if there is None:
            if not flags & os.O_CREAT:
                raise Fault(f"opened {path} in {place.branch!r}, which is not there")
            there = work.tree.files[path] = File(stat.S_IFREG | 0o644)
        elif flags & os.O_TRUNC:
            there.data = b""
        work.note()
        return OpenFile(real, there, place.branch)

    def _judge_open(
        self, place: Place, path: PathBytes, flags: int, real: Failed, *, is_settled: bool
    ) -> None:
        if not is_settled or self._is_excused(real):
            self.oracle.adopt()
            return
        try:
            file = self.model.works[place.branch].tree.find(path)
            wanted = errno.EISDIR if file.is_directory else errno.ELOOP
            if stat.S_ISREG(file.mode):
                wanted = errno.EEXIST if flags & os.O_EXCL else 0
        except OSError as error:
            wanted = error.errno or 0
            if wanted == errno.ENOENT and flags & os.O_CREAT and self._has_parent(place, path):
                wanted = 0
        if flags & os.O_EXCL and real.code == errno.EEXIST and wanted in (21, 40):
            return
        check(f"open of {path} in {place.branch!r} with {flags:o}", real.code, wanted)

    def _has_parent(self, place: Place, path: PathBytes) -> bool:
        files = self.model.works[place.branch].tree.files
        return len(path) == 1 or (path[:-1] in files and files[path[:-1]].is_directory)

    async def _close(self, opened: OpenFile) -> None:
        await self.cache.close(opened.handle)

    async def do_open(self) -> None:
        if len(self.open_files) >= OPEN_MAX:
            await self.do_close()
            return
        place = self._place()
        flags = self.random.choice(
            (
                os.O_RDONLY,
                os.O_RDWR,
                os.O_WRONLY,
                os.O_RDWR | os.O_CREAT,
                os.O_RDWR | os.O_CREAT | os.O_EXCL,
                os.O_RDWR | os.O_CREAT | os.O_TRUNC,
                os.O_WRONLY | os.O_APPEND | os.O_CREAT,
            )
        )
        opened = await self._open(place, self._file(place), flags)
        if opened is not None:
            self.open_files.append(opened)

    async def do_close(self) -> None:
        if self.open_files:
            at = self.random.randrange(len(self.open_files))
            await self._close(self.open_files.pop(at))

    async def do_write_open(self) -> None:
        writable = [each for each in self.open_files if each.handle.flags & 3]
        if writable:
            opened = self.random.choice(writable)
            await self._write(opened, self.random.choice(SIZES[:-1]), self._bytes())

    async def _write(self, opened: OpenFile, offset: int, data: bytes) -> None:
        file = opened.file
        if opened.handle.flags & os.O_APPEND:
            offset = len(file.data)
        if not file.is_known:
            self.oracle.doubt(opened.handle.inode)
        real = await outcome(self.cache.write(opened.handle, offset, data))
        if isinstance(real, Failed):
            if not self._is_excused(real):
                raise Fault(f"a write failed: {os.strerror(real.code)}")
            return
        if not file.is_known:
            self.oracle.adopt()
            return
        file.data = file.data.ljust(offset, b"\0")
        file.data = file.data[:offset] + data + file.data[offset + len(data) :]
        for work in self.model.works.values():
            work.note()

    async def do_store_mapped(self) -> None:
        """Change a file through a shared mapping."""
        mapped = [each for each in self.open_files if each.handle.flags & os.O_RDWR]
        if mapped:
            opened = self.random.choice(mapped)
            offset = self.random.choice((0, 5, 4090, 4096, 8999))
            await self.cache.change_mapped(opened.handle, offset, self._bytes()[:1])

    async def do_write_back(self) -> None:
        """The kernel writes some dirty pages back, as it does now and then."""
        dirty = self.cache.dirty_inodes()
        if dirty:
            await outcome(self.cache.write_back(self.random.choice(dirty)))

    async def do_touch(self) -> None:
        """Set the time of a file, after which no earlier store may move it."""
        place = self._place()
        path = place.prefix + self._file(place)
        before = self.cache.store_count
        inode = await outcome(self.cache.retried(self.cache.touch, path, 1_600_000_000))
        if isinstance(inode, Failed) or not inode.dirty:
            return
        if min(inode.dirty.values()).number <= before:
            raise Fault(f"a store through a mapping of {path} moves its time")

    async def do_read_open(self) -> None:
        readable = [each for each in self.open_files if each.handle.flags & 3 != os.O_WRONLY]
        if readable:
            await self._read_all(self.random.choice(readable), "an open file")

    async def do_write(self) -> None:
        """Replace a file, or make one, as `echo > file` does."""
        place = self._place()
        path = self._file(place) if self.random.random() < 0.6 else self._path(place)
        opened = await self._open(place, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        if opened is not None:
            if self.random.random() < 0.3:
                await self.life.pauses()
            await self._write(opened, 0, self._bytes())
            await self._close(opened)

    async def do_write_large(self) -> None:
        """Make a file that goes into a pack."""
        place = self._place()
        opened = await self._open(place, self._path(place), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        if opened is not None:
            await self._write(opened, 0, self._large())
            await self._close(opened)

    def _large(self) -> bytes:
        """Return bytes that nothing can compress, of which there are so many that some repeat."""
        return Random(self.random.randrange(100)).randbytes(LARGE_BYTES)

    async def do_save(self) -> None:
        """Write a new file and rename it over the old one, as editors do."""
        place = self._place()
        path = self._file(place)
        new = (*path[:-1], b"new")
        opened = await self._open(place, new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        if opened is None:
            return
        await self._write(opened, 0, self._bytes())
        await self._close(opened)
        if self._is_there(place):
            await self._both(place, "rename", new, path, 0)

    async def do_fsync(self) -> None:
        if not self.open_files:
            return
        opened = self.random.choice(self.open_files)
        real = await outcome(self.cache.fsync(opened.handle))
        if isinstance(real, Failed):
            if not self._is_excused(real):
                raise Fault(f"an fsync failed: {os.strerror(real.code)}")
            return
        self._promise()

    def _promise(self) -> None:
        """The batch that this task has saved last is safe."""
        number = self.oracle.checkpoints.get(trio.lowlevel.current_task(), 0)
        self.promised = max(self.promised, number)

    # The kernel, the disk and time.

    async def do_forget(self) -> None:
        for _ in range(self.random.choice((1, 3, 30))):
            self.cache.shrink()
        self.cache.forget_some()

    async def do_wait(self) -> None:
        await trio.sleep(self.random.choice((0.0, 0.01, 0.15, 1.0, 12.0)))

    async def do_reduce(self) -> None:
        """The working set is over its budget."""

        async def reduce() -> None:
            self.life.repository.working_set.reduce(0)

        await excused(reduce, self.disk)

    async def do_drain(self) -> None:
        await excused(self.life.keeper.drain, self.disk)

    async def do_save_all(self) -> None:
        await excused(self.life.keeper.sync, self.disk)

    async def do_trim(self) -> None:
        repository = self.life.repository
        repository.nodes_max = 0
        self.life.trimmer.look()
        await trio.sleep(0.001)
        repository.nodes_max = 10_000

    async def do_fill_disk(self) -> None:
        self.disk.is_full = True

    async def do_free_disk(self) -> None:
        self.disk.is_full = False

    async def do_fail_sync(self) -> None:
        self.disk.failing_syncs = 1


def seen(opened: OpenFile) -> bytes:
    """Return the bytes that a program sees: those of the daemon, and those of dirty pages."""
    inode, data = opened.handle.inode, opened.file.data
    for number in inode.dirty:
        at = number * PAGE_BYTES
        page = inode.pages[number][: len(data) - at]
        data = data[:at] + page + data[at + len(page) :]
    return data


async def outcome(call: Awaitable[Any]) -> Any:
    """Return the result of a call, or the error with which it fails."""
    try:
        return await call
    except OSError as error:
        return Failed(error.errno or 0)


async def excused(call: Callable[[], Awaitable[None]], disk: Disk) -> None:
    """Make a call that may fail if the disk does."""
    try:
        await call()
    except StoreError:
        if not (disk.is_full or disk.has_failed):
            raise
