"""The files of packs that are open, and reads of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from heliosfs.errors import StoreError
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.encoding.places import PackLocation

PREFIX = "pack-"
_OPEN_MAX = 64
_LOOKED_FROM_BYTES = 256 * 1024
"""Length from which it is asked whether a pack has so many bytes before they are allocated."""


class PackFiles:
    """The open files of packs, of which the one used first is closed when there are too many.

    Any thread may call these methods.
    """

    def __init__(self, directory: Directory, flags: int, growing: Callable[[], set[int]]) -> None:
        """Open files with `flags` when they are needed; those of `growing` packs stay open."""
        self._directory = directory
        self._flags = flags
        self._growing = growing
        self._table = threading.Lock()
        """Lock of `_fds`, held while a file is read, so that nobody closes it meanwhile."""
        self._fds: dict[int, int] = {}

    def fd(self, pack: int) -> int:
        """Return the descriptor of a pack; it stays open while the pack grows."""
        with self._table:
            return self._fd(pack)

    def duplicate(self, pack: int) -> int:
        """Return a descriptor of a pack that the caller must close.  Raise OSError."""
        with self._table:
            return os.dup(self._fd(pack))

    def create(self, pack: int) -> None:
        """Make the file of a pack.  Raise OSError."""
        with self._table:
            self._make_room()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            self._fds[pack] = self._directory.open(f"{PREFIX}{pack}", flags)

    def read(self, place: PackLocation, at: int, length: int) -> bytes:
        """Return bytes of the body at a place, from offset `at` in it on.

        Raise DecodeError if the body, or the pack, ends before them.
        """
        pack, offset, body_bytes, _, _ = place
        if at + length > body_bytes:
            raise DecodeError(f"a block ends behind its body in pack {pack}")
        offset += at
        try:
            with self._table:
                fd = self._fd(pack)
                # Before as many bytes are allocated as a damaged place asks for.
                is_there = length < _LOOKED_FROM_BYTES or offset + length <= os.fstat(fd).st_size
                data = os.pread(fd, length, offset) if is_there else b""
        except (OSError, OverflowError, StoreError) as error:
            raise DecodeError(f"pack {pack} cannot be read: {error}") from error
        if len(data) != length:
            raise DecodeError(f"pack {pack} ends before byte {offset + length}")
        return data

    def forget(self, pack: int) -> None:
        """Close the file of a pack that will be deleted."""
        with self._table:
            fd = self._fds.pop(pack, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Close the files.  Idempotent."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def _fd(self, pack: int) -> int:
        fd = self._fds.get(pack)
        if fd is None:
            self._make_room()
            fd = self._fds[pack] = self._directory.open(f"{PREFIX}{pack}", self._flags)
        return fd

    def _make_room(self) -> None:
        if len(self._fds) >= _OPEN_MAX:
            growing = self._growing()
            oldest = next(pack for pack in self._fds if pack not in growing)
            os.close(self._fds.pop(oldest))
