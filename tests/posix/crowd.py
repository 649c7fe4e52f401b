"""One of many programs at work in the same few directories: `python -m tests.posix.crowd`.

Prints how often each system call gave each errno, as JSON.  A name may be gone, taken, or of
another kind by the time of the call; nothing else may go wrong.
"""

from __future__ import annotations

import collections
import json
import os
import random
import sys
import time
from collections.abc import Callable

from tests.posix.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, errno_of, renameat2

EXPECTED = {"ok", "ENOENT", "EEXIST", "ENOTDIR", "EISDIR", "ENOTEMPTY"}


class Crowd:
    """Random calls on names below the current directory."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def directory(self) -> str:
        depth = self.random.choice((0, 0, 1, 2))
        return "/".join([f"d{self.random.randrange(3)}" for _ in range(depth + 1)])

    def name(self) -> str:
        return f"{self.directory()}/n{self.random.randrange(10)}"

    def create(self) -> None:
        flags = self.random.choice((0, 0, os.O_EXCL, os.O_TRUNC, os.O_APPEND))
        fd = os.open(self.name(), os.O_CREAT | os.O_RDWR | flags, 0o644)
        try:
            data = bytes([self.random.randrange(256)]) * self.random.choice((1, 100, 5000, 70000))
            os.pwrite(fd, data, self.random.choice((0, 0, 10, 9000)))
            if self.random.random() < 0.1:
                os.fsync(fd)
            os.pread(fd, 1 << 20, 0)
        finally:
            os.close(fd)

    def write_slowly(self) -> None:
        fd = os.open(self.name(), os.O_RDWR)
        try:
            for _ in range(3):
                os.pwrite(fd, b"slow", self.random.randrange(5000))
                os.fstat(fd)
                os.sched_yield()
        finally:
            os.close(fd)

    def read(self) -> None:
        with open(self.name(), "rb") as file:
            file.read()

    def truncate(self) -> None:
        os.truncate(self.name(), self.random.randrange(20000))

    def chmod(self) -> None:
        os.chmod(self.name(), self.random.choice((0o600, 0o644, 0o755)))

    def stat(self) -> None:
        os.lstat(self.name())

    def unlink(self) -> None:
        os.unlink(self.name())

    def link(self) -> None:
        os.link(self.name(), self.name())

    def symlink(self) -> None:
        os.symlink("../target", self.name())

    def rename(self) -> None:
        os.rename(self.name(), self.name())

    def rename_directory(self) -> None:
        os.rename(self.directory(), self.directory())

    def exchange(self) -> None:
        renameat2(self.name(), self.name(), RENAME_EXCHANGE)

    def rename_if_free(self) -> None:
        renameat2(self.name(), self.name(), RENAME_NOREPLACE)

    def mkdir(self) -> None:
        os.mkdir(self.directory())

    def rmdir(self) -> None:
        os.rmdir(self.directory())

    def listdir(self) -> None:
        found = os.listdir(self.directory())
        assert len(found) == len(set(found)), found

    def scan(self) -> None:
        for entry in os.scandir(self.directory()):
            errno_of(entry.stat, follow_symlinks=False)

    def calls(self) -> list[Callable[[], None]]:
        return [
            self.create, self.create, self.mkdir, self.mkdir, self.write_slowly, self.read,
            self.truncate, self.chmod, self.stat, self.unlink, self.link, self.symlink,
            self.rename, self.rename_directory, self.exchange, self.rename_if_free, self.rmdir,
            self.listdir, self.scan,
        ]  # fmt: skip


def main(seed: int, seconds: float) -> None:
    crowd = Crowd(seed)
    calls = crowd.calls()
    outcomes: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        call = crowd.random.choice(calls)
        outcomes[f"{call.__name__} {errno_of(call)}"] += 1
        slowest = max(slowest, time.monotonic() - begin)
    print(json.dumps({"outcomes": outcomes, "slowest": slowest}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
