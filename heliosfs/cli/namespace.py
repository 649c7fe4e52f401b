"""A mount namespace for this process, without root where the kernel lets any user have one.

Python has `os.unshare` only from 3.12 on, and no mount(2).

A namespace begins as a copy of every mount, and a process with a copy of a mount keeps it
alive.  So a mount that goes outside goes here as well (`MS_SLAVE`), where mounts outside are
shared; and since they need not be, other workspaces are taken away here at once.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from heliosfs.errors import HeliosError
from heliosfs.mounttable import mount_over, mounts

_CLONE_NEWNS = 0x00020000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SLAVE = 0x80000
_MNT_DETACH = 2
_MS_RDONLY = 1
_MS_QUIET = 0x2 | 0x4
"""MS_NOSUID and MS_NODEV."""
_MOUNT_SETATTR = 442
_MOUNT_ATTR_RDONLY = 1
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


class NoNamespace(HeliosError):
    """Namespaces that the kernel does not allow; the process is where it was."""


class MountPlan(NamedTuple):
    """Mounts of a sandbox, in paths as they are before it."""

    source: str
    """Directory that is shown at `target`, writable."""
    target: str
    inner: Sequence[tuple[str, str]]
    """Pairs of a directory, and the place below `target` where it is shown."""
    hidden: Sequence[str]
    """Directories below `target` that are shown empty."""
    private: Sequence[str]
    """Directories in whose place there is an empty one for this process and its children."""
    shown: Sequence[str]
    """Directories in those that are shown all the same."""


def bind_privately(source: str, target: str, inner: Sequence[tuple[str, str]]) -> None:
    """Let this process and its children see `source` at `target`; nobody else does.

    `inner` are pairs that are mounted before, at targets in `source`.  Without CAP_SYS_ADMIN the
    kernel needs a user namespace, in which user and group are mapped to themselves; only a process
    with one thread can have one (unshare(2)).  Raise OSError where the kernel allows none.
    """
    libc = _enter_namespaces(_CLONE_NEWNS)
    _detach_others(libc, target)
    for what, where in inner:
        _bind(libc, what, where)
    _bind(libc, source, target)


def confine_mounts(plan: MountPlan, *, with_network: bool) -> None:
    """Let this process and its children write nowhere but in the places of the plan.

    They have a network of their own without any interface but `lo`, unless `with_network`, and
    System V objects of their own.  Raise NoNamespace where the kernel allows none, OSError if it
    fails half way.
    """
    network = 0 if with_network else _CLONE_NEWNET
    try:
        libc = _enter_namespaces(_CLONE_NEWNS | _CLONE_NEWIPC | network)
    except OSError as error:
        raise NoNamespace((error.strerror or str(error)).lower()) from error
    # Their paths may be hidden below.  What is mounted here is another mount than before.
    kept = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in _sources(plan)}
    for place in plan.private:
        _check(libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", _MS_QUIET, b"mode=1777"), place)
    for path in plan.shown:
        _bind_kept(libc, kept[path], path)
    _bind_kept(libc, kept[plan.source], plan.target)
    for what, where in plan.inner:
        _bind_kept(libc, kept[what], where)
    for place in plan.hidden:
        flags = _MS_RDONLY | _MS_QUIET
        _check(libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", flags, b"mode=555"), place)
    for fd in kept.values():
        os.close(fd)
    _set_flags(libc, "/", read_only=True)
    for place in (*plan.private, plan.target):
        _set_flags(libc, place, read_only=False)
    if not with_network:
        _bring_up_loopback()


def _sources(plan: MountPlan) -> set[str]:
    return {plan.source, *plan.shown, *(what for what, _ in plan.inner)}


def _enter_namespaces(flags: int) -> ctypes.CDLL:
    """Take this process into new namespaces, with a user namespace where it needs one."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(flags):
        _check(libc.unshare(_CLONE_NEWUSER | flags), "unshare")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "/")
    return libc


def _bind_kept(libc: ctypes.CDLL, fd: int, target: str) -> None:
    """Mount an open directory; make the mount point if an empty directory has hidden it."""
    os.makedirs(target, exist_ok=True)
    source, flags = f"/proc/self/fd/{fd}".encode(), _MS_BIND | _MS_REC
    _check(libc.mount(source, os.fsencode(target), None, flags, None), target)


def _set_flags(libc: ctypes.CDLL, place: str, *, read_only: bool) -> None:
    """Let a mount and all below it be read-only or not (mount_setattr(2), Linux 5.12)."""
    values = (_MOUNT_ATTR_RDONLY, 0) if read_only else (0, _MOUNT_ATTR_RDONLY)
    data = struct.pack("=4Q", *values, 0, 0)
    where, length = os.fsencode(place), ctypes.c_size_t(len(data))
    _check(libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, where, _AT_RECURSIVE, data, length), place)


def _bring_up_loopback() -> None:
    """Let programs that talk to themselves over 127.0.0.1 do so (netdevice(7))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unbound:
        request = struct.pack("=16sH22x", b"lo", _IFF_UP)
        fcntl.ioctl(unbound.fileno(), _SIOCSIFFLAGS, request)


def _detach_others(libc: ctypes.CDLL, target: str) -> None:
    """Take other workspaces out of this namespace.

    In a user namespace the kernel refuses that (mount_namespaces(7), "locked"); their `umount`
    then finds this namespace to be a bystander.
    """
    over = mount_over(target)
    for mount in reversed(mounts()):
        if mount.is_ours and over is not None and mount.device != over.device:
            libc.umount2(os.fsencode(mount.path), _MNT_DETACH)


def _bind(libc: ctypes.CDLL, source: str, target: str) -> None:
    flags = _MS_BIND | _MS_REC
    done = libc.mount(os.fsencode(source), os.fsencode(target), None, flags, None)
    _check(done, target)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
