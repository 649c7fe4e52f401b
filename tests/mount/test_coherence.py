"""The kernel's page cache against a model, while the tree changes under it."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heliosfs.daemon.open_requests import PUSHED_MAX_BYTES

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted

STEPS = 500
NAMES = ("a", "b", "c", "d/x", "d/y")


class Fuzz:
    """Random edits of a few files, commits and resets, with files that stay open."""

    def __init__(self, mounted: Mounted, seed: int) -> None:
        self.mounted = mounted
        self.random = random.Random(seed)
        self.model: dict[str, bytes] = {}
        self.commits: list[tuple[str, dict[str, bytes]]] = []
        self.held: list[int] = []
        (mounted.path / "d").mkdir()

    def step(self) -> None:
        name = self.random.choice(NAMES)
        path = self.mounted.path / name
        edits = [self.write, self.write, self.append, self.truncate, self.map, self.map]
        moves = [self.rename, self.unlink, self.read, self.hold]
        verbs = [self.commit, self.reset, self.look_back]
        act = self.random.choice(edits * 2 + moves + verbs)
        if act in edits and name not in self.model:
            path.write_bytes(b"")
            self.model[name] = b""
        if act in verbs or name in self.model:
            act(name, path)

    def change(self, name: str, offset: int, data: bytes) -> None:
        content = bytearray(self.model[name])
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data
        self.model[name] = bytes(content)

    def write(self, name: str, path: Path) -> None:
        offset = self.random.choice([0, len(self.model[name]), self.random.randrange(300_000)])
        data = self.random.randbytes(self.random.choice([1, 50, 4096, 70_000]))
        with open(path, "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), data, offset)
        self.change(name, offset, data)

    def append(self, name: str, path: Path) -> None:
        data = self.random.randbytes(100)
        with open(path, "ab") as file:
            file.write(data)
        self.model[name] += data

    def truncate(self, name: str, path: Path) -> None:
        size = self.random.choice([0, 10, self.random.randrange(400_000), 1_100_000])
        os.truncate(path, size)
        self.model[name] = self.model[name][:size].ljust(size, b"\0")

    def map(self, name: str, path: Path) -> None:
        size = len(self.model[name])
        if not size:
            return
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
            data = self.random.randbytes(min(30, size))
            offset = self.random.randrange(size - len(data) + 1)
            mapped[offset : offset + len(data)] = data
            self.change(name, offset, data)
            assert mapped[:] == self.model[name]
            if self.random.random() < 0.3:
                self.commit(name, path)

    def rename(self, name: str, path: Path) -> None:
        target = self.random.choice(NAMES)
        os.rename(path, self.mounted.path / target)
        self.model[target] = self.model.pop(name)

    def unlink(self, name: str, path: Path) -> None:
        path.unlink()
        del self.model[name]

    def read(self, name: str, path: Path) -> None:
        assert path.read_bytes() == self.model[name]

    def hold(self, name: str, path: Path) -> None:
        self.held.append(os.open(path, os.O_RDONLY))
        if len(self.held) > 5:
            os.close(self.held.pop(0))

    def commit(self, name: str, path: Path) -> None:
        try:
            oid = self.mounted.commit("step")
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
        else:
            self.commits.append((oid, dict(self.model)))

    def reset(self, name: str, path: Path) -> None:
        if not self.commits:
            return
        before = self.model
        kept = [os.pread(fd, 1 << 21, 0) for fd in self.held]
        oid, content = self.random.choice(self.commits[-10:])
        self.mounted.control("reset", f"--hard {oid}\n")
        self.model = dict(content)
        self.check(self.mounted.path, self.model)
        assert [os.pread(fd, 1 << 21, 0) for fd in self.held] == kept
        if self.random.random() < 0.5:
            self.mounted.control("undo", "\n")
            self.model = before
            self.check(self.mounted.path, self.model)

    def look_back(self, name: str, path: Path) -> None:
        if self.commits:
            oid, content = self.random.choice(self.commits)
            self.check(self.mounted.path / ".helios/snapshots" / oid, content)

    def check(self, root: Path, content: dict[str, bytes]) -> None:
        listed = {*os.listdir(root), *(f"d/{name}" for name in os.listdir(root / "d"))}
        assert listed - {".helios", "d"} == set(content)
        for name in NAMES:
            path = root / name
            assert path.exists() == (name in content), name
            if name in content:
                assert path.stat().st_size == len(content[name]), name
                assert path.read_bytes() == content[name], name


@pytest.mark.parametrize("seed", [1, 2])
def test_what_programs_read_is_what_is_there(mounted: Mounted, seed: int) -> None:
    fuzz = Fuzz(mounted, seed)
    try:
        for _ in range(STEPS):
            fuzz.step()
    finally:
        for fd in fuzz.held:
            os.close(fd)
    fuzz.check(mounted.path, fuzz.model)
    mounted.remount()
    fuzz.check(mounted.path, fuzz.model)
    for oid, content in fuzz.commits:
        fuzz.check(mounted.path / ".helios/snapshots" / oid, content)


def test_a_listing_is_of_the_tree_that_was_checked_out(mounted: Mounted) -> None:
    """Though others list at any moment, and the directory looks the same by its times."""
    mounted.control("config", "set checkout.times commit\n")
    place = mounted.path / "d"
    place.mkdir()
    always = {f"always-{number}" for number in range(40)}
    trees = []
    for version in ("a", "b"):
        for path in place.iterdir():
            path.unlink()
        names = always | {f"{version}-{number}" for number in range(20)}
        for name in names:
            (place / name).touch()
        os.utime(place, ns=(0, 10**18))
        trees.append((mounted.commit(version), names))
    is_over = threading.Event()
    wrong: list[list[str]] = []

    def look() -> None:
        while not is_over.is_set():
            seen = os.listdir(place)
            if len(seen) != len(set(seen)) or not always <= set(seen):
                wrong.append(seen)

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for turn in range(90):
            oid, names = trees[turn % 2]
            mounted.control("reset", f"--hard {oid}\n")
            assert place.stat().st_mtime_ns == 10**18
            for _ in range(1 + turn % 3):
                assert set(os.listdir(place)) == names
    finally:
        is_over.set()
        for watcher in watchers:
            watcher.join()
    assert wrong == []


def test_the_bytes_that_come_with_an_open(mounted: Mounted) -> None:
    """Files that end near the end of a page are right, also after a checkout, write, truncation."""
    place = mounted.path / "d"
    place.mkdir()
    sizes = [0, 1, 4095, 4096, 4097, 10_000, PUSHED_MAX_BYTES, PUSHED_MAX_BYTES + 1]
    ids = {}
    for version in (b"a", b"b"):
        for size in sizes:
            (place / f"{size}").write_bytes(version * size)
        ids[version] = mounted.commit(version.decode())
    mounted.remount()
    for version in (b"b", b"a", b"b", b"a"):
        mounted.control("reset", f"--hard {ids[version]}\n")
        for size in sizes:
            path = place / f"{size}"
            assert path.read_bytes() == path.read_bytes() == version * size
            with open(path, "rb") as file, contextlib.suppress(ValueError):  # an empty mapping
                assert mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[:] == version * size
    for size in sizes:
        path = place / f"{size}"
        with open(path, "r+b") as file:
            file.seek(size // 2)
            file.write(b"written")
        expected = (b"a" * size)[: size // 2] + b"written" + (b"a" * size)[size // 2 + 7 :]
        assert path.read_bytes() == expected
        os.truncate(path, size // 2 + 3)
        assert path.read_bytes() == expected[: size // 2 + 3]
