"""Bucket that is a directory, on this machine or on a file server that several machines mount."""

from __future__ import annotations

import errno
import fcntl
import heapq
import os
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.errors import AlreadyExists, HeliosError
from heliosfs.remote.bucket import Changed, Got, NoObject, StoredObject, Unreachable
from heliosfs.remote.buckets.directory_files import (
    DIRECTORY_FLAGS,
    FILE_FLAGS,
    ROOT_FLAGS,
    entries,
    make_directory,
    opened,
    read_range,
    share,
    sweep,
    sync_path,
    version_of,
    write_all,
)
from heliosfs.remote.buckets.file_names import LOCK, NEW, path_of
from heliosfs.remote.buckets.object_keys import check_key

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of link(2) on file systems that have no hard links: FAT, and many network drives."""
_HINTS = {
    errno.ELOOP: " (links are not followed)",
    errno.ENOTDIR: " (links are not followed)",
    errno.ENOENT: ": is its disk mounted?",
    errno.ENOLCK: ": its file server has no locks, which a remote needs",
    errno.EACCES: ": its owner lets a group share it by 'chgrp -R GROUP' and 'chmod -R g+rwX'; who "
    "may only read it can clone and fetch",
    errno.EPERM: ": if it has the sticky bit, nobody replaces what others have written: 'chmod -R "
    "-t' takes it away",
    errno.EROFS: ": it can be cloned and fetched from, and takes no push",
    errno.ENOSPC: ": make room there, and push again, which sends only what is missing",
    errno.EDQUOT: ": make room there, and push again, which sends only what is missing",
}
"""Advice by errno, which follows the words of the error."""
_OF_THE_DISK = "lost+found"
"""Directory in the root of a file system of its own, which may be a remote as a whole."""
_LEFT_SECONDS = 86_400
"""Age from which a file that was being written is taken for what a crash left."""
_LOCK_SECONDS = 60.0
"""Longest wait for others that replace or delete; each holds the lock for some microseconds."""
_STALE_COUNT = 5
"""Attempts to read a file that another machine replaces meanwhile (ESTALE, on NFS only)."""


class _Staged(NamedTuple):
    """A file that was written, synced, and has no name among the objects yet."""

    dir_fd: int
    name: str
    fd: int
    version: str


class DirectoryBucket:
    """Bucket in a directory: one file for each object, which nothing ever writes to again.

    An object is written to a file in `new.x`, synced, and given its name by link(2), which fails if
    there is one, or, under a lock (flock(2) on `lock.x`), by rename(2), after the version was
    compared.  A crash in the middle leaves the old object or the new one, and perhaps a file in
    `new.x` that is removed after a day.  Names are synced before a method returns.

    A version is made of the file's inode number, size and time of change, of which the nanoseconds
    are drawn at random: so A-B-A is detected, since even equal bytes are another file.  Where a
    file system keeps whole seconds only (FAT, ext3), it is detected unless an inode number is used
    again for as many bytes within a second.

    Processes of one machine exclude each other on any file system.  Those of several machines do on
    NFS from version 3 on, where flock(2) is a lock of the server (Linux since 2.6.12), unless it
    is mounted with `nolock` or `local_lock`: then creating an object is still exclusive, and
    replacing one is not.  Listings there may be late by `acdirmax` (60 s); reads are not.

    Keys never lead out of the directory: it is opened anew for each request, links below it are not
    followed, and nothing but regular files is read.  Files get the permissions of the directory
    itself, whatever the umask is.  Directories that became empty stay.
    """

    def __init__(self, path: str) -> None:
        """Name a directory that `make` has made, once, on some machine."""
        self.path = path
        self._synced: set[tuple[str, ...]] = set()
        """Directories whose names are known to be on the disk."""
        self._is_swept = False

    def make(self) -> None:
        """Make the directory, below one that is there, or use an empty one.  Idempotent.

        AlreadyExists if it holds something else, Unreachable.
        """
        try:
            with suppress(FileExistsError):
                os.mkdir(self.path)
                sync_path(os.path.dirname(os.path.abspath(self.path)))
            fd = os.open(self.path, ROOT_FLAGS)
            try:
                self._furnish(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EROFS):
                reason = os.strerror(error.errno).lower()
                raise Unreachable(
                    f"the directory {self.path}: cannot make it: {reason}: name one that is yours, "
                    "or that its owner has made for a group of yours ('chmod 2770')"
                ) from error
            if error.errno == errno.ENOENT:
                above = os.path.dirname(self.path)
                raise Unreachable(
                    f"the directory {self.path}: cannot make it, since {above} is not there: if "
                    f"its disk is mounted, 'mkdir -p {shlex.quote(above)}' makes that"
                ) from error
            raise self._unreachable("make it", error) from error

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        """Return bytes and version.  NoObject, Unreachable."""
        check_key(key)
        where, name = path_of(key)
        with self._errors(f"read {key}"), self._root() as root:
            for left in reversed(range(_STALE_COUNT)):
                try:
                    with opened(root, where) as parent:
                        return read_range(parent, name, start, length)
                except FileNotFoundError:
                    raise NoObject(f"there is no object {key} in {self.path}") from None
                except OSError as error:
                    if error.errno != errno.ESTALE or not left:
                        raise
        raise AssertionError

    def create(self, key: str, data: bytes) -> str:
        """Store a new object.  Changed, Unreachable."""
        check_key(key)
        where, name = path_of(key)
        with self._errors(f"create {key}"), self._root() as root:
            with self._staged(root, data) as staged, self._made(root, where) as parent:
                if not self._link(root, staged, parent, name):
                    raise Changed(f"there is an object {key} in {self.path} already")
                os.fsync(parent)
            return staged.version

    def swap(self, key: str, data: bytes, expected: str) -> str:
        """Replace an object.  Changed, Unreachable."""
        check_key(key)
        where, name = path_of(key)
        with self._errors(f"replace {key}"), self._root() as root:
            with self._staged(root, data) as staged:
                try:
                    with opened(root, where) as parent:
                        with self._locked(root):
                            self._check_version(parent, name, key, expected)
                            os.rename(
                                staged.name, name, src_dir_fd=staged.dir_fd, dst_dir_fd=parent
                            )
                        os.fsync(parent)
                except FileNotFoundError as error:
                    raise Changed(f"the object {key} in {self.path} was deleted") from error
            return staged.version

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        """Return objects by key, each as it is when its directory is read.  Unreachable.

        One readdir(3) for each directory that can have some, and one stat(2) for each object.
        """
        # The smallest key, or beginning of keys, comes first: what a directory holds is never
        # smaller than its own name, so it is read when its turn comes.
        ahead: list[tuple[str, tuple[str, ...], StoredObject | None]] = [("", (), None)]
        while ahead:
            key, where, stored = heapq.heappop(ahead)
            if stored is not None:
                yield stored
                continue
            with (
                self._errors(f"list {prefix}"),
                self._root() as root,
                suppress(FileNotFoundError, NotADirectoryError),
                opened(root, where) as parent,
            ):
                for name, below, found in entries(parent, key, prefix, after):
                    if found is None:
                        heapq.heappush(ahead, (below, (*where, name), None))
                    elif path_of(below) == (where, name):
                        heapq.heappush(ahead, (below, (), found))

    def delete(self, key: str, expected: str | None = None) -> None:
        """Delete an object.  Changed, Unreachable."""
        check_key(key)
        where, name = path_of(key)
        with (
            self._errors(f"delete {key}"),
            self._root() as root,
            suppress(FileNotFoundError),
            opened(root, where) as parent,
        ):
            with self._locked(root):
                if expected is not None:
                    self._check_version(parent, name, key, expected)
                os.unlink(name, dir_fd=parent)
            os.fsync(parent)

    @contextmanager
    def _root(self) -> Iterator[int]:
        """Open the directory, and see that it is the one that was made, and no empty mount point.

        It is not kept open, so that its disk can be unmounted.
        """
        try:
            fd = os.open(self.path, ROOT_FLAGS)
        except FileNotFoundError:
            raise Unreachable(
                f"the directory {self.path} is not there: is its disk mounted?"
            ) from None
        try:
            try:
                os.stat(NEW, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                raise Unreachable(
                    f"{self.path} is no remote of heliosfs: is its disk mounted?"
                ) from None
            yield fd
        finally:
            os.close(fd)

    def _furnish(self, fd: int) -> None:
        names = os.listdir(fd)
        if NEW in names:
            return
        others = sorted(set(names) - {LOCK, _OF_THE_DISK})
        if others:
            raise AlreadyExists(
                f"{self.path} holds something else ({', '.join(others[:5])}): "
                "name a new or empty directory"
            )
        root = os.fstat(fd)
        lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | FILE_FLAGS, 0o600, dir_fd=fd)
        try:
            share(lock, root, 0o666)
        finally:
            os.close(lock)
        make_directory(fd, NEW, root)
        os.fsync(fd)

    @contextmanager
    def _staged(self, root: int, data: bytes) -> Iterator[_Staged]:
        """Write and sync a file that has no name among the objects; remove it at the end."""
        with opened(root, (NEW,)) as parent:
            name = secrets.token_hex(16)
            fd = os.open(
                name, os.O_RDWR | os.O_CREAT | os.O_EXCL | FILE_FLAGS, 0o600, dir_fd=parent
            )
            try:
                share(fd, os.fstat(root), 0o666)
                write_all(fd, data)
                # The second is by the clock of the file server; the rest is drawn.
                seconds_ns = os.fstat(fd).st_mtime_ns // SECOND_NS * SECOND_NS
                time_ns = seconds_ns + secrets.randbelow(SECOND_NS)
                os.utime(fd, ns=(time_ns, time_ns))
                os.fsync(fd)
                if not self._is_swept:
                    sweep(parent, seconds_ns // SECOND_NS - _LEFT_SECONDS)
                    self._is_swept = True
                yield _Staged(parent, name, fd, version_of(os.fstat(fd)))
            finally:
                with suppress(OSError):
                    os.unlink(name, dir_fd=parent)
                os.close(fd)

    @contextmanager
    def _made(self, root: int, where: tuple[str, ...]) -> Iterator[int]:
        """Open the directory of an object; make those that are missing, and sync their names."""
        fd = os.dup(root)
        try:
            for depth, name in enumerate(where, 1):
                try:
                    below = os.open(name, DIRECTORY_FLAGS, dir_fd=fd)
                except FileNotFoundError:
                    make_directory(fd, name, os.fstat(root))
                    below = os.open(name, DIRECTORY_FLAGS, dir_fd=fd)
                if where[:depth] not in self._synced:
                    # Another process may have made it, and not come to the sync.
                    os.fsync(fd)
                    self._synced.add(where[:depth])
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def _link(self, root: int, staged: _Staged, parent: int, name: str) -> bool:
        """Name a file if there is none of that name; return False if there is one."""
        try:
            os.link(
                staged.name,
                name,
                src_dir_fd=staged.dir_fd,
                dst_dir_fd=parent,
                follow_symlinks=False,
            )
        except FileExistsError:
            # NFS repeats a request whose answer was lost, and then finds its own (open(2)).
            return os.fstat(staged.fd).st_nlink == 2
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with self._locked(root):
                try:
                    os.stat(name, dir_fd=parent, follow_symlinks=False)
                except FileNotFoundError:
                    os.rename(staged.name, name, src_dir_fd=staged.dir_fd, dst_dir_fd=parent)
                    return True
                return False
        return True

    @contextmanager
    def _locked(self, root: int) -> Iterator[None]:
        """Keep others from replacing or deleting objects, threads of this process included."""
        fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | FILE_FLAGS, 0o666, dir_fd=root)
        try:
            end = time.monotonic() + _LOCK_SECONDS
            pause = 0.0005
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise Unreachable(
                            f"{self.path} has been locked for {_LOCK_SECONDS:.0f} s: "
                            "which process on which machine does that?"
                        ) from None
                time.sleep(pause)
                pause = min(2 * pause, 0.02)
            try:
                yield
            finally:
                # A child forked meanwhile has the descriptor, too.
                fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)

    def _check_version(self, parent: int, name: str, key: str, expected: str) -> None:
        # Opened, and not only looked at: so NFS asks the server, whatever it has cached.
        fd = os.open(name, os.O_RDONLY | FILE_FLAGS, dir_fd=parent)
        try:
            version = version_of(os.fstat(fd))
        finally:
            os.close(fd)
        if version != expected:
            raise Changed(f"the object {key} in {self.path} is another version than was expected")

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except HeliosError:
            raise
        except OSError as error:
            raise self._unreachable(what, error) from error

    def _unreachable(self, what: str, error: OSError) -> Unreachable:
        reason = os.strerror(error.errno or errno.EIO).lower()
        hint = _HINTS.get(error.errno or errno.EIO, "")
        return Unreachable(f"the directory {self.path}: cannot {what}: {reason}{hint}")
