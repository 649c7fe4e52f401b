"""The branches and tags of a git repository, and which of them an import is about."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from typing import NamedTuple

from heliosfs.errors import NotFound
from heliosfs.git.process import Git, end_unseen

HEADS = "refs/heads/"
TAGS = "refs/tags/"

_FORMAT = "--format=%(objectname) %(objecttype) %(refname)"


class GitRef(NamedTuple):
    """A branch or tag of git."""

    name: str
    """In full: `refs/heads/main`."""
    git_id: bytes
    """Of a commit, or of whatever a tag names."""
    kind: bytes

    @property
    def is_branch(self) -> bool:
        return self.name.startswith(HEADS)

    @property
    def short(self) -> str:
        """Without `refs/heads/` or `refs/tags/`."""
        return self.name.split("/", 2)[2]


class Refs:
    """The refs of a repository at one moment."""

    def __init__(self, git: Git, branches: Iterable[str] = ()) -> None:
        """With `branches`, only these and the tags that lead to their history.  NotFound."""
        self._git = git
        self.head = git.symbolic_head()
        """The full name of the branch that is checked out; None when HEAD is detached."""
        everything = _list(git)
        refs = [ref for ref in everything if ref.name.startswith((HEADS, TAGS))]
        self.other_count = len(everything) - len(refs)
        """Refs that are neither branches nor tags, which are not imported."""
        names = [HEADS + name for name in branches]
        if not names:
            self.chosen = refs
            return
        known = {ref.name for ref in refs}
        for name in names:
            if name not in known:
                raise NotFound(f"{git.git_dir} has no branch {name.removeprefix(HEADS)!r}")
        merged = _list(git, *(f"--merged={name}" for name in names), TAGS)
        wanted = {*names, *(ref.name for ref in merged)}
        self.chosen = [ref for ref in refs if ref.name in wanted]

    def count_commits(self, wanted: Iterable[bytes], known: Iterable[bytes]) -> CommitCount:
        """How many commits `wanted` reaches and `known` does not, as git finds out."""
        lines = [each.hex() for each in wanted] + [f"^{each.hex()}" for each in known]
        return CommitCount(self._git, "".join(f"{line}\n" for line in lines).encode())


class CommitCount:
    """A count that is under way: nobody waits for it."""

    def __init__(self, git: Git, revisions: bytes) -> None:
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as errors:
            asked.write(revisions)
            asked.seek(0)
            argv = ("rev-list", "--count", "--ignore-missing", "--stdin")
            self._process = git.start(*argv, stdin=asked, stdout=subprocess.PIPE, stderr=errors)
        self._count = 0

    def so_far(self) -> int:
        """The count; 0 as long as it is not known."""
        process = self._process
        if not self._count and process.poll() == 0:
            assert process.stdout is not None
            self._count = int(process.stdout.read() or 0)
        return self._count

    def close(self) -> None:
        """End it if it still runs.  Idempotent; does not wait."""
        end_unseen(self._process)


def _list(git: Git, *argv: str) -> list[GitRef]:
    refs = []
    for line in git.ask("for-each-ref", _FORMAT, *argv).splitlines():
        git_id, kind, name = line.split(b" ", 2)
        refs.append(GitRef(os.fsdecode(name), bytes.fromhex(git_id.decode("ascii")), kind))
    return refs
