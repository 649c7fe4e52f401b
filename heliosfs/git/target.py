"""The repository that an export goes to: what it has, and how its refs move."""

from __future__ import annotations

import os
import subprocess
import tempfile

from heliosfs.errors import Busy, HeliosError
from heliosfs.git.process import Git, complaint

_REFLOG = "helios export"
_UPDATE_SECONDS = 600


class Target:
    """Asks one `git cat-file --batch-check` for all, until `close`."""

    def __init__(self, git: Git) -> None:
        self.git = git
        self.refs: dict[str, bytes] = {}
        """Full name -> raw id."""
        for line in git.ask("for-each-ref", "--format=%(objectname) %(refname)").splitlines():
            git_id, _, name = line.partition(b" ")
            self.refs[os.fsdecode(name)] = bytes.fromhex(git_id.decode("ascii"))
        self._is_new = not self.refs and _is_empty(git)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End git.  Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            process.wait()
        self._errors.close()

    def has(self, git_id: bytes) -> bool:
        """Whether the repository has an object: 30 us.  What it has, it has in full."""
        if self._is_new:
            return False
        process = self._process
        if process is None:
            process = self._process = self.git.start(
                "cat-file",
                "--batch-check=%(objecttype)",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(git_id.hex().encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise HeliosError(f"git cat-file: {complaint(self._errors.read())}")
        return not line.endswith(b" missing\n")

    def is_ancestor(self, old: bytes, new: bytes) -> bool:
        """Whether a commit is reachable from another one; both are there."""
        data = f"{old.hex()}\n^{new.hex()}\n".encode()
        argv = ("rev-list", "--max-count=1", "--stdin")
        return not self.git.ask(*argv, data=data, seconds=_UPDATE_SECONDS)

    def checked_out(self) -> set[str]:
        """Full names of the branches that a working tree shows."""
        lines = self.git.ask("worktree", "list", "--porcelain").splitlines()
        shown = {os.fsdecode(line[7:]) for line in lines if line.startswith(b"branch ")}
        if self.git.ask("rev-parse", "--is-bare-repository").strip() == b"true":
            shown.discard(self.git.symbolic_head() or "")
        return shown

    def move(self, changes: dict[str, bytes]) -> None:
        """Let refs name other objects, all of them or none.  HeliosError."""
        if not changes:
            return
        shown = self.checked_out() & {
            name for name, git_id in changes.items() if self.refs.get(name) != git_id
        }
        if shown:
            name = min(shown).removeprefix("refs/heads/")
            raise Busy(
                f"branch {name!r} is checked out in {self.git.git_dir}: export it under another "
                f"name ('{name}:NAME'), or check out something else there"
            )
        none = bytes(self.git.id_bytes)
        lines = ["start"]
        for name, git_id in changes.items():
            old = self.refs.get(name, none)
            lines.append(f"update {name} {git_id.hex()} {old.hex()}")
        text = "\n".join([*lines, "prepare", "commit", ""])
        self.git.ask(
            "update-ref", "-m", _REFLOG, "--stdin", data=os.fsencode(text), seconds=_UPDATE_SECONDS
        )


def _is_empty(git: Git) -> bool:
    """Whether there is no object, loose or packed, here or in a repository that this one shares."""
    counts = dict(line.split(b": ", 1) for line in git.ask("count-objects", "-v").splitlines())
    return counts[b"count"] == counts[b"in-pack"] == b"0" and b"alternate" not in counts
