"""`helios umount`: end a mount, and wait until everything is on disk."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from heliosfs.cli import locate, runfiles
from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.holders import Holder, find_holders
from heliosfs.errors import Busy, HeliosError, NotFound
from heliosfs.fuse.mounting import unmount
from heliosfs.mounttable import (
    Mount,
    control_mounts,
    is_there,
    mount_at,
    mount_over,
    workspace_over,
)

_SAVE_SECONDS = 120
_QUIET_SECONDS = 0.3
"""Usual time of saving; a daemon that takes longer may be held by another process."""
_PASSING_SECONDS = 0.5
"""Time for which a busy mount is tried again when no process can be named that uses it: its own
daemon has files open while it saves, and programs come and go."""


def umount_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios umount`."""
    parser = LocalVerbParser(
        prog="helios umount",
        description="Unmount DIR, or the workspace that the current directory is in, and wait\n"
        "until everything is saved. Uncommitted changes are kept. If the mount is in use, the\n"
        "message names the process, or the mount namespace that has a copy of it.",
    )
    parser.add_argument("directory", metavar="DIR", nargs="?")
    parser.add_argument(
        "-l", "--lazy", action="store_true", help="unmount even while programs still use it"
    )
    parser.add_argument(
        "--forget", action="store_true", help="also remove it from 'helios mount --all'"
    )
    return parser


def umount(argv: Sequence[str]) -> int:
    """Run `helios umount` and return the exit code.  Raise NotFound, Busy or HeliosError."""
    asked = umount_parser().parse_args(argv)
    mount = _mount(asked.directory, may_be_gone=asked.forget)
    if mount is None:
        directory = os.path.realpath(asked.directory)
        wait_saved(directory)
    else:
        directory = mount.path
        os.chdir("/")  # or this process would keep the mount busy itself
        daemon = runfiles.find(directory)
        unmount_or_explain(mount, daemon, lazy=asked.lazy or locate.is_dead(directory))
        if not asked.lazy:
            wait_saved(directory)
        print(f"unmounted {directory}", flush=True)
    if asked.forget:
        runfiles.forget(directory)
        print(f"'helios mount --all' no longer mounts {directory}")
    return 0


def unmount_or_explain(mount: Mount, daemon: runfiles.Daemon | None, *, lazy: bool) -> None:
    """Unmount, and before it the control files that are mounted inside.

    Raise Busy, which names the processes that use it, or another HeliosError.
    """
    deadline = time.monotonic() + _PASSING_SECONDS
    pid = daemon.pid if daemon else 0
    while True:
        # A lazy unmount takes along what is mounted inside.
        inner = [] if lazy else control_mounts(mount.path)
        reasons = [unmount(each.path, lazy=lazy) for each in (*reversed(inner), mount)]
        if not is_there(mount):
            return
        if not lazy:
            holders = [
                holder
                for each in (*inner, mount)
                for holder in find_holders(each.path, each.device, pid, is_control=each.is_control)
                if holder.pid
            ]
            if holders:
                raise Busy(
                    f"{mount.path} is in use by {_named(holders)}: end that process, or use --lazy"
                )
        if lazy or time.monotonic() > deadline:
            reason = reasons[-1] or "it is still mounted"
            raise HeliosError(f"cannot unmount {mount.path}: {reason}")
        time.sleep(_PASSING_SECONDS / 10)


def wait_saved(directory: str, seconds: float = _SAVE_SECONDS) -> None:
    """Wait for the daemon of what was unmounted.

    Busy names what else still has the mount, within two seconds; HeliosError when the daemon
    takes longer than `seconds` to save.
    """
    if runfiles.wait_gone(directory, _QUIET_SECONDS):
        return
    deadline = time.monotonic() + seconds
    while (daemon := runfiles.find(directory)) is not None:
        if not os.path.exists(f"/proc/{daemon.pid}"):
            raise Busy(
                f"{directory} is served by process {daemon.pid}, which cannot be seen from here: "
                "in another container, or on another machine"
            )
        holders = find_holders(directory, daemon.device, daemon.pid)
        if holders and all(each.is_bystander for each in holders):
            # Nobody there has anything of it open: for them it ends as it did here.
            os.kill(daemon.pid, signal.SIGTERM)
        elif holders and runfiles.find(directory) == daemon:
            raise Busy(
                f"{directory} is unmounted here, but held by {_named(holders)}: end that, or make "
                f"its daemon (pid {daemon.pid}) save and end now with 'kill {daemon.pid}'"
            )
        if runfiles.wait_gone(directory, 1):
            return
        if time.monotonic() > deadline:
            whose = "" if os.geteuid() == 0 else " (only root sees the processes of other users)"
            raise HeliosError(
                f"{directory} is unmounted, but its daemon (pid {daemon.pid}) still runs, and "
                f"no process was found that uses the mount{whose}: wait, or read {daemon.log}"
            )


def _mount(given: str | None, *, may_be_gone: bool) -> Mount | None:
    """Return our mount at a directory, or over the current one.

    None if it is gone, and only its daemon is there, or that may be.  Raise NotFound.
    """
    if given is not None:
        directory = os.path.realpath(given)
        mount = mount_at(directory)
        is_served = runfiles.find(directory) is not None
        if mount is None and (is_served or (may_be_gone and runfiles.known(directory))):
            return None
        if mount is None or not mount.is_ours:
            raise NotFound(f"{directory} is not a mounted heliosfs workspace")
        return mount
    where = os.getcwd()
    over = mount_over(where)
    if over is not None and over.is_control:
        over = mount_over(workspace_over(where) or where)
    if over is None or not over.is_ours:
        raise NotFound(f"{os.getcwd()} is not inside a mounted heliosfs workspace")
    return over


def _named(holders: Sequence[Holder]) -> str:
    return "; ".join(map(str, holders))
