"""Mounting and unmounting by fusermount3, which has the privilege (mount.fuse3(8))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import socket
import subprocess
from collections.abc import Collection

from heliosfs.errors import HeliosError
from heliosfs.mounttable import mount_at

_MS_NOSUID, _MS_NODEV, _MS_SHARED = 0x2, 0x4, 0x100000
_MNT_DETACH = 0x2
_OF_A_MOUNT = ("fsname=", "subtype=")
"""Options that are parameters of mount(2), and no part of the text that it passes on."""
_READ_AHEAD_KB = 512
"""Read-ahead of a mount.  Not more, because a page fault in a mapping reads as much around it."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p,
)  # fmt: skip


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


def mount_inside(mountpoint: str, options: Collection[str]) -> int:
    """Mount inside of a mount that this process serves; return the descriptor as `mount` does.

    Root needs no fusermount3, whose start takes 3 ms.  Raise HeliosError when it is refused.
    """
    if os.geteuid() != 0:
        return mount(mountpoint, options)
    named = dict(option.split("=", 1) for option in options if option.startswith(_OF_A_MOUNT))
    passed = sorted(option for option in options if not option.startswith(_OF_A_MOUNT))
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    text = ",".join((f"fd={fd}", "rootmode=40000", "user_id=0", "group_id=0", *passed))
    fstype = f"fuse.{named['subtype']}"
    if _libc.mount(
        os.fsencode(named["fsname"]),
        os.fsencode(mountpoint),
        os.fsencode(fstype),
        _MS_NOSUID | _MS_NODEV,
        os.fsencode(text),
    ):
        reason = os.strerror(ctypes.get_errno())
        os.close(fd)
        raise HeliosError(f"cannot mount at {mountpoint}: {reason}")
    return fd


def unmount_inside(mountpoint: str) -> None:
    """Unmount lazily what is mounted inside of a mount of this process: root by umount2(2)."""
    if os.geteuid() != 0 or _libc.umount2(os.fsencode(mountpoint), _MNT_DETACH):
        unmount(mountpoint, lazy=True)


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


def is_connected(fd: int) -> bool:
    """Return True while the file system of a FUSE device is mounted, or lazily unmounted and used.

    `fuse_dev_poll` in fs/fuse/dev.c tells of the end by POLLERR.
    """
    waiting = select.poll()
    waiting.register(fd, 0)
    return not waiting.poll(0)


def share(mountpoint: str) -> None:
    """Let what is mounted inside later come to copies of the mount in other namespaces, too.

    Those of `helios run` are such copies (mount_namespaces(7)).  Only root may; else nothing
    changes.
    """
    _libc.mount(b"none", os.fsencode(mountpoint), None, _MS_SHARED, None)


def widen_read_ahead(mountpoint: str) -> None:
    """Let the kernel read a large file in requests of up to 512 KiB.

    Only root may; else nothing changes.  The mount itself is not touched, as it cannot answer yet.
    """
    with contextlib.suppress(OSError):
        found = mount_at(mountpoint)
        if found is not None:
            with open(f"/sys/class/bdi/{found.device}/read_ahead_kb", "w") as file:
                file.write(str(_READ_AHEAD_KB))
