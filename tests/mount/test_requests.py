"""No request that need not be sent: what the kernel asks the daemon, counted in its log."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.programs import put

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted, Mounter


@pytest.fixture
def logged(mounter: Mounter) -> Mounted:
    """A workspace whose daemon logs every request."""
    workspace = mounter("--debug")
    put(workspace.path / "d/file", "text\n")
    put(workspace.path / "d/other", "text\n")
    workspace.commit("one")
    for path in ("d/file", "d/other"):
        (workspace.path / path).read_text()
    return workspace


def asked(workspace: Mounted, call: Callable[[], object]) -> list[str]:
    """The names of the requests that a call makes, but for releases, which come when they come."""
    begin, end = workspace.path / ".begin", workspace.path / ".end"
    with suppress(FileNotFoundError):
        os.unlink(begin)  # Two look-ups that fail mark the place in the log.
    before = workspace.log.stat().st_size
    call()
    with suppress(FileNotFoundError):
        os.rmdir(end)
    with open(workspace.log) as log:
        log.seek(before)
        text = log.read()
    found = re.findall(r"DEBUG \S+: (\w+)\(([^\n]*)", text)
    return [
        name
        for name, rest in found
        if name not in ("release", "releasedir", "forget") and "b'.end'" not in rest
    ]


def test_what_is_known_is_not_asked_for_again(logged: Mounted) -> None:
    file = logged.path / "d/file"
    file.stat()
    assert asked(logged, file.stat) == []
    assert asked(logged, lambda: [file.stat() for _ in range(10)]) == []
    with open(file, "rb", buffering=0) as opened:
        opened.read(100)

        def read_again() -> None:
            opened.seek(0)
            assert opened.read(100) == b"text\n"

        assert asked(logged, read_again) == []


def test_what_does_not_exist_is_asked_for_once(logged: Mounted) -> None:
    missing = logged.path / "d/none"
    assert asked(logged, missing.exists) == ["lookup"]
    assert asked(logged, missing.exists) == []


def test_a_second_open_reads_from_the_page_cache(logged: Mounted) -> None:
    file = logged.path / "d/file"
    requests = asked(logged, file.read_text)
    assert "read" not in requests
    assert requests.count("open") == 1
    assert set(requests) <= {"open", "getattr", "flush"}


def test_an_unchanged_file_stays_cached_over_a_commit_and_a_reset(logged: Mounted) -> None:
    file, other = logged.path / "d/file", logged.path / "d/other"
    put(other, "changed\n")
    logged.commit("two")
    file.stat()
    assert asked(logged, file.stat) == []
    assert "read" not in asked(logged, file.read_text)
    logged.control("reset", "--hard HEAD~1\n")
    assert "read" not in asked(logged, file.read_text)
    assert asked(logged, file.stat) == []
    assert "read" in asked(logged, other.read_text)


def test_create_and_write(logged: Mounted) -> None:
    def create() -> None:
        fd = os.open(logged.path / "d/new", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x" * 100)
        os.close(fd)

    requests = asked(logged, create)
    assert [name for name in requests if name != "getxattr"] == [
        "lookup",
        "create",
        "write",
        "flush",
    ]
    again = asked(logged, lambda: (logged.path / "d/file").write_text("y"))
    assert "getxattr" not in again


def test_a_listing_brings_the_attributes(logged: Mounted) -> None:
    for number in range(50):
        put(logged.path / f"many/{number}", "")
    logged.remount()

    def list_all() -> None:
        with os.scandir(logged.path / "many") as entries:
            assert len([entry.stat() for entry in entries]) == 50

    requests = asked(logged, list_all)
    assert requests.count("lookup") <= 1
    assert requests.count("getattr") <= 2
    assert requests.count("readdir") <= 3
    assert asked(logged, lambda: [os.stat(logged.path / f"many/{n}") for n in range(50)]) == []


def test_revisions_that_can_move_are_asked_for_each_time(logged: Mounted) -> None:
    link = logged.path / ".helios/snapshots/HEAD"
    first = os.readlink(link)
    put(logged.path / "d/file", "more\n")
    logged.commit("two")
    assert os.readlink(link) != first
    assert "readlink" in asked(logged, lambda: os.readlink(link))


def test_an_idle_mount_uses_no_cpu(logged: Mounted) -> None:
    """Polls end: of a second without a request the daemon spends next to nothing."""
    import time

    time.sleep(1.5)  # The last change is saved.

    def ticks() -> int:
        fields = Path(f"/proc/{logged.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, switches = ticks(), voluntary_switches(logged.pid)
    time.sleep(1)
    assert ticks() - before <= 1
    assert voluntary_switches(logged.pid) - switches <= 3


def voluntary_switches(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)
    assert found
    return int(found[1])
