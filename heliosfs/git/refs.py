"""The branches and tags of a git repository, and which of them an import is about."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from heliosfs.errors import NotFound
from heliosfs.git.process import Git

HEADS = "refs/heads/"
TAGS = "refs/tags/"

_FORMAT = "--format=%(objectname) %(objecttype) %(refname)"
_COUNT_SECONDS = 600


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
        refs = _list(git, HEADS, TAGS)
        self.other_count = len(_list(git)) - len(refs)
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

    def count_commits(self, wanted: Iterable[bytes], known: Iterable[bytes]) -> int:
        """How many commits `wanted` reaches and `known` does not."""
        lines = [each.hex() for each in wanted] + [f"^{each.hex()}" for each in known]
        data = "".join(f"{line}\n" for line in lines).encode()
        argv = ("rev-list", "--count", "--ignore-missing", "--stdin")
        return int(self._git.ask(*argv, data=data, seconds=_COUNT_SECONDS))


def _list(git: Git, *argv: str) -> list[GitRef]:
    refs = []
    for line in git.ask("for-each-ref", _FORMAT, *argv).splitlines():
        git_id, kind, name = line.split(b" ", 2)
        refs.append(GitRef(os.fsdecode(name), bytes.fromhex(git_id.decode("ascii")), kind))
    return refs
