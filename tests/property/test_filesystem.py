"""The file system against a real directory: the same calls, the same errno, the same tree.

Commits, resets, undo and redo are compared with copies of the directory.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliosfs.clock import FixedClock
from heliosfs.errors import HeliosError, NotFound, NothingToCommit
from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from heliosfs.objects.ids import CommitId
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.identity import Identity
from heliosfs.repo.repository import Repository
from heliosfs.repo.undoing import redo, undo
from heliosfs.store.memory import MemoryStore
from heliosfs.store.sidefile import MemoryFile
from heliosfs.vfs.trim import SLICE_COUNT, Trim
from heliosfs.workspace.working_set import DEFAULT_BUDGET_BYTES
from tests.in_memory import tmpfs
from tests.property.sides import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    SET_BEFORE_NS,
    Ours,
    PathBytes,
    Real,
    compare,
)

OPEN_MAX = 6

names = st.sampled_from([b"a", b"b", b"c", b"\xff\n", b"f" * 255])
long_names = st.sampled_from([b"g" * 256, b"h" * 300])
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
odd_paths = st.tuples(paths, st.one_of(st.none(), long_names)).map(
    lambda pair: pair[0] if pair[1] is None else (*pair[0][:-1], pair[1])
)
modes = st.sampled_from([0o644, 0o755, 0o600, 0o000, 0o1777, 0o2755, 0o4755, 0o6711])
offsets = st.sampled_from(
    [0, 1, 7, 4095, 4096, PART_BYTES, WHOLE_MAX - 1, WHOLE_MAX, WHOLE_MAX + 1, WHOLE_MAX * 2 + 3]
)
small_offsets = st.sampled_from([0, 1, 7, 4095, 4096])
flags = st.sampled_from(
    [
        os.O_RDONLY,
        os.O_RDWR,
        os.O_WRONLY,
        os.O_RDWR | os.O_CREAT,
        os.O_RDWR | os.O_CREAT | os.O_EXCL,
        os.O_RDWR | os.O_CREAT | os.O_TRUNC,
        os.O_WRONLY | os.O_TRUNC,
    ]
)
SPECIAL = [
    stat.S_IFIFO | 0o640,
    stat.S_IFSOCK | 0o600,
    stat.S_IFREG | 0o4711,
    stat.S_IFCHR | 0o600,
    stat.S_IFBLK | 0o660,
]


@dataclass
class Saved:
    """A state to come back to: HEAD, and a copy of the directory."""

    head: CommitId | None
    copy: Path


class FileSystemMachine(RuleBasedStateMachine):
    """Every rule makes the same call on both sides."""

    budget_bytes = DEFAULT_BUDGET_BYTES

    def __init__(self) -> None:
        super().__init__()
        self.umask = os.umask(0)
        self.scratch = Path(tempfile.mkdtemp(dir=tmpfs()))
        self.copies = 0
        (self.scratch / "0").mkdir(mode=0o755)
        self.real = Real(self.scratch / "0")
        self.store = MemoryStore()
        self.ours = Ours(self.open_repository())
        self.open_files: list[tuple[int, int]] = []
        self.commits: list[Saved] = []
        self.undoable: list[Saved] = []
        self.redoable: list[Saved] = []

    def open_repository(self) -> Repository:
        repository = Repository.open(self.store, FixedClock(), Identity(b"n", b"e@x", 0, 0))
        # The oracle is a directory that is put back with its times.
        repository.configure(Configuration(MemoryFile(b"checkout:\n  times: commit\n")))
        repository.working_set.budget_bytes = self.budget_bytes
        return repository

    def teardown(self) -> None:
        self.close_all()
        shutil.rmtree(self.scratch)
        os.umask(self.umask)

    def close_all(self) -> None:
        while self.open_files:
            fd, fh = self.open_files.pop()
            self.real.close(fd)
            self.ours.close(fh)

    def both(self, name: str, *arguments: Any) -> tuple[Any, Any]:
        """Make a call on both sides; both fail with one errno, or both return something."""
        real = outcome(getattr(self.real, name), *arguments)
        ours = outcome(getattr(self.ours, name), *arguments)
        if isinstance(real, Failed) or isinstance(ours, Failed):
            assert real == ours, (name, arguments)
        return real, ours

    def equal(self, name: str, *arguments: Any) -> None:
        """Make a call on both sides that returns the same."""
        real, ours = self.both(name, *arguments)
        assert real == ours, (name, arguments)

    # What programs do.

    @rule(path=odd_paths, mode=modes)
    def mkdir(self, path: PathBytes, mode: int) -> None:
        self.equal("mkdir", path, mode)

    @rule(path=paths, mode=st.sampled_from(SPECIAL), rdev=st.sampled_from([0, os.makedev(1, 3)]))
    def mknod(self, path: PathBytes, mode: int, rdev: int) -> None:
        is_device = stat.S_IFMT(mode) in (stat.S_IFCHR, stat.S_IFBLK)
        self.equal("mknod", path, mode, rdev if is_device else 0)

    @rule(path=odd_paths, leads_to=st.sampled_from([b"/nowhere/at", b"nowhere/\xff", b"n/" * 500]))
    def symlink(self, path: PathBytes, leads_to: bytes) -> None:
        self.equal("symlink", leads_to, path)
        self.equal("readlink", path)

    @rule(path=odd_paths, data=st.binary(max_size=30), mode=modes)
    def make_file(self, path: PathBytes, data: bytes, mode: int) -> None:
        if not self.real.opens_content(path):
            return
        fd, fh = self.both("open", path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)
        if not isinstance(fd, Failed):
            assert self.real.pwrite(fd, data, 0) == self.ours.pwrite(fh, data, 0)
            self.real.close(fd)
            self.ours.close(fh)

    @rule(old=paths, new=odd_paths)
    def link(self, old: PathBytes, new: PathBytes) -> None:
        self.equal("link", old, new)

    @rule(path=odd_paths)
    def unlink(self, path: PathBytes) -> None:
        self.equal("unlink", path)

    @rule(path=paths)
    def rmdir(self, path: PathBytes) -> None:
        self.equal("rmdir", path)

    @rule(
        old=paths,
        new=odd_paths,
        how=st.sampled_from([0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE]),
    )
    def rename(self, old: PathBytes, new: PathBytes, how: int) -> None:
        self.equal("rename", old, new, how)

    @rule(path=paths, mode=modes)
    def chmod(self, path: PathBytes, mode: int) -> None:
        self.equal("chmod", path, mode)

    @rule(path=paths, uid=st.sampled_from([0, 1000, 2**32 - 2]), gid=st.sampled_from([0, 7]))
    def chown(self, path: PathBytes, uid: int, gid: int) -> None:
        self.equal("chown", path, uid, gid)

    @rule(path=paths, mtime_ns=st.integers(-(10**18), SET_BEFORE_NS - 1))
    def utimens(self, path: PathBytes, mtime_ns: int) -> None:
        self.equal("utimens", path, mtime_ns)

    @precondition(lambda self: len(self.open_files) < OPEN_MAX)
    @rule(path=odd_paths, how=flags, mode=modes)
    def open(self, path: PathBytes, how: int, mode: int) -> None:
        if self.real.opens_content(path):
            fd, fh = self.both("open", path, how, mode)
            if not isinstance(fd, Failed):
                self.open_files.append((fd, fh))

    @precondition(lambda self: self.open_files)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        fd, fh = self.open_files.pop(data.draw(st.integers(0, len(self.open_files) - 1)))
        self.real.close(fd)
        self.ours.close(fh)

    def on_open(self, data: st.DataObject, name: str, *arguments: Any) -> None:
        fd, fh = data.draw(st.sampled_from(self.open_files))
        real = outcome(getattr(self.real, name), fd, *arguments)
        ours = outcome(getattr(self.ours, name), fh, *arguments)
        assert real == ours, (name, arguments)

    @precondition(lambda self: self.open_files)
    @rule(data=st.data(), content=st.binary(min_size=1, max_size=9000), offset=offsets)
    def pwrite(self, data: st.DataObject, content: bytes, offset: int) -> None:
        self.on_open(data, "pwrite", content, offset)

    @precondition(lambda self: self.open_files)
    @rule(data=st.data(), content=st.binary(min_size=1, max_size=50), offset=small_offsets)
    def pwrite_small(self, data: st.DataObject, content: bytes, offset: int) -> None:
        self.on_open(data, "pwrite", content, offset)

    @precondition(lambda self: self.open_files)
    @rule(data=st.data(), content=st.binary(min_size=1, max_size=50))
    def append(self, data: st.DataObject, content: bytes) -> None:
        self.on_open(data, "append", content)

    @precondition(lambda self: self.open_files)
    @rule(data=st.data(), size=offsets)
    def ftruncate(self, data: st.DataObject, size: int) -> None:
        self.on_open(data, "ftruncate", size)

    @precondition(lambda self: self.open_files)
    @rule(data=st.data(), length=offsets, offset=offsets)
    def pread(self, data: st.DataObject, length: int, offset: int) -> None:
        self.on_open(data, "pread", length, offset)

    @rule(path=paths)
    def listdir(self, path: PathBytes) -> None:
        self.equal("listdir", path)

    @rule()
    def list_root(self) -> None:
        self.equal("listdir", ())

    # What the kernel and the mount do.

    @rule()
    def forget(self) -> None:
        """The kernel forgets what it knows; clean nodes become entries again."""
        repository = self.ours.repository
        kept, repository.nodes_max = repository.nodes_max, 0
        trim = Trim(self.ours.filesystem)
        for names in trim.slices():
            assert len(names) <= SLICE_COUNT
        self.ours.forget()
        for _ in trim.collapse():
            pass
        repository.nodes_max = kept

    @rule()
    def reduce(self) -> None:
        """The working set is over its budget."""
        contents = self.ours.repository.working_set
        contents.reduce(0)
        contents.reduce(0)
        assert contents.account.resident_bytes == 0

    @rule()
    def checkpoint(self) -> None:
        self.ours.repository.checkpoint()

    @rule()
    def restart(self) -> None:
        """The process is killed after a checkpoint, and comes back."""
        self.close_all()
        self.ours.repository.checkpoint()
        self.store.drop_unpublished()
        self.ours = Ours(self.open_repository())

    # What verbs do.

    def save(self) -> Saved:
        self.copies += 1
        copy = self.scratch / str(self.copies)
        subprocess.run(["cp", "-a", os.fsdecode(self.real.root), copy], check=True)
        return Saved(self.ours.repository.root.head, copy)

    def show(self, saved: Saved) -> None:
        """The real side becomes what was saved; what is open keeps its bytes."""
        assert self.ours.repository.root.head == saved.head
        for fd, fh in self.open_files:
            size = os.fstat(fd).st_size
            assert self.ours.files.handles[fh].node.size == size
            assert outcome(self.real.pread, fd, size, 0) == outcome(self.ours.pread, fh, size, 0)
        self.close_all()
        self.copies += 1
        copy = self.scratch / str(self.copies)
        subprocess.run(["cp", "-a", saved.copy, copy], check=True)
        self.real.root = os.fsencode(copy)

    @rule()
    def commit(self) -> None:
        before = self.save()
        try:
            oid = self.ours.repository.root.commit(f"commit {len(self.commits)}")
        except NothingToCommit:
            return
        self.commits.append(Saved(oid, before.copy))
        self.undoable.append(before)
        self.redoable.clear()

    @precondition(lambda self: self.commits)
    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(self.commits))
        assert target.head is not None
        self.undoable.append(self.save())
        self.redoable.clear()
        self.ours.repository.root.reset(target.head)
        self.show(target)
        assert not self.ours.repository.root.has_changes()

    @rule()
    def undo(self) -> None:
        repository = self.ours.repository
        self.step(lambda: undo(repository, repository.root), self.undoable, self.redoable)

    @rule()
    def redo(self) -> None:
        view = self.ours.repository.root
        self.step(lambda: redo(view), self.redoable, self.undoable)

    def step(self, go: Callable[[], object], back: list[Saved], forward: list[Saved]) -> None:
        if not back:
            with pytest.raises(NotFound):
                go()
            return
        forward.append(self.save())
        go()
        self.show(back.pop())

    @invariant()
    def is_equal(self) -> None:
        compare(self.real.read_tree(), self.ours.read_tree())
        for fd, fh in self.open_files:
            assert self.real.fstat(fd) == self.ours.fstat(fh)


@dataclass(frozen=True)
class Failed:
    """Error that a call raised."""

    errno: int


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of the call, or the error with which it fails."""
    try:
        return call(*arguments)
    except (OSError, HeliosError) as error:
        return Failed(error.errno or 0)


class SmallBudgetMachine(FileSystemMachine):
    """The same when next to nothing fits into memory, and is spilled at any moment."""

    budget_bytes = 3 * PART_BYTES


TestFileSystem = FileSystemMachine.TestCase
TestSmallBudget = SmallBudgetMachine.TestCase
TestFileSystem.settings = TestSmallBudget.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
