"""System calls on files below a directory, which are reached by descriptor and without links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from heliosfs.remote.bucket import Got, StoredObject
from heliosfs.remote.buckets.file_names import key_part
from heliosfs.remote.buckets.object_keys import is_key

FILE_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
"""Flags for a regular file: opening a FIFO or a device instead does not block."""
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
ROOT_FLAGS = DIRECTORY_FLAGS & ~os.O_NOFOLLOW
"""Flags for the directory itself, which the user named, be it by a link."""


def entries(
    fd: int, base: str, prefix: str, after: str
) -> Iterator[tuple[str, str, StoredObject | None]]:
    """Return the names in a directory that are, or may hold, objects that are asked for.

    Each with its key, and with None for a directory, whose keys begin with that.
    """
    for name in os.listdir(fd):
        found = key_part(name)
        if found is None:
            continue
        part, is_directory = found
        key = base + part
        if is_directory:
            may_hold = key.startswith(prefix) or prefix.startswith(key)
            # What is deeper than any key, or adds nothing to it, is not ours, and may have no end.
            if not part or not is_key(key.removesuffix("/")):
                continue
            if may_hold and (key > after or after.startswith(key)):
                yield name, key, None
        elif key.startswith(prefix) and key > after and is_key(key):
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    version = version_of(status)
                    yield name, key, StoredObject(key, status.st_size, version, status.st_mtime)


@contextmanager
def opened(root: int, where: tuple[str, ...]) -> Iterator[int]:
    """Open a directory below another, one name at a time, so that no link is followed."""
    fd = os.dup(root)
    try:
        for name in where:
            below = os.open(name, DIRECTORY_FLAGS, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def make_directory(parent: int, name: str, root: os.stat_result) -> None:
    """Make a directory as a part of `root`, unless it is there; the caller syncs its name."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    fd = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    try:
        share(fd, root, 0o7777)
    finally:
        os.close(fd)


def share(fd: int, root: os.stat_result, mask: int) -> None:
    """Let a file have group and permissions of a directory, so that who shares that can use it.

    The group is that of the directory by itself where that has the setgid bit.
    """
    if os.fstat(fd).st_gid != root.st_gid:
        # Who is not in the group cannot, and may be alone.
        with suppress(PermissionError):
            os.fchown(fd, -1, root.st_gid)
    os.fchmod(fd, stat.S_IMODE(root.st_mode) & mask)


def read_range(parent: int, name: str, start: int, length: int | None) -> Got:
    """Return bytes of a regular file, and its version.  OSError."""
    fd = os.open(name, os.O_RDONLY | FILE_FLAGS, dir_fd=parent)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        end = status.st_size if length is None else min(status.st_size, start + length)
        pieces = []
        while start < end:
            piece = os.pread(fd, end - start, start)
            if not piece:
                break
            pieces.append(piece)
            start += len(piece)
        return Got(pieces[0] if len(pieces) == 1 else b"".join(pieces), version_of(status))
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes; write(2) may take fewer."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def version_of(status: os.stat_result) -> str:
    """Return the version of the object that a file is."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def sweep(parent: int, before: int) -> None:
    """Remove files that were being written before a time, in seconds since 1970."""
    for name in os.listdir(parent):
        with suppress(OSError):
            if os.stat(name, dir_fd=parent, follow_symlinks=False).st_mtime < before:
                os.unlink(name, dir_fd=parent)


def sync_path(path: str) -> None:
    """Make the names in a directory safe from a power cut."""
    fd = os.open(path, ROOT_FLAGS)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
