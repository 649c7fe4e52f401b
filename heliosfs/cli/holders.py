"""Holders of a mount: processes with a file of it open, mount namespaces with a copy of it.

They are looked up in /proc without asking anything of the mount, which may be dead or busy.
Processes of other users are seen by root only.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from heliosfs.cli import runfiles
from heliosfs.mounttable import Mount, mounts

_SECONDS = 1.2
"""Time limit of a search; a machine with very many processes is not searched to its end."""
_SHOWN = 3
_AT_FDCWD = -100
_AT_NO_AUTOMOUNT = 0x800
_AT_STATX_DONT_SYNC = 0x4000
_STATX_TYPE = 1
_STATX_BYTES = 256
_STATX_DEVICE_AT = 136
_LIVE_VIEW = "/.helios/live/"


class Holder(NamedTuple):
    """Obstacle to the end of a mount: a process that uses it, or a copy of the mount."""

    pid: int
    """For a copy in another namespace, the first process in it; 0 for a copy in our own."""
    command: str
    """The name of the process; for pid 0, the place of the copy."""
    use: str
    """Kind of use, such as a working directory or an open file; "" for a copy."""
    namespace: str
    """The mount namespace, `mnt:[4026531841]`; "" for the one that we are in."""
    is_bystander: bool = False
    """True for a copy in the namespace of a `helios run` of another workspace, which shows its
    own branch and has the rest only because a namespace begins as a copy."""

    def __str__(self) -> str:
        if not self.pid:
            return f"the mount of it at {self.command}"
        who = f"{self.command} (pid {self.pid}"
        if self.namespace:
            who += f", mount namespace {self.namespace}"
        return f"{who}: {self.use})" if self.use else f"{who})"


class _Namespace(NamedTuple):
    """View of the wanted file system in one mount namespace."""

    name: str
    paths: list[str]
    is_bystander: bool


def find_holders(
    path: str, device: str, daemon_pid: int, *, is_control: bool = False
) -> list[Holder]:
    """Return holders of the file system `device`, which is or was mounted at `path`: three at most.

    `is_control` says that it has control files, and is mounted still.  Processes that use it come
    first, then namespaces with a copy in which no process was found.  Nothing where the device is
    not known yet.
    """
    if not device:
        return []
    return _Search(path, device, daemon_pid, is_control=is_control).run()


class _Search:
    def __init__(self, path: str, device: str, daemon_pid: int, *, is_control: bool) -> None:
        self._path = path
        self._device = device
        self._daemon_pid = daemon_pid
        self._is_control = is_control
        self._deadline = time.monotonic() + _SECONDS
        self._own = _namespace_of("/proc/self")
        self._namespaces: dict[str, _Namespace] = {}
        self._first: dict[str, int] = {}
        """Namespace -> the first process in it."""
        self._is_gone = False
        """True when the number of the device is that of another file system by now."""

    def run(self) -> list[Holder]:
        pids = self._read_namespaces()
        if self._is_gone:
            return []
        users: list[Holder] = []
        for pid in pids:
            if len(users) == _SHOWN or time.monotonic() > self._deadline:
                break
            use = self._use(f"/proc/{pid}")
            if use:
                users.append(self._holder(pid, use))
        named = {each.namespace for each in users}
        copies = [
            self._holder(pid, "")
            for name, pid in self._first.items()
            if name != self._own and name not in named and self._namespaces[name].paths
        ]
        own = self._namespaces.get(self._own)
        paths = own.paths if own is not None else []
        copies += [Holder(0, path, "", "") for path in paths if path != self._path]
        return (users + copies)[:_SHOWN]

    def _read_namespaces(self) -> list[int]:
        """Read the mount table of every namespace, once each; return all processes."""
        pids = []
        for pid in _processes():
            if pid in (self._daemon_pid, os.getpid()):
                continue
            process = f"/proc/{pid}"
            name = _namespace_of(process)
            pids.append(pid)
            if name and name not in self._namespaces:
                self._namespaces[name] = self._table(name, process)
                self._first[name] = pid
        return pids

    def _table(self, name: str, process: str) -> _Namespace:
        try:
            table = mounts(process)
        except OSError:
            return _Namespace(name, [], is_bystander=False)
        found = [each for each in table if each.device == self._device]
        self._is_gone = self._is_gone or not all(map(self._is_same, found))
        live = {each.device for each in table if each.is_ours and each.root.startswith(_LIVE_VIEW)}
        is_bystander = bool(live) and self._device not in live
        return _Namespace(name, [each.path for each in found], is_bystander)

    def _use(self, process: str) -> str:
        """Return how a process uses the mount; "" if it does not."""
        for link, what in (("cwd", "current directory"), ("root", "root directory")):
            if device_of(f"{process}/{link}") == self._device:
                return what
        try:
            numbers = os.listdir(f"{process}/fd")
        except OSError:
            return ""
        for number in numbers:
            if device_of(f"{process}/fd/{number}") == self._device:
                return f"has {_read_link(f'{process}/fd/{number}')} open"
        return self._mapping(process)

    def _mapping(self, process: str) -> str:
        """Look for a file that is mapped; its descriptor may be closed (proc_pid_maps(5))."""
        major, _, minor = self._device.partition(":")
        wanted = f" {int(major):02x}:{int(minor):02x} "
        try:
            with open(f"{process}/maps", encoding="utf-8", errors="surrogateescape") as file:
                for line in file:
                    if wanted in line:
                        return f"has {line.split(None, 5)[-1].strip()} mapped"
        except OSError:
            pass
        return ""

    def _holder(self, pid: int, use: str) -> Holder:
        name = _namespace_of(f"/proc/{pid}")
        found = self._namespaces.get(name)
        is_bystander = not use and found is not None and found.is_bystander
        return Holder(pid, _command(pid), use, "" if name == self._own else name, is_bystander)

    def _is_same(self, mount: Mount) -> bool:
        """Return True if it is the wanted mount, and no later one: device numbers are reused."""
        if self._is_control or mount.is_control:
            # Control files were in the table a moment ago, as they are looked for only while they
            # are there; those of others may have got the number of a workspace that is gone.
            return self._is_control and mount.is_control
        daemon = runfiles.find(mount.path) if mount.is_ours else None
        return mount.is_ours and (
            daemon is None
            or daemon.pid == self._daemon_pid
            or (daemon.mount_id, daemon.device) != (mount.id, mount.device)
        )


def device_of(path: str) -> str:
    """Return `MAJOR:MINOR` of the file system that a path leads into; "" where it cannot be had.

    By statx(2) with what the kernel knows already, so that no daemon is asked: it may be gone,
    or wait for us.
    """
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    flags = _AT_STATX_DONT_SYNC | _AT_NO_AUTOMOUNT
    if _libc().statx(_AT_FDCWD, os.fsencode(path), flags, _STATX_TYPE, buffer):
        return ""
    major, minor = struct.unpack_from("=II", buffer, _STATX_DEVICE_AT)
    return f"{major}:{minor}"


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _processes() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            yield int(entry.name)


def _namespace_of(process: str) -> str:
    return _read_link(f"{process}/ns/mnt")


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"
