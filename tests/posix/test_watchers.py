"""What inotify tells of changes through the mount, and of a checkout."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import time
from pathlib import Path

from heliosfs.fuse.watchers import SETTLE_SECONDS, _touch
from tests.mount.conftest import SECONDS, Mounted, Mounter
from tests.posix.syscalls import create

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF = 0x40, 0x80, 0x100, 0x200, 0x400
EVENTS = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF
KINDS = {
    MODIFY: "modify", ATTRIB: "attrib", CLOSE_WRITE: "close", MOVED_FROM: "from",
    MOVED_TO: "to", CREATE: "create", DELETE: "delete", DELETE_SELF: "gone",
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_EVENT = struct.Struct("iIII")


class Watcher(contextlib.AbstractContextManager["Watcher"]):
    """An inotify instance that watches some paths."""

    def __init__(self, *paths: str) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._paths = {
            _libc.inotify_add_watch(self._fd, os.fsencode(path), EVENTS): path for path in paths
        }

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)

    def wait_for(self, *wanted: str) -> list[str]:
        """All that happened, each once and in order of the alphabet, once all of these did."""
        found: set[str] = set()
        deadline = time.monotonic() + SECONDS
        while not found.issuperset(wanted) and time.monotonic() < deadline:
            found.update(self.events())
        return sorted(found | set(self.events()))

    def events(self) -> list[str]:
        """What happened since the last time: `event path name`."""
        ready, _, _ = select.select([self._fd], [], [], 0.2)
        data = os.read(self._fd, 65536) if ready else b""
        events = []
        while data:
            watch, mask, _, length = _EVENT.unpack_from(data)
            name = data[_EVENT.size : _EVENT.size + length].rstrip(b"\0").decode()
            data = data[_EVENT.size + length :]
            kinds = [kind for bit, kind in KINDS.items() if mask & bit]
            events += [f"{kind} {self._paths[watch]} {name}".rstrip() for kind in kinds]
        return events


def test_changes_through_the_mount(place: Path) -> None:
    os.mkdir("d")
    with Watcher("d") as watcher:
        create("d/file", b"text")
        assert watcher.events() == [
            "create d file",
            "modify d file",
            "attrib d file",
            "close d file",
        ]
        os.rename("d/file", "d/other")
        os.truncate("d/other", 1)
        os.chmod("d/other", 0o600)
        os.unlink("d/other")
        assert watcher.events() == [
            "from d file", "to d other", "modify d other", "attrib d other", "delete d other",
        ]  # fmt: skip


def test_a_change_by_another_process(place: Path) -> None:
    create("file")
    with Watcher("file") as watcher:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "echo text >> file"], dict(os.environ))
        assert os.waitpid(pid, 0)[1] == 0
        assert watcher.events() == ["modify file", "close file"]


def test_a_checkout_tells_the_watchers_of_what_goes(workspace: Mounted, place: Path) -> None:
    os.mkdir("removed")
    create("changed", b"one")
    create("same", b"same")
    create("file", b"one")
    workspace.commit("one")
    create("changed", b"two")
    os.rmdir("removed")
    create("added", b"two")
    workspace.commit("two")
    os.mkdir("removed")
    with Watcher(".", "changed", "same", "added", "removed") as watcher:
        workspace.control("reset", "--hard HEAD~1\n")
        assert watcher.wait_for("attrib .", "attrib . changed") == [
            *("attrib .", "attrib . changed", "gone added", "gone changed"),
        ]
        create("changed", b"three")
        assert set(watcher.events()) == {"modify . changed", "attrib . changed", "close . changed"}


def test_a_checkout_tells_who_watches_a_directory(workspace: Mounted, place: Path) -> None:
    """In a live branch as well; what did not change is not told of, and nothing is altered."""
    os.makedirs("deep/below")
    for name in ("changed", "same", "gone", "deep/below/file"):
        create(name, b"one")
    os.chmod("changed", 0o4751)
    workspace.commit("one")
    workspace.helios("branch", "watched")
    here = os.getcwd()
    live = workspace.path / ".helios/branches/watched" / place.name
    for directory, view in ((place, "."), (live, ".helios/branches/watched")):
        os.chdir(directory)
        create("changed", b"two", 0o4751)
        create("deep/below/file", b"two")
        os.unlink("gone")
        workspace.commit("two", view=view)
        with Watcher(".", "deep/below") as watcher:
            workspace.control("reset", "--hard HEAD~1\n", view=view)
            assert watcher.wait_for("attrib deep/below file", "attrib . changed") == [
                "attrib . changed",
                "attrib . gone",
                "attrib deep/below file",
            ]
            assert os.stat("changed").st_mode & 0o7777 == 0o4751
            assert workspace.helios("status", "-s", cwd=directory) == ""
            # Who looks at once looks at what is there: the file of the commit.
            assert Path("deep/below/file").read_bytes() == b"one"
    os.chdir(here)


def test_without_watchers_nothing_is_asked(mounter: Mounter) -> None:
    mounted = mounter("--debug")
    for text in ("one", "two"):
        (mounted.path / "file").write_text(text)
        mounted.commit(text)
    assert os.listdir(mounted.path)
    begin = mounted.log.stat().st_size
    mounted.control("reset", "--hard HEAD~1\n")
    time.sleep(4 * SETTLE_SECONDS)
    log = mounted.log.read_text()[begin:]
    assert "setattr" not in log and "Traceback" not in log


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A daemon of root's must not change files elsewhere, whatever lies at the path by then."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("")
    (tmp_path / "link").symlink_to(outside / "file")
    (tmp_path / "directory").symlink_to(outside)
    before = os.stat(outside / "file").st_ctime_ns
    other_device = os.stat(tmp_path).st_dev + 1
    for path, device in (
        ("link", os.stat(tmp_path).st_dev),
        ("directory/file", other_device),
        ("outside/file", other_device),
    ):
        _touch(os.fsencode(tmp_path / path), device)
        assert os.stat(outside / "file").st_ctime_ns == before
    _touch(os.fsencode(outside / "file"), os.stat(tmp_path).st_dev)
    assert os.stat(outside / "file").st_ctime_ns > before
