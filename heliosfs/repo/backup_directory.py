"""The directory of a backup: a store of our own format, and a file that says of which store.

    backup     text: that this is a backup, and the id of the store that is backed up
    …          the files of a store; its state has `repo/backup` and `backup-file/`

The file is the first that is made, so that nothing else is ever taken for a backup.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

from heliosfs.errors import (
    AlreadyExists,
    NotFound,
    NotPermitted,
    StoreError,
    StoreFormat,
)
from heliosfs.mounttable import upward, workspace_over
from heliosfs.repo import keys
from heliosfs.steps import perform
from heliosfs.store.copying import SeriesMark
from heliosfs.store.local import LocalStore
from heliosfs.store.sidefile import StoredFile

MARKER = "backup"
"""File that tells a backup from a store that is in use."""
_FORMAT = "format"
_TEXT = "heliosfs backup\nversion 1\nof {}\n"
_PATTERN = re.compile(rb"heliosfs backup\nversion (\d+)\n(?:of ([0-9a-f]+)\n\Z)?")
_NAMED_COUNT = 10
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class LastBackup(NamedTuple):
    """Record of the last run, which a backup keeps."""

    salt: str
    """Salt of the L2 that was copied, in hex."""
    end: int
    """Number after that of the last object that was copied."""
    time_ns: int
    tail: list[tuple[int, str]]
    """Last objects before `end`: number, and beginning of the id in hex."""
    damaged: int
    """Number of objects and values that could not be copied."""
    series: dict[str, SeriesMark]
    """Marks of the long series of state, by their names in hex."""

    def encode(self) -> bytes:
        """Return the bytes under `repo/backup`."""
        return json.dumps(self._asdict()).encode()


def plain_path(path: str) -> str:
    """Return a path with no links but, perhaps, the last name, which is not followed."""
    path = os.path.abspath(path)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def check_outside(path: str, workspace: str) -> None:
    """Refuse a path without links that lies in a workspace, mounted or not, or in a store.

    Raise NotPermitted.
    """
    over = workspace_over(path)
    if over is None and workspace and workspace in upward(path):
        over = workspace
    if over is not None:
        place = "is the workspace itself" if path == over else f"lies in the workspace {over}"
        raise NotPermitted(f"{path} {place}: name a directory outside of it")
    for above in list(upward(path))[1:]:
        if os.path.isfile(os.path.join(above, _FORMAT)) and _is_store(above):
            raise NotPermitted(f"{path} lies in the store {above}: name a directory outside of it")


def _is_store(path: str) -> bool:
    try:
        with open(os.path.join(path, _FORMAT), "rb") as file:
            return file.read(32).startswith(b"heliosfs store\n")
    except OSError:
        return False


def make(path: str, store_id: str) -> None:
    """Make the directory of a backup, or check that it is one of this store.

    An empty directory becomes one.  AlreadyExists for one that holds something else or belongs to
    another store; NotPermitted for a link or another user's; NotFound, StoreError.
    """
    _make_directory(path)
    fd = _open_directory(path)
    try:
        names = set(os.listdir(fd)) - {f"{MARKER}.new"}
        found = _read_marker(fd, path)
        if found is not None:
            if found != store_id:
                raise AlreadyExists(
                    f"{path} is the backup of another store (its id is {found}, and that of this "
                    f"one {store_id}): name another directory"
                )
            return
        if names:
            _refuse(path, names)
        os.fchmod(fd, 0o700)
        StoredFile(fd, MARKER).replace(_TEXT.format(store_id).encode())
    finally:
        os.close(fd)


def _make_directory(path: str) -> None:
    parent = os.path.dirname(path)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError as error:
        raise NotFound(f"{parent} is not there: is its disk mounted? else make it") from error
    except OSError as error:
        raise StoreError(f"cannot make {path}: {reason(error)}") from error
    sync_directory(parent)


def sync_directory(path: str) -> None:
    """Make the names in a directory safe from a power cut.  Raise StoreError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        raise StoreError(f"cannot sync {path}: {reason(error)}") from error
    finally:
        os.close(fd)


