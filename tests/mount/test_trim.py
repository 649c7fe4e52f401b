"""A tree larger than memory allows: the kernel is asked to forget, and nobody notices."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from tests.mount.conftest import Mounted
from tests.mount.programs import SECONDS

COUNT = 6_000
"""More than a quarter of the smallest working set holds: 3,800 nodes."""


def node_count(mounted: Mounted) -> int:
    found = json.loads(mounted.helios("stats", "--json"))["node_count"]
    assert isinstance(found, int)
    return found


WAIT_SECONDS = 8 * SECONDS
"""The trim goes on a little with each request, and each `helios stats` takes as long as a busy
machine lets it; on an idle one it is done within 3 s."""


def wait_below(mounted: Mounted, count: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while node_count(mounted) > count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def lists_inodes(place: Path) -> bool:
    """Return True if the listing of a directory has the inode numbers of what is in it."""
    with os.scandir(place) as listed:
        return all(entry.inode() == os.lstat(entry.path).st_ino for entry in listed)


def test_nodes_go_and_files_stay(mounted: Mounted) -> None:
    mounted.helios("config", "set", "performance.working_set", "16MB")
    place = mounted.path / "d"
    place.mkdir()
    first = os.open(place / "first", os.O_RDWR | os.O_CREAT)
    os.write(first, b"still open")
    os.symlink("first", place / "link")
    os.link(place / "first", place / "second")
    here = os.open(place, os.O_RDONLY)
    for number in range(COUNT):
        (place / f"{number}").write_text(f"{number}")
    wait_below(mounted, COUNT * 2 // 3)

    assert os.pread(first, 99, 0) == b"still open"
    assert os.readlink(f"/proc/self/fd/{first}") == str(place / "first")
    assert os.readlink(f"/proc/self/fd/{here}") == str(place)
    assert os.fstat(first).st_nlink == 2
    assert len(os.listdir(here)) == COUNT + 3
    for number in range(0, COUNT, 97):
        assert (place / f"{number}").read_text() == f"{number}"
    # Also of what has another inode since the kernel kept the listing; a node may go in between.
    deadline = time.monotonic() + WAIT_SECONDS
    while not lists_inodes(place):
        assert time.monotonic() < deadline
    (place / "5").write_text("changed")
    mounted.commit("one")
    wait_below(mounted, COUNT * 2 // 3)
    assert (place / "5").read_text() == "changed"
    assert os.stat(place / "link").st_ino == os.fstat(first).st_ino
    assert "Traceback" not in mounted.log.read_text()
    os.close(first)
    os.close(here)


def test_what_is_mounted_on_a_file_stays(mounted: Mounted, tmp_path: Path) -> None:
    """A container's secrets are mounted so; the kernel is asked to drop only what nobody uses."""
    mounted.helios("config", "set", "performance.working_set", "16MB")
    (tmp_path / "secret").write_text("secret")
    place = mounted.path / "env"
    place.write_text("beneath")
    subprocess.run(["mount", "--bind", tmp_path / "secret", place], check=True, timeout=SECONDS)
    try:
        (mounted.path / "d").mkdir()
        for number in range(COUNT):
            (mounted.path / "d" / f"{number}").write_text("")
        wait_below(mounted, COUNT * 2 // 3)
        release = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
        assert place.read_text() == ("secret" if release >= (6, 18) else "beneath")
    finally:
        subprocess.run(["umount", "-l", place], check=False, capture_output=True, timeout=SECONDS)
    assert place.read_text() == "beneath"
