"""The source of an import: the programs that read a git repository, and their output."""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import subprocess
import tempfile
from collections.abc import Iterable

from heliosfs.git import prepare
from heliosfs.git.health import Damaged, id_in
from heliosfs.git.prepare import Portion
from heliosfs.git.process import Git, complaint, end_unseen, environment
from heliosfs.git.stream import FORMAT, LIST, PIPE_BYTES
from heliosfs.isolated import command


class Source:
    """A reader of what `wanted` reaches and `known` does not, in portions.  Ids are raw bytes.

    It runs three programs in a row: git lists, git prints, ours prepares.  Any thread may call
    `read`, one call at a time.
    """

    def __init__(
        self,
        git: Git,
        wanted: Iterable[bytes],
        known: Iterable[bytes],
        portion_bytes: int,
        *,
        prefer_zstd: bool,
    ) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        with tempfile.TemporaryFile() as revisions:
            revisions.writelines(each.hex().encode() + b"\n" for each in wanted)
            revisions.writelines(b"^" + each.hex().encode() + b"\n" for each in known)
            revisions.seek(0)
            self._lister = git.start(
                *LIST,
                "--ignore-missing",
                "--stdin",
                stdin=revisions,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        assert self._lister.stdout is not None
        self._printer = git.start(
            "cat-file",
            FORMAT,
            "--buffer",
            stdin=self._lister.stdout,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        # Held open by the printer alone: then git gets SIGPIPE when the printer ends, and does not
        # hang.
        self._lister.stdout.close()
        assert self._printer.stdout is not None
        _widen(self._printer.stdout.fileno())
        words = [str(portion_bytes), *([prepare.PREFER_ZSTD] if prefer_zstd else [])]
        self._preparer = subprocess.Popen(
            command(prepare.__name__, *words),
            stdin=self._printer.stdout,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
        )
        self._printer.stdout.close()
        assert self._preparer.stdout is not None
        self._portions = self._preparer.stdout
        _widen(self._portions.fileno())

    def close(self) -> None:
        """End the programs if they still run, without waiting.  Idempotent."""
        self._errors.close()
        for process in (self._preparer, self._printer, self._lister):
            end_unseen(process)

    def read(self) -> Portion | None:
        """Return the next portion; None at the end.  Raise HeliosError."""
        (length,) = prepare.LENGTH.unpack(self._take(prepare.LENGTH.size))
        portion: Portion | tuple[int, str] = marshal.loads(self._take(length))
        if len(portion) == 3:
            return portion
        how, text = portion
        if how == prepare.MISSING:
            raise Damaged(f"git object {text} is missing", text)
        if how == prepare.CUT_SHORT or self._printer.wait() or self._lister.wait():
            raise self._failure()
        return None

    def _take(self, length: int) -> bytes:
        data = self._portions.read(length)
        if len(data) != length:
            raise self._failure()
        return data

    def _failure(self) -> Damaged:
        self._errors.seek(0)
        said = self._errors.read()
        # The line that names an object, or else the last: "revision walk setup failed".
        lines = [line for line in said.splitlines() if id_in(line.decode("utf-8", "replace"))]
        text = complaint(lines[-1] if lines else said)
        return Damaged(f"git stopped: {text}", id_in(text))


def _widen(fd: int) -> None:
    """Make a pipe larger, so that both ends switch less often.

    It is no error if it fails: a user may not be allowed so large a pipe.
    """
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