def _open_directory(path: str) -> int:
    try:
        fd = os.open(path, _OPEN)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and os.path.islink(path):
            raise NotPermitted(
                f"{path} is a symbolic link, which is not followed: "
                f"name {os.path.realpath(path)} itself"
            ) from error
        if isinstance(error, NotADirectoryError):
            raise AlreadyExists(f"{path} is no directory") from error
        if isinstance(error, FileNotFoundError):
            raise NotFound(f"there is no backup at {path}") from error
        raise StoreError(f"cannot open {path}: {reason(error)}") from error
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or status.st_mode & stat.S_IWOTH:
        os.close(fd)
        who = "belongs to another user" if status.st_uid != os.geteuid() else "is open to all"
        raise NotPermitted(
            f"{path} {who} (uid {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}), so that "
            "others could put anything there: name a directory of your own"
        )
    return fd


def _read_marker(fd: int, path: str) -> str | None:
    """Return the id of the store that was backed up here; None if this is no backup."""
    data = StoredFile(fd, MARKER).read()
    if data is None:
        return None
    match = _PATTERN.match(data)
    if match is None:
        _refuse(path, {MARKER})
    elif match[1] != b"1":
        raise StoreFormat(
            f"{path} is a backup of version {match[1].decode()}, and this heliosfs knows "
            "version 1: install a newer heliosfs"
        )
    elif match[2] is not None:
        return match[2].decode()
    raise StoreFormat(f"the file {MARKER} in {path} is damaged")


def _refuse(path: str, names: set[str]) -> NoReturn:
    what = "a store, and no backup" if _FORMAT in names else ", ".join(sorted(names)[:_NAMED_COUNT])
    more = " …" if _FORMAT not in names and len(names) > _NAMED_COUNT else ""
    raise AlreadyExists(
        f"{path} holds something else ({what}{more}): name a new or empty directory"
    )


@contextmanager
def named(path: str) -> Iterator[None]:
    """Name the backup in errors of its store that are raised inside the context."""
    try:
        yield
    except StoreError as error:
        raise type(error)(f"the backup {path}: {error}") from error


def open_backup(path: str, *, create: bool = False) -> LocalStore:
    """Open the store of a backup; with `create`, make it if its making was not completed.

    Raise NotFound if it is no backup, and what `make` and `LocalStore.open` raise.
    """
    fd = _open_directory(path)
    try:
        if _read_marker(fd, path) is None:
            raise NotFound(f"{path} is no backup")
        is_made = _FORMAT in os.listdir(fd)
        if not is_made and not create:
            raise NotFound(f"{path} holds no complete backup: run 'helios backup {path}' again")
        with named(path):
            store = LocalStore.open(fd, create=not is_made, is_brief=True)
    finally:
        os.close(fd)
    try:
        with named(path):
            _check_begun(store, path, create=create)
    except BaseException:
        store.close()
        raise
    return store


def _check_begun(store: LocalStore, path: str, *, create: bool) -> None:
    if not create:
        if last_backup(store) is None:
            raise NotFound(f"{path} holds no complete backup: run 'helios backup {path}' again")
        return
    if store.refusal is not None:
        raise type(store.refusal)(str(store.refusal))
    if store.get(keys.BACKUP) is None:
        # So that it is never opened as a workspace, whatever happens next.
        write(store, {keys.BACKUP: b""})


def write(store: LocalStore, changes: Mapping[bytes, bytes | None]) -> None:
    """Write state to L2 at once.  Raise StoreError."""
    bulk = store.bulk()
    try:
        bulk.put_all(changes)
        work = bulk.plan_write()
        if work is not None:
            perform(work)
    finally:
        bulk.close()


def last_backup(store: LocalStore) -> LastBackup | None:
    """Return what a backup says of its last run; None if none was completed."""
    data = store.get(keys.BACKUP)
    if not data:
        return None
    try:
        document: dict[str, Any] = json.loads(data)
        document["tail"] = [(number, short) for number, short in document["tail"]]
        series = document["series"].items()
        document["series"] = {name: SeriesMark(*mark) for name, mark in series}
        return LastBackup(**document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"its record of the last backup cannot be read: {error}") from error


def reason(error: OSError) -> str:
    """Return what the system says of an error, as part of a sentence."""
    return (error.strerror or str(error)).lower()
