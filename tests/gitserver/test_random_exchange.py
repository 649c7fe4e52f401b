"""Random work of two workspaces and a clone of git on one server: nothing is lost, ids agree."""

from __future__ import annotations

import random
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest

from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import Busy, Conflicted, NotFound, NothingToCommit, Stale
from heliosfs.repo.remotes import HEADS
from tests.git_repository import git
from tests.gitserver.servers import Server, User

_BRANCHES = ("main", "idea", "fix/one")
_STEPS = 25
_EXPECTED = (Stale, NotFound, Conflicted, Busy, NothingToCommit)
"""Refusals that say what to do; everything else is a mistake."""


class _World:
    """A server, and those who work with it."""

    def __init__(self, path: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.server = Server(path / "server.git")
        self.clone = self.server.clone(path / "clone")
        self.clone.write("base", b"base\n")
        self.clone.commit("base")
        self.clone.git("push", "--quiet", "origin", "main")
        self.users = [User(self.server.url), User(self.server.url)]
        for user in self.users:
            user.run("pull", "origin", "main")
        self.number = 0
        self.pushed: dict[str, set[str]] = {}
        """Subjects that a branch of the server has had, and must keep until it is deleted."""

    def step(self) -> None:
        self.number += 1
        actor = self.random.choice([*self.users, None])
        if actor is None:
            self._by_git()
        else:
            with suppress(*_EXPECTED):
                self._by_helios(actor)
        self._check_kept()

    def _by_git(self) -> None:
        clone, branch = self.clone, self.random.choice(_BRANCHES)
        clone.git("fetch", "--quiet", "--prune", "origin")
        there = clone.git("branch", "-r", "--format=%(refname:short)").decode().split()
        start = f"origin/{branch}" if f"origin/{branch}" in there else "main"
        clone.git("checkout", "--quiet", "-B", branch, start)
        clone.write(f"git-{self.number % 5}", b"%d\n" % self.number)
        clone.commit(f"git {self.number}")
        if self.random.random() < 0.2:
            clone.git("tag", "-a", "-m", f"tag {self.number}", f"t{self.number}")
            clone.git("push", "--quiet", "origin", f"t{self.number}")
        clone.git("push", "--quiet", "origin", branch)

    def _by_helios(self, user: User) -> None:
        branch = self.random.choice(_BRANCHES)
        action = self.random.choice(
            ("commit", "commit", "push", "push", "pull", "pull", "fetch", "delete", "gc", "tag")
        )
        if action == "commit":
            self._show(user, branch)
            name = f"{self.users.index(user)}-{self.number % 3}".encode()
            user.files.write(name, b"%d\n" % self.number)
            user.run("commit", "-q", "-a", "-m", f"helios {self.number}")
        elif action == "push":
            user.run("push", "origin", branch)
        elif action == "pull":
            self._show(user, branch)
            user.run("pull", "--ours", "origin", branch)
        elif action == "fetch":
            assert exit_code_of(user.run("fetch", "--prune")) == 0
        elif action == "delete" and branch != "main":
            user.run("push", "--delete", "origin", branch)
            self.pushed.pop(branch, None)
        elif action == "gc":
            user.run("gc", "--aggressive")
        elif action == "tag":
            user.run("tag", "-m", f"tag {self.number}", f"t{self.number}")
            user.run("push", "origin", f"t{self.number}")

    def _show(self, user: User, branch: str) -> None:
        if user.view.branch != branch:
            try:
                user.run("checkout", branch)
            except NotFound:
                user.run("checkout", "-b", branch)

    def _check_kept(self) -> None:
        """Check that no branch of the server has lost a commit."""
        for ref in self.server.refs:
            if ref.startswith("refs/heads/"):
                log = git(self.server.path, "log", "--format=%s", ref).decode().splitlines()
                name = ref.removeprefix("refs/heads/")
                assert self.pushed.get(name, set()) <= set(log)
                self.pushed[name] = set(log)

    def check(self) -> None:
        self.server.check()
        refs = self.server.refs
        heads = {
            name.removeprefix("refs/heads/"): git_id
            for name, git_id in refs.items()
            if name.startswith("refs/heads/")
        }
        for user in self.users:
            user.run("fetch", "--prune")
            seen = user.repository.remotes.refs("origin")
            found = {name: each.version for (kind, name), each in seen.items() if kind == HEADS}
            assert found == heads
            for name in heads:
                log = git(self.server.path, "log", "--format=%s", name).decode()
                assert sorted(user.run("log", "--format=%s", f"origin/{name}")) == sorted(log)
                files = git(self.server.path, "ls-tree", "-r", "--name-only", name).decode()
                assert user.run("ls-tree", "-r", "--name-only", f"origin/{name}") == files
            user.check()


@pytest.mark.parametrize("seed", range(8))
def test_random_work(seed: int, tmp_path: Path) -> None:
    _run(seed, tmp_path)


def test_more_random_work(
    long_seconds: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not long_seconds:
        return
    end, seed = time.monotonic() + long_seconds, 1_000
    while time.monotonic() < end:
        _run(seed, tmp_path / str(seed))
        shutil.rmtree(tmp_path / str(seed))
        seed += 1
    with capsys.disabled():
        print(f"\n{seed - 1_000} seeds")


def _run(seed: int, path: Path) -> None:
    world = _World(path, seed)
    for _ in range(_STEPS):
        world.step()
    world.check()
    # A mirror that is lost in between changes nothing.
    for user in world.users:
        for mirror in user.mirrors():
            (mirror / "config").unlink()
    for _ in range(5):
        world.step()
    world.check()
