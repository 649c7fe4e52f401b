"""One file under random reads, writes, truncations and mappings, against a byte array."""

from __future__ import annotations

import contextlib
import mmap
import os
import random
from pathlib import Path

import pytest

from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import run

SIZE_MAX = WHOLE_MAX + 3 * PART_BYTES
LARGE_MAX = 12 * 1024**2
"""More than the kernel sends at once, and than a quarter of what the daemon may have in memory."""
COUNT_MAX = 200_000


class Exerciser:
    """A file and what it must contain."""

    def __init__(self, path: Path, seed: int, size_max: int = SIZE_MAX) -> None:
        self.path = path
        self.size_max = size_max
        self.random = random.Random(seed)
        self.model = bytearray()
        self.fd = os.open(path, os.O_CREAT | os.O_RDWR)

    def place(self) -> tuple[int, int]:
        """An offset and a length, more often around the borders of parts."""
        offset = self.random.randrange(self.size_max)
        if self.random.random() < 0.3:
            border = self.random.choice((PART_BYTES, WHOLE_MAX, 4096)) * self.random.randint(1, 3)
            offset = max(0, border + self.random.randint(-3, 3))
        return offset, self.random.choice((1, 10, 4096, self.random.randrange(1, COUNT_MAX)))

    def write(self) -> None:
        offset, count = self.place()
        data = self.random.randbytes(count)
        assert os.pwrite(self.fd, data, offset) == count
        if len(self.model) < offset:
            self.model.extend(bytes(offset - len(self.model)))
        self.model[offset : offset + count] = data

    def read(self) -> None:
        offset, count = self.place()
        assert os.pread(self.fd, count, offset) == self.model[offset : offset + count]

    def truncate(self) -> None:
        size = self.place()[0]
        os.ftruncate(self.fd, size)
        del self.model[size:]
        self.model.extend(bytes(size - len(self.model)))

    def read_mapped(self) -> None:
        if self.model:
            offset, count = self.place()
            with mmap.mmap(self.fd, len(self.model), prot=mmap.PROT_READ) as mapped:
                assert mapped[offset : offset + count] == self.model[offset : offset + count]

    def write_mapped(self) -> None:
        offset, count = self.place()
        count = min(count, len(self.model) - offset)
        if count > 0:
            data = self.random.randbytes(count)
            with mmap.mmap(self.fd, len(self.model)) as mapped:
                mapped[offset : offset + count] = data
            self.model[offset : offset + count] = data

    def reopen(self) -> None:
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)

    def sync(self) -> None:
        os.fsync(self.fd)

    def check(self) -> None:
        """Compare size and content, through this descriptor and another one."""
        assert os.fstat(self.fd).st_size == len(self.model)
        assert os.pread(self.fd, len(self.model) + 1, 0) == self.model
        assert self.path.read_bytes() == self.model


def one_step(file: Exerciser) -> None:
    """A random call, other than `sync`."""
    calls = [
        file.write, file.write, file.write, file.read, file.read, file.truncate,
        file.read_mapped, file.write_mapped, file.write_mapped, file.reopen,
    ]  # fmt: skip
    file.random.choice(calls)()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_file_is_what_was_written(mounter: Mounter, seed: int) -> None:
    mounted: Mounted = mounter()
    file = Exerciser(mounted.path / "file", seed)
    kept: dict[str, bytes] = {}
    for number in range(400):
        one_step(file)
        if number % 15 == 7:
            file.sync()
        if number % 40 == 39:
            # The file is open, and may have pages that only the kernel has.
            kept[mounted.commit(f"after {number}")] = bytes(file.model)
    file.check()
    os.close(file.fd)
    for commit, content in kept.items():
        assert (mounted.path / f".helios/view/{commit}/file").read_bytes() == content
    mounted.remount()
    assert (mounted.path / "file").read_bytes() == file.model


@pytest.mark.parametrize("seed", [1, 2])
def test_large_files_in_little_memory(mounter: Mounter, seed: int) -> None:
    """More than fits, so parts come and go; a reset of what is committed changes nothing."""
    mounted: Mounted = mounter()
    mounted.helios("config", "set", "performance.working_set", "16MB")
    files = [Exerciser(mounted.path / f"file{n}", seed * 10 + n, LARGE_MAX) for n in range(3)]
    kept: dict[str, list[bytes]] = {}
    for number in range(240):
        one_step(files[number % 3])
        if number % 30 == 29:
            kept[mounted.commit(f"after {number}")] = [bytes(file.model) for file in files]
            inodes = [os.fstat(file.fd).st_ino for file in files]
            mounted.control("reset", "--hard HEAD\n")
            assert [os.stat(file.path).st_ino for file in files] == inodes
    for file in files:
        file.check()
        os.close(file.fd)
    for commit, contents in kept.items():
        view = mounted.path / ".helios/view" / commit
        assert [(view / file.path.name).read_bytes() for file in files] == contents
    mounted.remount()
    assert [file.path.read_bytes() for file in files] == [file.model for file in files]


def test_what_was_synced_survives_kill_9(mounter: Mounter) -> None:
    """Files of every size survive it, in little memory, with commits between."""
    mounted: Mounted = mounter()
    mounted.helios("config", "set", "performance.working_set", "16MB")
    sizes = {"small": 5_000, "whole": WHOLE_MAX, "parted": SIZE_MAX, "large": LARGE_MAX}
    kept: dict[str, dict[str, bytes]] = {}
    models = dict.fromkeys(sizes, b"")
    for round_number in range(4):
        files = []
        for name, size_max in sizes.items():
            file = Exerciser(mounted.path / name, round_number, size_max)
            file.model = bytearray(models[name])
            files.append(file)
        for number in range(60):
            one_step(files[number % len(files)])
            if number % 20 == 10:
                models = {file.path.name: bytes(file.model) for file in files}
                kept[mounted.commit(f"{round_number} {number}")] = models
        for file in files:
            file.sync()
        models = {file.path.name: bytes(file.model) for file in files}
        mounted.kill9()
        for file in files:
            with contextlib.suppress(OSError):
                os.close(file.fd)
        run("fusermount3", "-uz", mounted.path, cwd=Path("/"))
        mounted.mount()
        assert {name: (mounted.path / name).read_bytes() for name in sizes} == models
    for commit, contents in kept.items():
        view = mounted.path / ".helios/view" / commit
        assert {name: (view / name).read_bytes() for name in sizes} == contents
