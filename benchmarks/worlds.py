"""Repositories with a tree in them: opened in this process, or mounted."""

from __future__ import annotations

import gc
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.daemons import ending
from benchmarks.measure import COMMAND_SECONDS, Plan
from benchmarks.trees import HOT_BYTES, Tree, fill, revised, text
from heliosfs.clock import SystemClock
from heliosfs.repo.identity import Identity
from heliosfs.repo.repository import Repository
from heliosfs.steps import drain
from heliosfs.store.local import LocalStore
from heliosfs.vfs.files import Files
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import FileNode

_DRAIN_EVERY = 100
"""Changes between two drains, which a mount has after every second in which something changed."""


class World:
    """A repository whose first commit is a tree, without a mount."""

    def __init__(self, directory: Path, tree: Tree, *, is_new: bool = True) -> None:
        """Make one, or open one that was made with the tree."""
        self.tree = tree
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.store = LocalStore.open(self._fd, create=True)
        who = Identity(b"bench", b"bench@example.org", os.getuid(), os.getgid())
        self.repository = Repository.open(self.store, SystemClock(), who)
        self.filesystem = FileSystem(self.repository)
        self.files = Files(self.filesystem)
        if is_new:
            fill(tree, self.repository.root.workspace)
            self.repository.root.commit("the tree")
            drain(self.store)
        self._texts = [(path, text(path, HOT_BYTES)) for path in tree.hot]
        self._number = 0

    def change(self) -> None:
        """Write 10 KB that differ a little into a file, another one each time."""
        self._write(*self._texts[self._number % len(self._texts)])

    def change_first(self) -> None:
        """The same in the same file each time."""
        self._write(*self._texts[0])

    def find(self, path: str) -> FileNode:
        """Return the node of a file, as look-ups find it."""
        node: StatInode = self.repository.root.workspace.root
        for name in path.split("/"):
            child = self.filesystem.lookup(node, name.encode())
            assert child is not None, path
            node = child
        assert isinstance(node, FileNode)
        return node

    def close(self) -> None:
        """Save, and let go of the directory."""
        self.repository.close()
        os.close(self._fd)

    def _write(self, path: str, data: bytes) -> None:
        """Open, write and close as a program does, and drain now and then, as a mount does."""
        self._number += 1
        fh = self.files.open_node(self.find(path), writing=True)
        self.files.write(self.files.handles[fh], 0, revised(data, self._number))
        self.files.release(fh)
        self.repository.take_stale()
        if self._number % _DRAIN_EVERY == 0:
            drain(self.store)


@contextmanager
def world(plan: Plan, tree: Tree) -> Iterator[World]:
    """A repository in this process, in a directory of its own."""
    directory = plan.directory("world")
    opened = World(directory, tree)
    try:
        yield opened
    finally:
        opened.close()
        shutil.rmtree(directory)


@contextmanager
def collector_as_mounted() -> Iterator[None]:
    """The cyclic collector as `heliosfs.daemon.serve` sets it, of which p95 tells."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Mount:
    """A workspace and the daemon that serves it."""

    def __init__(self, path: Path, pid: int) -> None:
        self.path = path
        self.pid = pid

    def control(self, name: str) -> str:
        """The path of a control file."""
        return f"{self.path}/.helios/ctl/{name}"

    def ask(self, verb: str, request: str) -> str:
        """Write a request to a control file, and return the reply."""
        fd = os.open(self.control(verb), os.O_RDWR)
        try:
            os.write(fd, f"{request}\n".encode())
            return os.read(fd, 65536).decode()
        finally:
            os.close(fd)

    def rss_bytes(self) -> int:
        """The daemon's resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"the daemon {self.pid} is gone")


def make_repository(directory: Path, tree: Tree) -> None:
    """Let the workspace at `directory`, not mounted yet, hold the tree as its first commit."""
    home = directory / ".helios"
    home.mkdir(mode=0o700)
    World(home, tree).close()


@contextmanager
def serving(
    plan: Plan, directory: Path, module: str = "heliosfs.cli", options: Sequence[str] = ()
) -> Iterator[Mount]:
    """Mount a directory as `helios mount` does, in a process of its own."""
    command = [sys.executable, "-m", module, "mount", "--foreground", *options]
    log = plan.scratch / "daemon.log"
    with (
        subprocess.Popen(
            [*command, "--log", log, directory], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        ) as process,
        ending(directory, process),
    ):
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], COMMAND_SECONDS)
        if not ready or not process.stdout.readline().startswith(b"mounted"):
            raise RuntimeError(f"cannot mount: {log.read_text(errors='replace')[-2000:]}")
        yield Mount(directory, process.pid)


@contextmanager
def mounted(
    plan: Plan, name: str, tree: Tree | None, options: Sequence[str] = ()
) -> Iterator[Mount]:
    """A new workspace with the tree, mounted."""
    directory = plan.directory(name)
    if tree is not None:
        make_repository(directory, tree)
    with serving(plan, directory, options=options) as mount:
        yield mount
