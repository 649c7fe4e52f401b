"""The objects of a git repository, one after another, parents and contents in a useful order.

`git rev-list` lists them and `git cat-file --batch` prints them: every commit after its
parents, and before it, or right after it, what it brings that no earlier commit had.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
import threading
from binascii import unhexlify
from collections.abc import Iterable
from typing import NamedTuple

from heliosfs.errors import HeliosError
from heliosfs.git.process import Git, complaint
from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX

_PIPE_BYTES = 1024 * 1024
_FORMAT = "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)"
_LIST = ("rev-list", "--objects", "--in-commit-order", "--topo-order", "--reverse")

PART = b"part"


class GitObject(NamedTuple):
    """An object as git has it, or a piece of one."""

    kind: bytes
    """`commit`, `tree`, `blob`, `tag`; `part`: the next 128 KiB of the large blob to come."""
    id: bytes
    path: bytes
    """Where it was found first; cut at a newline.  Only good as a hint."""
    data: bytes
    """Empty for a blob of more than `WHOLE_MAX` bytes, whose parts came before it."""
    size: int


class ObjectStream:
    """Reads what `wanted` reaches and `known` does not.  Ids are raw bytes.

    `read` may run on any thread, one call at a time.
    """

    def __init__(self, git: Git, wanted: Iterable[bytes], known: Iterable[bytes]) -> None:
        self._buffer = b""
        self._at = 0
        self._large: tuple[bytes, bytes, int, int] | None = None
        """Id, path, size and bytes still to come of a large blob."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        with tempfile.TemporaryFile() as revisions:
            revisions.writelines(each.hex().encode() + b"\n" for each in wanted)
            revisions.writelines(b"^" + each.hex().encode() + b"\n" for each in known)
            revisions.seek(0)
            self._lister = git.start(
                *_LIST,
                "--ignore-missing",
                "--stdin",
                stdin=revisions,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        assert self._lister.stdout is not None
        self._printer = git.start(
            "cat-file",
            _FORMAT,
            "--buffer",
            stdin=self._lister.stdout,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._lister.stdout.close()
        assert self._printer.stdout is not None
        self._fd = self._printer.stdout.fileno()
        # Fewer turns for git and us; not every user may have so large a pipe.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def close(self) -> None:
        """End git if it still runs.  Idempotent.

        Does not wait for it: it may be reading from a mount that its caller serves.
        """
        assert self._printer.stdout is not None
        self._printer.stdout.close()
        self._errors.close()
        for process in (self._printer, self._lister):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                threading.Thread(target=process.wait, name="reaper", daemon=True).start()

    def read(self, limit_bytes: int) -> list[GitObject]:
        """The next objects, of about `limit_bytes` in all; none at the end.  HeliosError."""
        objects: list[GitObject] = []
        while limit_bytes > 0:
            found = self._next()
            if found is None:
                break
            objects.append(found)
            limit_bytes -= len(found.data) + 256
        return objects

    def _next(self) -> GitObject | None:
        if self._large is not None:
            return self._next_part(*self._large)
        end = self._buffer.find(b"\n", self._at)
        while end < 0:
            if not self._more():
                self._finish()
                return None
            end = self._buffer.find(b"\n", self._at)
        fields = self._buffer[self._at : end].split(b" ", 3)
        if len(fields) < 3:
            raise HeliosError(f"git object {fields[0].decode()} is missing in the repository")
        self._at = start = end + 1
        name, kind, size = unhexlify(fields[0]), fields[1], int(fields[2])
        path = fields[3] if len(fields) == 4 else b""
        if kind == b"blob" and size > WHOLE_MAX:
            self._large = (name, path, size, size)
            return self._next_part(name, path, size, size)
        end = start + size
        if end < len(self._buffer):
            self._at = end + 1
            return GitObject(kind, name, path, self._buffer[start:end], size)
        return GitObject(kind, name, path, self._take(size, 1), size)

    def _next_part(self, name: bytes, path: bytes, size: int, left: int) -> GitObject:
        if not left:
            self._large = None
            self._take(0, 1)
            return GitObject(b"blob", name, path, b"", size)
        length = min(left, PART_BYTES)
        self._large = (name, path, size, left - length)
        return GitObject(PART, name, path, self._take(length, 0), length)

    def _take(self, size: int, skip: int) -> bytes:
        """The next bytes, without the `skip` bytes after them."""
        end = self._at + size
        while len(self._buffer) < end + skip:
            if not self._more():
                raise self._failure()
            end = self._at + size
        data = self._buffer[self._at : end]
        self._at = end + skip
        return data

    def _more(self) -> bool:
        data = os.read(self._fd, _PIPE_BYTES)
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        return bool(data)

    def _finish(self) -> None:
        """HeliosError unless git came to its end by itself."""
        if self._at < len(self._buffer) or self._printer.wait() or self._lister.wait():
            raise self._failure()

    def _failure(self) -> HeliosError:
        self._errors.seek(0)
        return HeliosError(f"git stopped: {complaint(self._errors.read())}")
