"""A workspace whose daemon was killed, and whose disk takes nothing any more."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.conftest import fusermount
from tests.mount.programs import errno_of, names, put

if TYPE_CHECKING:
    from tests.mount.conftest import Mounter

BYTES = random.Random(1).randbytes(6 * 1024 * 1024)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own for the store."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(disk: Path) -> None:
    """Write until not even one page is left."""
    for number, size in enumerate((1 << 20, 4096)):
        with suppress(OSError), open(disk / f"fill{number}", "wb", buffering=0) as file:
            while True:
                file.write(bytes(size))


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_it_mounts_to_read_and_says_why(disk: Path, mounter: Mounter, how: str) -> None:
    mounted = mounter("--store", str(disk / "store"))
    put(mounted.path / "small", "small\n")
    commit = mounted.commit("one")
    # Idle from now on, so that the keeper drains nothing of what comes within a second.
    time.sleep(2)
    (mounted.path / "large").write_bytes(BYTES)
    put(mounted.path / "small", "edited\n")
    mounted.commit("two")
    with open(mounted.path / "uncommitted", "w") as file:
        file.write("work\n")
        file.flush()
        os.fsync(file.fileno())
    mounted.kill9()
    if how == "full":
        fill(disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    done = mounted.command("mount", *mounted.options, str(mounted.path), cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    reason = "no space left" if how == "full" else "read-only file system"
    assert "the workspace is read-only since the mount" in done.stderr
    assert reason in done.stderr

    assert names(mounted.path) == ["large", "small", "uncommitted"]
    assert (mounted.path / "large").read_bytes() == BYTES
    assert (mounted.path / "small").read_text() == "edited\n"
    assert (mounted.path / "uncommitted").read_text() == "work\n"
    assert (mounted.path / ".helios/snapshots" / commit / "small").read_text() == "small\n"
    assert reason in mounted.helios("status")
    assert [line.split()[-1] for line in mounted.helios("log", "--oneline").splitlines()] == [
        "two",
        "one",
    ]
    assert errno_of((mounted.path / "new").write_text, "x") == "EROFS"
    assert errno_of((mounted.path / "large").unlink) == "EROFS"
    refused = mounted.command("commit", "-m", "three")
    assert refused.returncode == 1
    assert reason in refused.stderr
    fusermount(mounted.path)

    if how == "full":
        for path in disk.glob("fill*"):
            path.unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    mounted.mount()
    put(mounted.path / "new", "new\n")
    mounted.commit("three")
    assert (mounted.path / "large").read_bytes() == BYTES
    assert (mounted.path / "uncommitted").read_text() == "work\n"
    assert "nothing to commit" in mounted.helios("status")
