"""A file system in a file, that can be shut down as a power cut does: ext4 and XFS.

It needs root, a loop device, and mkfs of the file system.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, which are one number."""
_WAIT_SECONDS = 20


class Flush(IntEnum):
    """The part of what is not on the disk yet that a shutdown still writes."""

    ALL = 0
    JOURNAL = 1
    """The file system's own journal: names and sizes, and no other bytes."""
    NOTHING = 2


class Kind(NamedTuple):
    """A file system, and how it is mounted."""

    name: str
    megabytes: int
    options: str
    make: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.options})"


KINDS = (
    Kind("ext4", 128, "commit=600", ("mkfs.ext4", "-q", "-F")),
    Kind("ext4", 128, "commit=600,data=writeback,noauto_da_alloc", ("mkfs.ext4", "-q", "-F")),
    Kind("ext4", 128, "data=journal", ("mkfs.ext4", "-q", "-F")),
    Kind("xfs", 304, "defaults", ("mkfs.xfs", "-q", "-f")),
)


def lacking(kind: Kind) -> str:
    """Return what this machine lacks, or an empty string."""
    if os.geteuid():
        return "root"
    if not os.path.exists("/dev/loop-control"):
        return "loop devices"
    return "" if shutil.which(kind.make[0]) else kind.make[0]


class LoopMount:
    """A mounted file system, in a file below a directory."""

    def __init__(self, kind: Kind, directory: Path) -> None:
        self._kind = kind
        self._image = directory / "image"
        self.path = directory / "mounted"
        self.path.mkdir()
        with open(self._image, "wb") as file:
            file.truncate(kind.megabytes << 20)
        subprocess.run([*kind.make, str(self._image)], check=True, capture_output=True)
        self._mount()

    def shut_down(self, flush: Flush) -> None:
        """Let nothing more reach the disk: from now on every request fails with EIO."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("=I", flush))
        finally:
            os.close(fd)

    def mount_again(self) -> None:
        """Do what the boot after a power cut does: the file system replays its journal."""
        self._unmount()
        self._mount()

    def remove(self) -> None:
        """Unmount it, and remove its file."""
        try:
            self._unmount()
        finally:
            # A file system that is in use goes when its last user does.
            subprocess.run(["umount", "-l", str(self.path)], check=False, capture_output=True)
            self._image.unlink()

    def _mount(self) -> None:
        argv = ["mount", "-o", f"loop,{self._kind.options}", str(self._image), str(self.path)]
        subprocess.run(argv, check=True, capture_output=True)

    def _unmount(self) -> None:
        self._wait(self._is_unmounted)
        # Also where another process had a copy of the mount, in a namespace of its own: mounted
        # again before it is gone, the file system would be the one that was shut down.
        self._wait(lambda: str(self._image) not in _backing_files())

    def _is_unmounted(self) -> bool:
        argv = ["umount", str(self.path)]
        return not subprocess.run(argv, check=False, capture_output=True).returncode

    def _wait(self, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + _WAIT_SECONDS
        while not is_so():
            assert time.monotonic() < end, f"{self.path} is in use"
            time.sleep(0.05)


def _backing_files() -> set[str]:
    """Return the files that loop devices show."""
    found = set()
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):
            found.add(path.read_text().rstrip("\n"))
    return found


@contextmanager
def mounted(kind: Kind, directory: Path) -> Iterator[LoopMount]:
    """Make a file system and mount it, for as long as the block takes."""
    found = LoopMount(kind, directory)
    try:
        yield found
    finally:
        found.remove()
