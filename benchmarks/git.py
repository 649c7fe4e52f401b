"""git, in a tree of the same files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Action, Plan, run
from benchmarks.table import Figure, Peer, figure_of
from benchmarks.trees import HOT_BYTES, Tree, revised, text, write_tree

GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
}
"""No one's configuration, and somebody to commit as."""


class GitFigures(NamedTuple):
    """Times that git's commands take, from start to end, in a tree on the same disk."""

    commit: Figure
    """`git commit -a` with one file changed."""
    status: Figure
    """With one file changed."""
    branch: Figure
    checkout: Figure
    """Between branches that differ in one file."""
    reset: Figure
    """`git reset --hard` with one file changed."""

    def peer(self, command: str) -> Peer:
        """The figure of a command, as a peer."""
        figure: Figure = getattr(self, command)
        return Peer(_COMMANDS[command], figure)


_COMMANDS = {
    "commit": "git commit -aqm",
    "status": "git status",
    "branch": "git branch",
    "checkout": "git checkout",
    "reset": "git reset --hard",
}


def set_git_environment() -> None:
    """Let git see no one's configuration."""
    os.environ.update(GIT_ENVIRONMENT)


def git_figures(plan: Plan, tree: Tree) -> GitFigures:
    """Measure git in the tree, once in a run."""
    known = plan.memo.get(("git", tree))
    if isinstance(known, GitFigures):
        return known
    directory = plan.directory("git")
    make_git_tree(tree, directory)
    figures = _measure_git(plan, tree, directory)
    shutil.rmtree(directory)
    plan.memo["git", tree] = figures
    return figures


def make_git_tree(tree: Tree, directory: Path) -> None:
    """A repository of one commit, packed, and its work tree."""
    write_tree(tree, directory)
    run("git", "init", "-q", "--template=", "-b", "main", cwd=directory)
    for name in ("gc.auto", "maintenance.auto"):
        run("git", "config", name, "0", cwd=directory)
    run("git", "fast-import", "--quiet", cwd=directory, stdin=_stream(tree))
    run("git", "read-tree", "main", cwd=directory)
    run("git", "update-index", "--refresh", cwd=directory)


def _stream(tree: Tree) -> bytes:
    parts = [b"commit refs/heads/main\ncommitter bench <bench@example.org> 0 +0000\ndata 0\n"]
    for path, data in tree.files():
        parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data))
    return b"".join(parts)


def _measure_git(plan: Plan, tree: Tree, directory: Path) -> GitFigures:
    changes = Changes(tree, directory)
    wanted = 40 if tree.file_count <= 10_000 else 15

    def command(before: Action | None, *words: str) -> Figure:
        return figure_of(plan.sample_command(["git", *words], directory, wanted, before=before))

    changes.make()
    commit = command(changes.make, "commit", "-qam", "message")
    status = command(changes.make_first, "status")
    reset = command(changes.make_first, "reset", "-q", "--hard")
    branch = command(None, "branch", "branch-{n}")
    run("git", "checkout", "-q", "-b", "other", cwd=directory)
    changes.make_first()
    run("git", "commit", "-qam", "message", cwd=directory)
    checkout = command(None, "checkout", "-q", "-")
    return GitFigures(commit, status, branch, checkout, reset)


class Changes:
    """Changes one file of a tree on disk: writes 10 KB that differ a little from what is there."""

    def __init__(self, tree: Tree, root: Path) -> None:
        self._files = [(root / path, text(path, HOT_BYTES)) for path in tree.hot]
        self._number = 0

    def make(self) -> None:
        """Change another file each time."""
        self._write(*self._files[self._number % len(self._files)])

    def make_first(self) -> None:
        """Change the same file each time."""
        self._write(*self._files[0])

    def _write(self, file: Path, data: bytes) -> None:
        self._number += 1
        fd = os.open(file, os.O_WRONLY)
        try:
            os.write(fd, revised(data, self._number))
        finally:
            os.close(fd)
