"""Bare repositories of the real git, as servers, and repositories in memory that use them."""

from __future__ import annotations

import os
from pathlib import Path

from heliosfs.commands.table import VERBS
from heliosfs.commands.verb import Request
from heliosfs.repo.check import check_store
from heliosfs.steps import Steps, run_to_end
from tests.git_repository import Clone, fsck, git, refs_of
from tests.tree_builder import Stage


class Server:
    """A bare repository that is pushed to."""

    def __init__(self, path: Path, *, object_format: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", "-b", "main", f"--object-format={object_format}")

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    @property
    def refs(self) -> dict[str, str]:
        return refs_of(self.path)

    def id(self, revision: str) -> str:
        return git(self.path, "rev-parse", revision).decode().strip()

    def clone(self, path: Path) -> Clone:
        """A working tree of git beside the other users of the server."""
        clone = Clone(path, "main")
        clone.git("remote", "add", "origin", self.url)
        return clone

    def check(self) -> None:
        assert fsck(self.path) == ""


class User(Stage):
    """A repository in memory whose remote `origin` is a git server."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.run("remote", "add", url)

    def begin(self, verb: str, *argv: str) -> Steps[str]:
        """The steps of a verb at the root."""
        return VERBS[verb].begin(Request(self.repository, self.view, ""), list(argv))

    def origin(self, name: str = "main") -> str:
        return self.run("rev-parse", f"origin/{name}").strip()

    def mirrors(self) -> list[Path]:
        """Directories of mirrors."""
        fd = self.store.directory_beside("other")
        try:
            found = Path(f"/proc/self/fd/{fd}/..").resolve().glob("git-mirror-*")
            return sorted(found)
        finally:
            os.close(fd)

    def check(self) -> None:
        checked = run_to_end(check_store(self.repository), self.store)
        assert checked.problems == []
        for commit in self.repository.remotes.commits():
            assert commit in self.repository.history
            list(self.repository.history.walk(commit))
