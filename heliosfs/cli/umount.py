"""`helios umount`: end a mount, and wait until everything is on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from heliosfs.cli import locate, runfiles
from heliosfs.cli.arguments import Parser
from heliosfs.cli.mount import unmount
from heliosfs.errors import Busy, HeliosError, NotFound

_SAVE_SECONDS = 120
_SHOWN_USERS = 3


def umount_parser() -> Parser:
    """The arguments of `helios umount`."""
    parser = Parser(
        prog="helios umount",
        description="End the mount at DIR, or the one that the current directory is in, and wait\n"
        "until everything is saved. Uncommitted changes are kept.",
    )
    parser.add_argument("directory", metavar="DIR", nargs="?")
    parser.add_argument(
        "-l", "--lazy", action="store_true", help="even while programs still use it"
    )
    return parser


def umount(argv: Sequence[str]) -> int:
    """Run `helios umount`; gives the exit code.  NotFound, Busy, HeliosError."""
    asked = umount_parser().parse_args(argv)
    directory = _mountpoint(asked.directory)
    os.chdir("/")  # or this process would keep the mount busy itself
    known = runfiles.find(directory)
    before = len(locate.mounts())
    reason = unmount(directory, lazy=asked.lazy or locate.is_dead(directory))
    if len(locate.mounts()) >= before:
        users = "; ".join(_users(directory, known.pid if known else 0))
        if users:
            raise Busy(f"{directory} is in use by {users}: end that, or use --lazy")
        raise HeliosError(f"cannot unmount {directory}: {reason}")
    if not asked.lazy and not runfiles.wait_gone(directory, _SAVE_SECONDS):
        log = known.log if known else "unknown"
        raise HeliosError(f"{directory} is unmounted, its daemon still saves; its log is {log}")
    print(f"unmounted {directory}")
    return 0


def _mountpoint(given: str | None) -> str:
    if given is not None:
        directory = os.path.realpath(given)
        mount = locate.mount_at(directory)
        if mount is None or not mount.is_ours:
            raise NotFound(f"{directory} is not a mounted heliosfs workspace")
        return directory
    over = locate.mount_over(os.getcwd())
    if over is None or not over.is_ours:
        raise NotFound(f"{os.getcwd()} is not inside a mounted heliosfs workspace")
    return over.path


def _users(directory: str, daemon_pid: int) -> Iterator[str]:
    """The first processes found with a directory or file open below the mount."""
    shown = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == daemon_pid:
            continue
        if _uses(entry.path, directory):
            yield f"{_command(entry.path)} (pid {entry.name})"
            shown += 1
            if shown == _SHOWN_USERS:
                return


def _uses(process: str, directory: str) -> bool:
    try:
        links = [f"{process}/cwd", f"{process}/root"]
        links += [each.path for each in os.scandir(f"{process}/fd")]
        return any(_is_below(os.readlink(link), directory) for link in links)
    except OSError:
        return False


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def _command(process: str) -> str:
    try:
        with open(f"{process}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"
