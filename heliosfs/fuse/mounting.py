"""Mounting and unmounting, by fusermount3, which may do what we may not (mount.fuse3(8))."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Collection

from heliosfs.errors import HeliosError

_READ_AHEAD_KB = 512
"""Not more: a fault in a mapping reads as much around it."""


def mount(mountpoint: str, options: Collection[str]) -> int:
    """The device of a new mount, on which nothing is answered yet.  HeliosError when refused."""
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
        raise HeliosError(f"cannot mount at {mountpoint}: fusermount3 gave no device")
    return fds[0]


def unmount(mountpoint: str) -> None:
    """Take the mount away, at once for new comers, for the others when they leave."""
    command = ["fusermount3", "-u", "-q", "-z", "--", mountpoint]
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL)


def widen_read_ahead(mountpoint: str) -> None:
    """Let the kernel read a large file in requests of up to 512 KB; only root may.

    Does nothing where that is refused.  Asks nothing of the mount, which cannot answer yet.
    """
    wanted = re.sub(r"[ \t\n\\]", lambda found: f"\\{ord(found[0]):03o}", mountpoint)
    with contextlib.suppress(OSError):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            devices = [line.split(" ")[2] for line in mounts if line.split(" ")[4] == wanted]
        if devices:
            with open(f"/sys/class/bdi/{devices[-1]}/read_ahead_kb", "w") as file:
                file.write(str(_READ_AHEAD_KB))
