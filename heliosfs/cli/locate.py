"""Where mounts, views and repositories are, from a path.

Paths are what `os.fsdecode` gives.  Nothing here opens a store.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.errors import NotFound, StoreError

FSTYPE = "fuse.heliosfs"
REPOSITORY = ".helios"
COMMAND = ".helios/ctl/command"
POINTER = "store-path"
"""In a repository whose store lies elsewhere (`--store`), the file that says where."""
FORMAT = "format"
"""A file that every store has."""

_MOUNTINFO = "/proc/self/mountinfo"
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of the mount table."""

    path: str
    fstype: str
    source: str

    @property
    def is_ours(self) -> bool:
        return self.fstype == FSTYPE


class Place(NamedTuple):
    """A workspace, and where in it."""

    root: str
    below: str
    """The path from the root on; "" is the root itself."""

    @property
    def command(self) -> str:
        """The control file that takes any verb."""
        return os.path.join(self.root, COMMAND)


def parse_mountinfo(table: bytes) -> list[Mount]:
    """Read a mount table (proc_pid_mountinfo(5)); spaces in it are octal escapes."""
    mounts = []
    for line in table.splitlines():
        before, _, after = line.partition(b" - ")
        fields, rest = before.split(b" "), after.split(b" ")
        if len(fields) > 4 and len(rest) > 1:
            mounts.append(Mount(_plain(fields[4]), _plain(rest[0]), _plain(rest[1])))
    return mounts


def mounts() -> list[Mount]:
    """Every mount that this process sees, in the order they were made."""
    with open(_MOUNTINFO, "rb") as file:
        return parse_mountinfo(file.read())


def mount_at(path: str) -> Mount | None:
    """The mount whose mount point is `path`, the topmost if there are several."""
    return next((mount for mount in reversed(mounts()) if mount.path == path), None)


def mount_over(path: str) -> Mount | None:
    """The mount that `path` lies in."""
    table = {mount.path: mount for mount in mounts()}
    return next((table[each] for each in _upward(path) if each in table), None)


def mounts_below(path: str) -> list[Mount]:
    """Our mounts somewhere below a directory."""
    prefix = path.rstrip("/") + "/"
    return [mount for mount in mounts() if mount.is_ours and mount.path.startswith(prefix)]


def is_dead(path: str) -> bool:
    """Whether a mount point has lost its daemon.  Waits for a daemon that is busy."""
    try:
        # Unlike stat, never answered from what the kernel has cached.
        os.statvfs(path)
    except OSError as error:
        return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def find_view(path: str) -> Place | None:
    """The nearest mounted view at or above a directory."""
    for root in _upward(path):
        if os.path.exists(os.path.join(root, COMMAND)):
            return Place(root, os.path.relpath(path, root) if path != root else "")
    return None


def find_repository(path: str) -> Place | None:
    """The nearest directory at or above `path` that has a repository and is not mounted."""
    for root in _upward(path):
        if has_repository(root):
            return Place(root, os.path.relpath(path, root) if path != root else "")
    return None


def has_repository(directory: str) -> bool:
    """Whether a directory that is not mounted has a store, or says where it is."""
    home = os.path.join(directory, REPOSITORY)
    return any(os.path.isfile(os.path.join(home, name)) for name in (FORMAT, POINTER))


def find_dead_mount(path: str) -> str | None:
    """The mount point above `path` whose daemon is gone."""
    mount = mount_over(path)
    return mount.path if mount and mount.is_ours and is_dead(mount.path) else None


def open_store(directory: str, store: str | None, *, create: bool) -> int:
    """A descriptor of the directory that holds the store of the workspace at `directory`.

    `store` is where the user wants it; None: where it is, `.helios` for a new one.  With
    `create` a missing directory is made, and a store elsewhere is noted in `.helios`.
    NotFound, StoreError.
    """
    home = os.path.join(directory, REPOSITORY)
    known = _read_pointer(home)
    if store is not None and known is not None and os.path.realpath(store) != known:
        raise StoreError(f"{directory} has its store in {known}, not in {store}")
    path = store or known or home
    try:
        if create:
            os.makedirs(path, mode=0o700, exist_ok=True)
            if store is not None and known is None and os.path.realpath(store) != home:
                _write_pointer(home, os.path.realpath(store))
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no store at {path}") from error
    except OSError as error:
        raise StoreError(f"cannot open the store {path}: {_reason(error)}") from error


def _read_pointer(home: str) -> str | None:
    try:
        with open(os.path.join(home, POINTER), "rb") as file:
            return os.fsdecode(file.read().removesuffix(b"\n"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {_reason(error)}") from error


def _write_pointer(home: str, store: str) -> None:
    if os.path.exists(os.path.join(home, FORMAT)):
        raise StoreError(f"{home} is a store already: move it to {store}, or leave out --store")
    os.makedirs(home, mode=0o700, exist_ok=True)
    with open(os.path.join(home, POINTER), "wb") as file:
        file.write(os.fsencode(store) + b"\n")


def _upward(path: str) -> Iterator[str]:
    yield path
    while path != "/":
        path = os.path.dirname(path) or "/"
        yield path


def _plain(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes((int(match[1], 8),)), field))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
