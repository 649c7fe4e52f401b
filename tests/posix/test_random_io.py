"""One file under random reads, writes, truncations and mappings, against a byte array."""

from __future__ import annotations

import mmap
import os
import random
from pathlib import Path

import pytest

from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from tests.mount.conftest import Mounted, Mounter

SIZE_MAX = WHOLE_MAX + 3 * PART_BYTES
COUNT_MAX = 200_000


class Exerciser:
    """A file and what it must contain."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.random = random.Random(seed)
        self.model = bytearray()
        self.fd = os.open(path, os.O_CREAT | os.O_RDWR)

    def place(self) -> tuple[int, int]:
        """An offset and a length, more often around the borders of parts."""
        offset = self.random.randrange(SIZE_MAX)
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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_file_is_what_was_written(mounter: Mounter, seed: int) -> None:
    mounted: Mounted = mounter()
    file = Exerciser(mounted.path / "file", seed)
    calls = [
        file.write, file.write, file.write, file.read, file.read, file.truncate,
        file.read_mapped, file.write_mapped, file.write_mapped, file.reopen, file.sync,
    ]  # fmt: skip
    kept: dict[str, bytes] = {}
    for number in range(400):
        file.random.choice(calls)()
        if number % 40 == 39:
            # The file is open, and may have pages that only the kernel has.
            kept[mounted.commit(f"after {number}")] = bytes(file.model)
    file.check()
    os.close(file.fd)
    for commit, content in kept.items():
        assert (mounted.path / f".helios/view/{commit}/file").read_bytes() == content
    mounted.remount()
    assert (mounted.path / "file").read_bytes() == file.model
