"""A pack file, written by us and indexed by git (gitformat-pack(5)).

The objects are whole, not deltas: a later `git gc` in the repository compresses them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from heliosfs.errors import HeliosError, StoreFull
from heliosfs.git.process import Git, complaint

_KINDS = {b"commit": 1, b"tree": 2, b"blob": 3, b"tag": 4}
_LEVEL = 1
_COPY_BYTES = 1024 * 1024
_HEAD = struct.Struct(">4sII")
_VERSION = 2


class Pack:
    """A pack that is gathered in an unnamed file; `close` drops it.

    With `beside`, the file is on the file system of the repository's objects, where there must be
    room for it anyway.  The process that serves the mount in which the repository lies must not use
    it: it would wait for itself.
    """

    def __init__(self, git: Git, *, beside: bool) -> None:
        self._git = git
        place = os.path.join(git.git_dir, "objects") if beside else None
        self._body = tempfile.TemporaryFile(dir=place)  # noqa: SIM115
        self.count = 0

    def close(self) -> None:
        """Drop the gathered objects.  Idempotent."""
        self._body.close()

    def add(self, kind: bytes, size: int, pieces: Iterable[bytes]) -> Iterator[None]:
        """Add an object of `size` bytes, and yield after each piece.  Raise StoreFull."""
        deflate = zlib.compressobj(_LEVEL)
        self._write(_entry_head(_KINDS[kind], size))
        for piece in pieces:
            self._write(deflate.compress(piece))
            yield
        self._write(deflate.flush())
        self.count += 1

    def index(self) -> None:
        """Let git check and add the pack: all of it, or nothing.  Raise HeliosError."""
        if not self.count:
            return
        self._body.seek(0)
        with tempfile.TemporaryFile() as errors:
            process = self._git.start(
                "index-pack",
                "--stdin",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
            assert process.stdin is not None
            # When git ends early, it says why.
            with contextlib.suppress(BrokenPipeError):
                self._copy(process.stdin)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            if process.wait():
                errors.seek(0)
                raise HeliosError(f"git index-pack: {complaint(errors.read())}")

    def _write(self, data: bytes) -> None:
        try:
            self._body.write(data)
        except OSError as error:
            raise StoreFull(f"cannot write a pack: {(error.strerror or '').lower()}") from error

    def _copy(self, target: IO[bytes]) -> None:
        digest = hashlib.new(self._git.hash_name)
        data = _HEAD.pack(b"PACK", _VERSION, self.count)
        while data:
            digest.update(data)
            target.write(data)
            data = self._body.read(_COPY_BYTES)
        target.write(digest.digest())


def _entry_head(kind: int, size: int) -> bytes:
    """Return kind and size of an entry: four bits of the size, then seven a byte, lowest first."""
    out = bytearray()
    byte = kind << 4 | size & 15
    size >>= 4
    while size:
        out.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    out.append(byte)
    return bytes(out)
