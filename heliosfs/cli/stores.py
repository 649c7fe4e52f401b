"""The store of a workspace: its remembered place, and the check that it is still the same store.

A new store is made only for a workspace that has none.  One that is remembered and not there
(its disk is not mounted, it was moved or deleted) is never made anew: that would show an
empty workspace in its place.
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from heliosfs.cli import runfiles
from heliosfs.cli.locate import FORMAT, POINTER, REPOSITORY
from heliosfs.cli.ownership import check_owner
from heliosfs.errors import NotFound, StoreBusy, StoreError

if TYPE_CHECKING:
    from heliosfs.store.sidefile import StoredFile

ID = "id"
"""File in every store with an id of its own, which tells it from other stores."""
_ID_BYTES = 16


class Pointer(NamedTuple):
    """Path and id of a store that lies elsewhere, as its workspace remembers them."""

    path: str
    id: str
    """Empty if an older heliosfs wrote it."""


def open_store(directory: str, store: str | None, *, create: bool) -> int:
    """Return a descriptor of the directory that holds the store of the workspace at `directory`.

    `store` is where the user says it is, also after it was moved; None: where it is remembered
    to be, `.helios` for a new one.  With `create`, a directory for a new store is made.
    Raise NotFound or StoreError, and NotPermitted if another user owns the store or its pointer.
    """
    home = os.path.join(directory, REPOSITORY)
    pointer = _read_pointer(home)
    if pointer is not None:
        path = _remembered(directory, pointer, os.path.realpath(store) if store else None)
    else:
        path = os.path.realpath(store) if store else home
        _check_new(directory, home, path)
    try:
        if create and pointer is None:
            os.makedirs(path, mode=0o700, exist_ok=True)
        with _directory(path, directory) as fd:
            return os.dup(fd)
    except FileNotFoundError as error:
        raise NotFound(
            f"no store at {path}: check the path, or run helios init {shlex.quote(directory)}"
        ) from error
    except OSError as error:
        if os.path.islink(path):
            raise StoreError(
                f"{path} is a symbolic link, which is not followed: "
                f"helios mount --store {shlex.quote(os.path.realpath(path))} "
                f"{shlex.quote(directory)}"
            ) from error
        raise StoreError(f"cannot open the store {path}: {_reason(error)}") from error


def remember_store(directory: str, store: str | None, store_fd: int) -> str:
    """Let the workspace remember the store that was opened for it; return the store's id.

    The caller has the store locked.  Raise StoreError.
    """
    home = os.path.join(directory, REPOSITORY)
    try:
        store_id = _read_id(store_fd) or _write_id(store_fd)
        known = _read_pointer(home)
        path = os.path.realpath(store) if store else known.path if known else home
        if path == home:
            # Looked for first: on a read-only disk unlink(2) fails for a missing name, too.
            if known is not None:
                os.unlink(os.path.join(home, POINTER))
        elif known != Pointer(path, store_id):
            _write_pointer(home, Pointer(path, store_id))
    except OSError as error:
        raise StoreError(f"cannot write {error.filename}: {_reason(error)}") from error
    return store_id


def with_served_workspace(error: StoreBusy) -> StoreBusy:
    """Return the error with the workspace that is served by the process with the store open."""
    served = runfiles.served_by(error.pid)
    return StoreBusy(f"{error}: it serves {served}", error.pid) if served else error


def _remembered(directory: str, pointer: Pointer, store: str | None) -> str:
    """Return the path of the workspace's store: `store` if the user gave it, else as remembered.

    Raise NotFound or StoreError if that store is not there.
    """
    path = store or pointer.path
    name = shlex.quote(directory)
    hint = f"is its disk mounted? if it was moved: helios mount --store NEW {name}"
    if store is not None and store != pointer.path:
        hint = f"it was in {pointer.path}"
        if not pointer.id and os.path.exists(os.path.join(pointer.path, FORMAT)):
            raise StoreError(f"{directory} has its store in {pointer.path}, not in {store}")
    try:
        names = set(os.listdir(path))
    except FileNotFoundError as error:
        raise NotFound(
            f"the store of {directory} is not there: no directory {path}; {hint}"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot open the store {path}: {_reason(error)}") from error
    if FORMAT not in names:
        what = "holds no store" if names else "is empty"
        raise NotFound(f"the store of {directory} is not there: {path} {what}; {hint}")
    if pointer.id and (found := _read_id_at(path, directory)) != pointer.id:
        raise StoreError(
            f"{path} holds another store than that of {directory}: "
            f"its id is {found or 'none'}, not {pointer.id}; {hint}"
        )
    return path


def _check_new(directory: str, home: str, path: str) -> None:
    """Raise StoreError or NotFound if the workspace has, or had, a store at another place."""
    if path != home and os.path.exists(os.path.join(home, FORMAT)):
        raise StoreError(f"{home} is a store already: move it to {path}, or leave out --store")
    known = runfiles.known(directory)
    if known is None or known.store == home or os.path.exists(os.path.join(path, FORMAT)):
        return
    begin_anew = f"to begin anew: helios umount --forget {shlex.quote(directory)}"
    if os.path.exists(os.path.join(known.store, FORMAT)):
        raise StoreError(
            f"{directory} has its store in {known.store}: "
            f"helios mount --store {shlex.quote(known.store)} {shlex.quote(directory)}; "
            f"{begin_anew}"
        )
    if path == known.store:
        raise NotFound(
            f"the store of {directory} is not there: {path} is missing or empty; "
            f"is its disk mounted? {begin_anew}"
        )


def _read_pointer(home: str) -> Pointer | None:
    try:
        with _directory(home, os.path.dirname(home)) as here:
            data = _file(here, POINTER).read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {_reason(error)}") from error
    if data is None:
        return None
    path, _, store_id = data.partition(b"\n")
    return Pointer(os.fsdecode(path), store_id.decode("ascii", "replace").strip())


def _write_pointer(home: str, pointer: Pointer) -> None:
    """Write the path whole or not at all, so that half a path is never remembered."""
    os.makedirs(home, mode=0o700, exist_ok=True)
    with _directory(home, os.path.dirname(home)) as here:
        _file(here, POINTER).replace(os.fsencode(pointer.path) + f"\n{pointer.id}\n".encode())


def _read_id(store_fd: int) -> str:
    return (_file(store_fd, ID).read() or b"").decode("ascii", "replace").strip()


def _read_id_at(path: str, workspace: str) -> str:
    with _directory(path, workspace) as here:
        return _read_id(here)


def _write_id(store_fd: int) -> str:
    store_id = secrets.token_hex(_ID_BYTES)
    _file(store_fd, ID).replace(f"{store_id}\n".encode())
    return store_id


def _file(dir_fd: int, name: str) -> StoredFile:
    from heliosfs.store.sidefile import StoredFile  # `--help` runs without what it imports

    return StoredFile(dir_fd, name)


@contextmanager
def _directory(path: str, workspace: str) -> Iterator[int]:
    """Open a directory of a workspace, whose files are read and written below it.

    Raise OSError, or NotPermitted if it belongs to another user.

    It is not followed when it is a link: whoever made the directory around it could otherwise have
    files of the user's read and written over that lie elsewhere.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        check_owner(fd, path, workspace)
        yield fd
    finally:
        os.close(fd)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
