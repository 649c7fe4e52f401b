"""Events that inotify and fanotify report of changes through the mount, and of a checkout."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import time
from pathlib import Path

from heliosfs.daemon.pretended_requests import PretendedRequests
from heliosfs.daemon.watch_notifier import WatchedChanges, WatchNotifier
from heliosfs.daemon.watchers import SETTLE_SECONDS
from heliosfs.fuse.notices import Notices
from heliosfs.objects.tree import NO_OID, Entry, encode_entry
from heliosfs.vfs.filesystem import FileSystem
from tests.mount.conftest import SECONDS, Mounted, Mounter
from tests.posix.syscalls import create
from tests.tree_builder import Stage

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF = 0x40, 0x80, 0x100, 0x200, 0x400
EVENTS = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF
KINDS = {
    MODIFY: "modify", ATTRIB: "attrib", CLOSE_WRITE: "close", MOVED_FROM: "from",
    MOVED_TO: "to", CREATE: "create", DELETE: "delete", DELETE_SELF: "gone",
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_EVENT = struct.Struct("iIII")
_FID, _DIR_FID, _NAME = 0x200, 0x400, 0x800
_MARK_ADD, _ON_CHILD, _ON_DIRECTORIES, _AT_FDCWD = 1, 0x08000000, 0x40000000, -100
_FAN_EVENT = struct.Struct("IBBHQii")
_FAN_NAME_AT = 12
"""Before the handle of the directory and the name: a header, and 8 bytes of the file system."""
_HANDLE = struct.Struct("Ii")


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
        """Return the events since the last time: `event path name`."""
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


class FanotifyWatcher(contextlib.AbstractContextManager["FanotifyWatcher"]):
    """A fanotify group that is told names, with a mark on one directory: as `tsc -w` has it."""

    def __init__(self, path: str) -> None:
        self._fd = _libc.fanotify_init(_FID | _DIR_FID | _NAME | os.O_NONBLOCK, os.O_RDONLY)
        assert self._fd >= 0, os.strerror(ctypes.get_errno())
        mask = ctypes.c_ulong(MODIFY | CREATE | DELETE | _ON_CHILD | _ON_DIRECTORIES)
        marked = _libc.fanotify_mark(self._fd, _MARK_ADD, mask, _AT_FDCWD, os.fsencode(path))
        assert marked == 0, os.strerror(ctypes.get_errno())

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)

    def wait_for(self, *wanted: str) -> list[str]:
        """The names that something happened to, each once and in order of the alphabet."""
        found: set[str] = set()
        deadline = time.monotonic() + SECONDS
        while not found.issuperset(wanted) and time.monotonic() < deadline:
            ready, _, _ = select.select([self._fd], [], [], 0.2)
            data = os.read(self._fd, 65536) if ready else b""
            while data:
                length, _, _, head, *_ = _FAN_EVENT.unpack_from(data)
                handle_bytes, _ = _HANDLE.unpack_from(data, head + _FAN_NAME_AT)
                name_at = head + _FAN_NAME_AT + _HANDLE.size + handle_bytes
                found.add(data[name_at:length].split(b"\0", 1)[0].decode())
                data = data[length:]
        return sorted(found)


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
        assert watcher.wait_for("delete . added", "modify . changed") == [
            *("delete . added", "gone added", "gone changed", "modify . changed"),
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
            told = [
                *("create . gone", "modify . changed", "modify . gone"),
                "modify deep/below file",
            ]
            assert watcher.wait_for(*told) == told
            assert os.stat("changed").st_mode & 0o7777 == 0o4751
            assert workspace.helios("status", "-s", cwd=directory) == ""
            # Who looks at once looks at what is there: the file of the commit.
            assert Path("deep/below/file").read_bytes() == b"one"
    os.chdir(here)


def test_a_link_and_a_directory_are_told_of(workspace: Mounted, place: Path) -> None:
    """A link that points elsewhere, a new directory, and one that lost something."""
    create("target")
    os.symlink("target", "link")
    os.makedirs("losing")
    create("losing/file")
    os.mkdir("new")
    workspace.commit("one")
    os.unlink("link")
    os.symlink("nowhere", "link")
    os.rmdir("new")
    os.unlink("losing/file")
    os.mkdir("losing/below")
    workspace.commit("two")
    with Watcher(".", "losing") as watcher:
        workspace.control("reset", "--hard HEAD~1\n")
        told = [
            *("create . new", "create losing file", "delete losing below"),
            *("modify . link", "modify losing file"),
        ]
        assert watcher.wait_for(*told) == told
    assert os.readlink("link") == "target"


def test_to_be_told_alters_nothing(workspace: Mounted, place: Path) -> None:
    """Neither a time, nor an inode, nor the state of the tree, also while the file changes."""
    os.mkdir("d")
    create("d/file", b"one")
    create("d/other", b"one")
    workspace.commit("one")
    create("d/file", b"two")
    create("d/new", b"two")
    workspace.commit("two")
    with Watcher("d") as watcher:
        workspace.control("reset", "--hard HEAD~1\n")
        before = {name: os.stat(name) for name in ("d", "d/file", "d/other")}
        os.utime("d/other", ns=(1, 2))
        told = ["attrib d other", "delete d new", "modify d file"]
        assert watcher.wait_for(*told) == told
        for name in ("d", "d/file"):
            after = os.stat(name)
            for each in ("st_mtime_ns", "st_ctime_ns", "st_ino", "st_mode", "st_nlink", "st_size"):
                assert getattr(after, each) == getattr(before[name], each), (name, each)
        assert os.stat("d/other").st_mtime_ns == 2
        assert workspace.control("status", "--short\n") == ""
        assert "undid reset" in workspace.control("undo", "\n")
        assert Path("d/new").read_bytes() == b"two"


def test_who_has_looked_before_is_told_as_well(workspace: Mounted, place: Path) -> None:
    """The kernel remembers what was looked for in vain, and what was found."""
    create("gone")
    create("mode", b"same")
    workspace.commit("one")
    os.unlink("gone")
    create("came")
    os.chmod("mode", 0o600)
    workspace.commit("two")
    with Watcher(".") as watcher:
        workspace.control("reset", "--hard HEAD~1\n")
        assert not os.path.exists("came") and os.path.exists("gone")
        told = ["attrib . mode", "delete . came", "modify . gone"]
        assert watcher.wait_for(*told) == told
        assert not os.path.exists("came")
        # And whose name comes back meanwhile is not removed.
        workspace.control("undo", "\n")
        assert os.path.exists("came")
        create("gone", b"mine")
        watcher.wait_for("modify . came", "modify . gone")
        assert Path("gone").read_bytes() == b"mine"
        assert workspace.control("status", "--short\n") == f" A {place.name}/gone\n"


def test_a_checkout_tells_who_watches_with_fanotify(workspace: Mounted, place: Path) -> None:
    create("other", b"same")
    for text in (b"one", b"two"):
        create("file", text)
        os.symlink(text, "link")
        workspace.commit(text.decode())
        os.unlink("link")
    with FanotifyWatcher(".") as watcher:
        workspace.control("reset", "--hard HEAD~1\n")
        assert watcher.wait_for("file", "link") == ["file", "link"]


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
    before = {path: os.lstat(path) for path in (outside, outside / "file")}
    entry = encode_entry(Entry(b"x", 0o100644, 0, 0, 0, 0, NO_OID))
    other = encode_entry(Entry(b"x", 0o100644, 0, 0, 0, 1, NO_OID))
    changes = {b"file": (entry, other), b"gone": (entry, None), b"came": (None, entry)}
    pretended = PretendedRequests(FileSystem(Stage().repository), {})
    notifier = WatchNotifier(os.fsencode(tmp_path), pretended, Notices(-1))
    notifier.notify(
        [
            WatchedChanges(os.fsencode(tmp_path / "directory"), outside.stat().st_ino, changes),
            WatchedChanges(os.fsencode(outside), outside.stat().st_ino + 1, changes),
            WatchedChanges(
                os.fsencode(tmp_path), tmp_path.stat().st_ino, {b"link": (entry, other)}
            ),
        ]
    )
    assert {path: os.lstat(path) for path in before} == before
    # Where the requests of the thread are not recognised, it creates and removes nothing.
    (outside / "gone").touch()
    notifier.notify([WatchedChanges(os.fsencode(outside), outside.stat().st_ino, changes)])
    assert sorted(os.listdir(outside)) == ["file", "gone"]
    assert os.stat(outside / "file").st_ctime_ns > before[outside / "file"].st_ctime_ns
    assert os.stat(outside / "file").st_mtime_ns == before[outside / "file"].st_mtime_ns
