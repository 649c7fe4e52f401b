"""A mount namespace for this process, without root where the kernel lets any user have one.

Python has `os.unshare` only from 3.12 on, and no mount(2).

A namespace begins as a copy of every mount, and a process with a copy of a mount keeps it
alive.  So a mount that goes outside goes here as well (`MS_SLAVE`), where mounts outside are
shared; and since they need not be, other workspaces are taken away here at once.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

from heliosfs.mounttable import mount_over, mounts

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SLAVE = 0x80000
_MNT_DETACH = 2


def bind_privately(source: str, target: str, inner: Sequence[tuple[str, str]]) -> None:
    """Let this process and its children see `source` at `target`; nobody else does.

    `inner` are pairs that are mounted before, at targets in `source`.  Without CAP_SYS_ADMIN the
    kernel needs a user namespace, in which user and group are mapped to themselves; only a process
    with one thread can have one (unshare(2)).  Raise OSError where the kernel allows none.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNS):
        _check(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "/")
    _detach_others(libc, target)
    for what, where in inner:
        _bind(libc, what, where)
    _bind(libc, source, target)


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
