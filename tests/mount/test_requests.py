"""No request that need not be sent: what the kernel asks the daemon, counted in its log."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.conftest import ASKED
from tests.mount.programs import put
from tests.posix.syscalls import copied

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
    """The names of the requests that a call makes.

    But for releases, which come when they come, and statfs, which others ask of every mount.
    """
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
        if name not in ("release", "releasedir", "forget", "statfs") and "b'.end'" not in rest
    ]


def write_file(path: Path, data: bytes, flags: int = os.O_WRONLY | os.O_CREAT) -> None:
    fd = os.open(path, flags)
    os.write(fd, data)
    os.close(fd)


def read_file(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)


def write_ten_times(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY)
    for _ in range(10):
        os.write(fd, b"x" * 100)
    os.close(fd)


def save_by_rename(path: Path) -> None:
    write_file(path.with_name("file~"), b"saved")
    os.rename(path.with_name("file~"), path)


def list_directory(path: Path) -> None:
    with os.scandir(path) as entries:
        assert len([entry.stat(follow_symlinks=False) for entry in entries]) == 52


def list_twice(path: Path) -> None:
    for _ in range(2):
        list_directory(path)


def store_through_mapping(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 4) as mapped:
        mapped[:4] = b"TEXT"
        mapped.flush()
    os.close(fd)


def open_and_read(path: Path) -> None:
    OPENED.append(os.open(path, os.O_RDONLY))
    os.pread(OPENED[-1], 99, 0)


def control(path: Path, text: bytes) -> None:
    fd = os.open(path, os.O_RDWR)
    os.write(fd, text)
    os.read(fd, 4096)
    os.close(fd)


OPENED: list[int] = []

# In the order of docs/reference/requests.md, whose table this holds true: name -> what is done
# first and not counted, and what is.
ACTIONS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "stat, of a file never seen": (lambda d: None, lambda d: os.stat(d / "file")),
    "stat, again": (lambda d: os.stat(d / "file"), lambda d: os.stat(d / "file")),
    "stat, after a write": (
        lambda d: write_file(d / "file", b"more"),
        lambda d: os.stat(d / "file"),
    ),
    "stat, after the first read": (
        lambda d: read_file(d / "file"),
        lambda d: os.stat(d / "file"),
    ),
    "stat of a name that is not there": (lambda d: None, lambda d: (d / "none").exists()),
    "the same, again": (lambda d: (d / "none").exists(), lambda d: (d / "none").exists()),
    "create, write, close": (lambda d: None, lambda d: write_file(d / "new", b"x" * 4096)),
    "open, write, close": (lambda d: os.stat(d / "file"), lambda d: write_file(d / "file", b"y")),
    "open, ten writes, close": (
        lambda d: os.stat(d / "file"),
        lambda d: write_ten_times(d / "file"),
    ),
    "open, read, close, the first time": (
        lambda d: os.stat(d / "file"),
        lambda d: read_file(d / "file"),
    ),
    "open, read, close, again": (lambda d: read_file(d / "file"), lambda d: read_file(d / "file")),
    "open, read, close, after writing it": (
        lambda d: write_file(d / "new", b"x" * 5000),
        lambda d: read_file(d / "new"),
    ),
    "read of an open file, again": (
        lambda d: open_and_read(d / "file"),
        lambda d: os.pread(OPENED[-1], 99, 0),
    ),
    "save by rename": (lambda d: os.stat(d / "file"), lambda d: save_by_rename(d / "file")),
    "rename": (lambda d: os.stat(d / "file"), lambda d: os.rename(d / "file", d / "other")),
    "unlink": (lambda d: os.stat(d / "file"), lambda d: os.unlink(d / "file")),
    "mkdir": (lambda d: None, lambda d: os.mkdir(d / "sub")),
    "chmod": (lambda d: os.stat(d / "file"), lambda d: os.chmod(d / "file", 0o600)),
    "chown, after a write": (
        lambda d: write_file(d / "file", b"y"),
        lambda d: os.chown(d / "file", os.getuid(), os.getgid()),
    ),
    "copy a file, as cp does": (
        lambda d: os.stat(d / "file"),
        lambda d: copied(str(d / "file"), str(d / "copy")),
    ),
    "list a directory of 50 files, with stat of each": (
        lambda d: None,
        lambda d: list_directory(d / "many"),
    ),
    "list it again, from the second time on": (
        lambda d: list_twice(d / "many"),
        lambda d: list_directory(d / "many"),
    ),
    "stat of each, afterwards": (
        lambda d: list_directory(d / "many"),
        lambda d: [os.stat(d / f"many/{n}") for n in range(50)],
    ),
    "readlink, the first time": (lambda d: None, lambda d: os.readlink(d / "many/link")),
    "readlink, again": (
        lambda d: os.readlink(d / "many/link"),
        lambda d: os.readlink(d / "many/link"),
    ),
    "store through a shared mapping, msync": (
        lambda d: read_file(d / "file"),
        lambda d: store_through_mapping(d / "file"),
    ),
    "a request to a control file, and its reply": (
        lambda d: control(d / ".helios/ctl/rev-parse", b"HEAD\n"),
        lambda d: control(d / ".helios/ctl/rev-parse", b"HEAD\n"),
    ),
    "a file of a snapshot by its id, read before": (
        lambda d: read_file(snapshot(d) / "file"),
        lambda d: read_file(snapshot(d) / "file"),
    ),
    "a file of the snapshot HEAD, read before": (
        lambda d: read_file(d / ".helios/snapshots/HEAD/file"),
        lambda d: read_file(d / ".helios/snapshots/HEAD/file"),
    ),
}
PAGE = Path(__file__).parents[2] / "docs/reference/requests.md"


def snapshot(root: Path) -> Path:
    return (root / ".helios/snapshots/HEAD").resolve()


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
    return dict(rows[1:])


def counted(requests: list[str]) -> str:
    """`lookup, 2 write` for three requests; `none` for none."""
    groups: list[list[str]] = []
    for name in requests:
        if groups and groups[-1][0] == name:
            groups[-1].append(name)
        else:
            groups.append([name])
    shown = [f"{len(group)} {group[0]}" if len(group) > 1 else group[0] for group in groups]
    return ", ".join(shown) or "none"


def test_the_page_names_what_is_tried() -> None:
    assert list(documented()) == list(ACTIONS)


WITH_OPENS = {
    "open, write, close": "open, write",
    "open, read, close, the first time": "open",
    "open, read, close, again": "open",
    "open, read, close, after writing it": "open, getattr",
    "a request to a control file, and its reply": "open, write, read, flush",
}
"""Some of the same, where the daemon is asked for every open."""


@pytest.mark.parametrize("name", ACTIONS)
def test_requests(mounter: Mounter, name: str) -> None:
    workspace = mounter("--debug")
    if not workspace.are_opens_asked:
        assert counted_of(workspace, name) == documented()[name]


@pytest.mark.parametrize("name", WITH_OPENS)
def test_requests_with_opens(mounter: Mounter, name: str) -> None:
    assert counted_of(mounter(*ASKED, "--debug"), name) == WITH_OPENS[name]


def test_a_file_that_is_created_before_any_was_opened_has_no_release(mounter: Mounter) -> None:
    workspace = mounter("--debug")
    for number in range(3):
        write_file(workspace.path / f"new{number}", b"x")
    # A request that comes after the last close.
    os.listdir(workspace.path)
    text = workspace.log.read_text()
    assert text.count(" create(") >= 3
    assert workspace.are_opens_asked or " release(" not in text


def counted_of(workspace: Mounted, name: str) -> str:
    """The requests of an action in a workspace that is mounted anew."""
    root = workspace.path
    put(root / "file", "text\n")
    for number in range(50):
        put(root / f"many/{number}", "")
    os.symlink("0", root / "many/link")
    os.symlink("1", root / "many/link2")
    workspace.commit("one")
    workspace.remount()
    # The first of each on a mount is refused for good: it would count here.
    for flags in (os.O_WRONLY | os.O_CREAT, os.O_RDWR):
        write_file(root / ".warm", b"x", flags)
    os.stat(root / ".helios/ctl/rev-parse")
    before, action = ACTIONS[name]
    before(root)
    try:
        return counted(asked(workspace, lambda: action(root)))
    finally:
        while OPENED:
            os.close(OPENED.pop())


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
    way = ["open"] if logged.are_opens_asked else ["read"]
    assert asked(logged, other.read_text) == ["lookup", *way]
    assert other.read_text() == "text\n"


def test_links_that_can_move_lead_to_the_new_place(logged: Mounted) -> None:
    link = logged.path / ".helios/snapshots/HEAD"
    for text in ("two\n", "three\n"):
        before = os.readlink(link)
        put(logged.path / "d/file", text)
        logged.commit(text)
        assert os.readlink(link) != before
        assert (link / "d/file").read_text() == text


def test_an_idle_mount_uses_no_cpu(logged: Mounted) -> None:
    """Polls end: of a second without a request the daemon spends next to nothing."""
    import time

    time.sleep(1.5)  # The last change is saved.

    def ticks() -> int:
        fields = Path(f"/proc/{logged.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    # On a busy machine the last save comes later, and others look at mounts: one quiet second.
    spent = []
    for _ in range(8):
        before, switches = ticks(), voluntary_switches(logged.pid)
        time.sleep(1)
        spent.append((ticks() - before, voluntary_switches(logged.pid) - switches))
        if spent[-1][0] <= 1 and spent[-1][1] <= 3:
            return
    pytest.fail(f"ticks and switches in each second: {spent}")


def voluntary_switches(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)
    assert found
    return int(found[1])
