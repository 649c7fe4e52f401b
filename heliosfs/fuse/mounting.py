"""Mounting and unmounting by fusermount3, which has the privilege (mount.fuse3(8))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Collection

from heliosfs.errors import HeliosError
from heliosfs.mounttable import mount_at

_MS_SHARED = 0x100000
_READ_AHEAD_KB = 512
"""Read-ahead of a mount.  Not more, because a page fault in a mapping reads as much around it."""


def mount(mountpoint: str, options: Collection[str]) -> int:
    """Mount; return the descriptor of the FUSE device, on which nothing is answered yet.

    Raise HeliosError when fusermount3 refuses.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            ["fusermount3", "-o", ",".join(sorted(options)), "--", mountpoint],
            env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()
            raise HeliosError(f"cannot mount at {mountpoint}: {text.removeprefix('fusermount3: ')}")
        _, fds, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
    if not fds:
        raise HeliosError(
            f"cannot mount at {mountpoint}: fusermount3 passed no descriptor of /dev/fuse"
        )
    return fds[0]


def unmount(mountpoint: str, *, lazy: bool = False) -> str:
    """Unmount the topmost file system at a path; return the complaint, or "" if it succeeded.

    With `lazy`, the path is free at once, and the file system ends when its last user leaves.
    Where there is no fusermount3, umount(8) is run, which only root may use.
    """
    command = ["fusermount3", "-uz" if lazy else "-u", "--", mountpoint]
    if shutil.which("fusermount3") is None:
        command = ["umount", *(["-l"] if lazy else []), "--", mountpoint]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        return f"there is no {command[0]}"
    text = os.fsdecode(done.stderr).strip().split("\n")[-1]
    return (
        (text or f"{command[0]} ended with exit code {done.returncode}") if done.returncode else ""
    )


def share(mountpoint: str) -> None:
    """Let what is mounted inside later come to copies of the mount in other namespaces, too.

    Those of `helios run` are such copies (mount_namespaces(7)).  Only root may; else nothing
    changes.
    """
    ctypes.CDLL(None).mount(b"none", os.fsencode(mountpoint), None, _MS_SHARED, None)


def widen_read_ahead(mountpoint: str) -> None:
    """Let the kernel read a large file in requests of up to 512 KiB.

    Only root may; else nothing changes.  The mount itself is not touched, as it cannot answer yet.
    """
    with contextlib.suppress(OSError):
        found = mount_at(mountpoint)
        if found is not None:
            with open(f"/sys/class/bdi/{found.device}/read_ahead_kb", "w") as file:
                file.write(str(_READ_AHEAD_KB))
