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
    "RENAME_EXCHANGE",
    "RENAME_NOREPLACE",
    "RENAME_WHITEOUT",
    "Directory",
    "as_user",
    "create",
    "errno_of",
    "forced_stat",
    "renameat2",
]

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4

_AT_FDCWD = -100
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
