"""System calls that Python has no name for, and calls as another user."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from tests.mount.programs import errno_of

__all__ = [
    "FALLOC_FL_KEEP_SIZE",
    "FALLOC_FL_PUNCH_HOLE",
    "FALLOC_FL_ZERO_RANGE",
    "RENAME_EXCHANGE",
    "RENAME_NOREPLACE",
    "RENAME_WHITEOUT",
    "Directory",
    "as_user",
    "copied",
    "copy_range",
    "create",
    "errno_of",
    "fallocate",
    "forced_stat",
    "link_descriptor",
    "renameat2",
]

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
FALLOC_FL_ZERO_RANGE = 16

_AT_FDCWD = -100
_AT_SYMLINK_FOLLOW = 0x400
_AT_STATX_FORCE_SYNC = 0x2000
_STATX_BASIC_STATS = 0x7FF
_libc = ctypes.CDLL(None, use_errno=True)
_libc.opendir.restype = ctypes.c_void_p
_libc.telldir.restype = ctypes.c_long


def _check(result: int, path: str | Path) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))


def renameat2(old: str | Path, new: str | Path, flags: int) -> None:
    """Rename with flags."""
    arguments = (_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags)
    _check(_libc.renameat2(*arguments), old)


def forced_stat(path: str | Path) -> tuple[int, int]:
    """Inode number and size, asked of the file system whatever the kernel has cached."""
    buffer = ctypes.create_string_buffer(256)
    flags = (_AT_STATX_FORCE_SYNC, _STATX_BASIC_STATS)
    _check(_libc.statx(_AT_FDCWD, os.fsencode(path), *flags, buffer), path)
    ino, size = struct.unpack_from("<QQ", buffer, 32)
    return ino, size


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2), which Python has without modes."""
    arguments = (ctypes.c_int(mode), ctypes.c_long(offset), ctypes.c_long(length))
    _check(_libc.fallocate(fd, *arguments), f"fd {fd}")


def link_descriptor(fd: int, path: str | Path) -> None:
    """Link an open file to a name, as linkat(2) tells how; Python's `os.link` follows no links."""
    place = f"/proc/self/fd/{fd}".encode()
    arguments = (_AT_FDCWD, place, _AT_FDCWD, os.fsencode(path), _AT_SYMLINK_FOLLOW)
    _check(_libc.linkat(*arguments), path)


def copy_range(source: int, target: int, length: int, offset: int, at: int) -> int:
    """Copy all of a range by copy_file_range(2), which may copy less at once; return the count."""
    done = 0
    while done < length:
        count = os.copy_file_range(source, target, length - done, offset + done, at + done)
        if count == 0:
            break
        done += count
    return done


def copied(source: str, target: str) -> None:
    """Copy a file as cp(1) does."""
    fd_in = os.open(source, os.O_RDONLY)
    fd_out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    copy_range(fd_in, fd_out, 1 << 40, 0, 0)
    os.close(fd_in)
    os.close(fd_out)


@contextlib.contextmanager
def as_user(uid: int, gid: int | None = None, groups: tuple[int, ...] = ()) -> Iterator[None]:
    """File access as another user: without root's capabilities, with these groups only."""
    before = os.getgroups()
    os.setgroups(groups)
    _libc.setfsgid(uid if gid is None else gid)
    _libc.setfsuid(uid)
    try:
        yield
    finally:
        _libc.setfsuid(0)
        _libc.setfsgid(0)
        os.setgroups(before)


def create(path: str | Path, content: bytes = b"x", mode: int = 0o644) -> None:
    """A file of exactly this mode, whatever the umask."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    try:
        os.write(fd, content)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


class _Dirent(ctypes.Structure):
    _fields_ = (
        ("ino", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("length", ctypes.c_uint16),
        ("type", ctypes.c_uint8),
        ("name", ctypes.c_char * 256),
    )


_libc.readdir.restype = ctypes.POINTER(_Dirent)


class Directory(contextlib.AbstractContextManager["Directory"]):
    """A directory stream of the C library."""

    def __init__(self, path: str | Path) -> None:
        stream = _libc.opendir(os.fsencode(path))
        if not stream:
            _check(-1, path)
        self._stream = ctypes.c_void_p(stream)

    def __exit__(self, *error: object) -> None:
        _libc.closedir(self._stream)

    def __iter__(self) -> Iterator[bytes]:
        """The names that are left, but for the dots."""
        while (name := self.read()) is not None:
            if name not in (b".", b".."):
                yield name

    def read(self) -> bytes | None:
        """The next name; None at the end."""
        entry = _libc.readdir(self._stream)
        return bytes(entry.contents.name) if entry else None

    def tell(self) -> int:
        return int(_libc.telldir(self._stream))

    def seek(self, position: int) -> None:
        _libc.seekdir(self._stream, ctypes.c_long(position))

    def rewind(self) -> None:
        _libc.rewinddir(self._stream)
