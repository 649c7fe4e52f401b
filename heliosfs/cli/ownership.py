"""Owners: whose stores, mounts and run files are used, and how the user widens that.

Whoever owns a store decides what is read from it, and whoever serves a mount what a reply says.  So
both are used only if they are the caller's own, as git does since 2.35.2 (`safe.directory` in
git-config(1)); what belongs to somebody else is used once the user has named its directory.  That
is said where only the user, or root, can say it: in a file of the user's configuration directory or
the machine's, by `-c safe.directory=DIR`, or by `HELIOS_SAFE_DIRECTORY`.  No directory can say it
of itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from heliosfs.errors import NotPermitted
from heliosfs.mounttable import Mount

FILE = "safe-directories"
"""File of a configuration directory: a directory on each line, `DIR/*` all below it, `*` all."""
VARIABLE = "HELIOS_SAFE_DIRECTORY"
"""Environment variable with such directories, separated by colons."""

_ROOT = 0


def own_ids() -> frozenset[int]:
    """Return the ids of users whose files count as the caller's own.

    As in git, that is root's and the caller's for whoever became root by sudo(8), since
    `sudo helios` in a directory of one's own is meant.
    """
    euid = os.geteuid()
    caller = os.environ.get("SUDO_UID", "")
    if euid == _ROOT and caller.isascii() and caller.isdigit():
        return frozenset((euid, int(caller)))
    return frozenset((euid,))


def trusted_ids() -> frozenset[int]:
    """Return the ids of users who may do anything to the caller: the caller's own, and root."""
    return own_ids() | {_ROOT}


def check_owner(fd: int, path: str, workspace: str) -> None:
    """Check that an open directory at `path`, which a workspace keeps things in, is the caller's.

    The text of NotPermitted says how to allow another user's.
    """
    uid = os.fstat(fd).st_uid
    if uid not in own_ids() and not is_safe(path) and not is_safe(workspace):
        raise NotPermitted(
            f"{path} belongs to {_name(uid)}, who could have put anything there: "
            + _advice(workspace)
        )


def check_server(mount: Mount, path: str) -> None:
    """Check that the daemon of one of our mounts runs as the caller, or as root.

    Raise NotPermitted.
    """
    uid = mount.user_id
    if uid is None or uid in trusted_ids() or uid == _outer_id(os.geteuid()):
        return
    if not is_safe(path) and not is_safe(mount.path):
        raise NotPermitted(
            f"{path} was mounted by {_name(uid)}, whose daemon could reply anything: "
            + _advice(path)
        )


def check_private(path: str, what: str) -> None:
    """Check that no other user has put a file or directory there, where there is one.

    A link counts as what it leads to if it is the caller's own, or root's (as systemd-tmpfiles(8)
    follows them).  Raise NotPermitted.
    """
    trusted = trusted_ids()
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode) and status.st_uid in trusted:
            status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(status.st_mode) or status.st_uid not in trusted:
        raise NotPermitted(f"{what} {path} belongs to {_name(status.st_uid)}: it is not used")


def is_safe(path: str) -> bool:
    """Return True if the user has named a directory, or one above it with `/*`, as safe."""
    for said in _said():
        if said == "*" or said.rstrip("/") == path:
            return True
        if said.endswith("/*") and path.startswith(said[:-1]):
            return True
    return False


def _said() -> Iterator[str]:
    # Imported only now: what is the caller's own needs none of it.
    from heliosfs.cli.configuration import configuration_directories

    yield from filter(None, os.environ.get(VARIABLE, "").split(":"))
    for directory in configuration_directories():
        try:
            with open(
                os.path.join(directory, FILE), encoding="utf-8", errors="surrogateescape"
            ) as file:
                lines = [line.strip() for line in file]
        except OSError:
            continue
        yield from (line for line in lines if line and not line.startswith("#"))


def _advice(path: str) -> str:
    """Return the commands that allow it, always and for one call."""
    import shlex

    from heliosfs.cli.configuration import configuration_directories

    name = shlex.quote(path)
    *_, user = configuration_directories()
    directory = shlex.quote(user)
    return (
        f"if you trust them, mkdir -p {directory} && echo {name} >> {directory}/{FILE}, "
        f"or for one call helios -c safe.directory={name} …"
    )


def _name(uid: int) -> str:
    import pwd

    try:
        return f"another user ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return f"another user (uid {uid})"


def _outer_id(uid: int) -> int | None:
    """Return the id that a user has outside of the user namespace (user_namespaces(7)).

    Mount tables name whoever mounted by the id in the namespace where that was done.
    """
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            for line in file:
                inner, outer, count = map(int, line.split())
                if inner <= uid < inner + count:
                    return outer + uid - inner
    except (OSError, ValueError):
        pass
    return None
