"""Processes of git that answer one question after another, for comparisons with it.

A process for each input would take most of the time.  Objects are written as loose files,
which a running git finds.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from typing import IO, NamedTuple

from tests.compat.merge_fuzz import SUBMODULE, Tree
from tests.git_repository import ENVIRONMENT
from tests.in_memory import tmpfs

_OBJECTS_MAX = 20_000
"""Objects of one repository: they lie in memory."""
_WHO = b"T <t@example.org> %d +0000"
_UNION = "*.union merge=union\n"
_NOTE = b"\x05 that is all \x05\n"
"""A line that is no id, which `diff-tree --stdin` repeats once it has replied to those before."""


class NoAnswer(Exception):
    """Git ended: it fails an assertion of its own in the merge of some histories (2.39)."""


class Merged(NamedTuple):
    """Git's result of a merge."""

    is_clean: bool
    tree: str
    """Id of the tree, which has the conflicts between markers."""
    conflicts: list[bytes]


class Git:
    """A bare repository, and processes that read it."""

    def __init__(self) -> None:
        self._path = tempfile.mkdtemp(prefix="fuzz-git-", dir=tmpfs())
        argv = ["git", "init", "-q", "--bare", "--template=", self._path]
        subprocess.run(argv, check=True, env=ENVIRONMENT)
        os.mkdir(f"{self._path}/info")
        with open(f"{self._path}/info/attributes", "w") as file:
            file.write(_UNION)
        for number in range(256):
            os.mkdir(f"{self._path}/objects/{number:02x}")
        self._written: set[str] = set()
        self._running: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}

    @property
    def is_full(self) -> bool:
        return len(self._written) > _OBJECTS_MAX

    def close(self) -> None:
        """End the processes, and remove the repository."""
        for process in list(self._running.values()):
            self._forget(process)
        shutil.rmtree(self._path)

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        """End a process, or bury one that has ended."""
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
        self._running = {argv: each for argv, each in self._running.items() if each is not process}

    # Objects.

    def blob(self, data: bytes) -> str:
        return self._write(b"blob", data)

    def tree(self, files: Tree) -> str:
        """Write the trees of these files; return the id of the root."""
        rows: list[tuple[bytes, bytes, bytes]] = []
        below: dict[bytes, Tree] = {}
        for path, (mode, data) in files.items():
            name, slash, rest = path.partition(b"/")
            if slash:
                below.setdefault(name, {})[rest] = mode, data
            else:
                oid = data.decode() if mode == SUBMODULE else self.blob(data)
                rows.append((name, mode, bytes.fromhex(oid)))
        rows += [(name, b"40000", bytes.fromhex(self.tree(inner))) for name, inner in below.items()]
        rows.sort(key=lambda row: row[0] + b"/" * (row[1] == b"40000"))
        return self._write(
            b"tree", b"".join(b"%s %s\0%s" % (row[1], row[0], row[2]) for row in rows)
        )

    def commit(self, tree: str, parents: Sequence[str], seconds: int) -> str:
        who = _WHO % seconds
        lines = [b"tree " + tree.encode(), *(b"parent " + each.encode() for each in parents)]
        lines += [b"author " + who, b"committer " + who, b"", b""]
        return self._write(b"commit", b"\n".join(lines))

    def _write(self, kind: bytes, data: bytes) -> str:
        content = b"%s %d\0%s" % (kind, len(data), data)
        oid = hashlib.sha1(content).hexdigest()
        if oid not in self._written:
            self._written.add(oid)
            with open(f"{self._path}/objects/{oid[:2]}/{oid[2:]}", "wb") as file:
                file.write(zlib.compress(content, 1))
        return oid

    # Questions.

    def diff(self, old: str, new: str, options: Sequence[str]) -> bytes:
        """Return what `git diff-tree` prints of two trees."""
        process = self._process("diff-tree", "--stdin", "-r", "--no-commit-id", *options)
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None
        head = f"{old} {new}\n".encode()
        stdin.write(head + _NOTE)
        stdin.flush()
        lines = []
        while (line := stdout.readline()) != _NOTE:
            assert line, "git diff-tree ended"
            lines.append(line)
        assert lines[0] == head
        return b"".join(lines[1:])

    def merge(self, ours: str, theirs: str, style: str = "diff3") -> Merged:
        """Return what `git merge-tree` makes of two commits, with conflicts in this style.

        Raise NoAnswer.
        """
        process = self._process(
            *("-c", "merge.directoryRenames=false", "-c", f"merge.conflictStyle={style}"),
            *("-c", "core.abbrev=40"),
            *("merge-tree", "--write-tree", "--no-messages", "--stdin"),
        )
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f"{ours} {theirs}\n".encode())
        stdin.flush()
        fields: list[bytes] = []
        # Verdict, tree, then a field for each version of a file in conflict; an empty one ends it.
        while not fields or fields[-1]:
            field = _field(stdout)
            if field is None:
                self._forget(process)
                raise NoAnswer
            fields.append(field)
        return Merged(fields[0] == b"1", fields[1].decode(), fields[2:-1])

    def _process(self, *argv: str) -> subprocess.Popen[bytes]:
        process = self._running.get(argv)
        if process is None:
            # `merge-tree` would keep its replies until its input ends.
            at_once = ("stdbuf", "-o0") if "merge-tree" in argv else ()
            process = self._running[argv] = subprocess.Popen(
                [*at_once, "git", *argv],
                cwd=self._path,
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return process


def _field(file: IO[bytes]) -> bytes | None:
    """Read as far as the next NUL; None at the end."""
    found = bytearray()
    while (byte := file.read(1)) != b"\0":
        if not byte:
            return None
        found += byte
    return bytes(found)


_open: list[Git] = []


def git() -> Git:
    """Return the repository to be used next."""
    if _open and _open[0].is_full:
        _open.pop().close()
    if not _open:
        _open.append(Git())
        _closed_at_exit()
    return _open[0]


@functools.cache
def _closed_at_exit() -> None:
    atexit.register(_close)


def _close() -> None:
    for each in _open:
        each.close()
