"""Damage that a push or a fetch meets, told as that of the place where it is.

Objects that come from a bucket are stored under the id of their bytes.  So bytes in the store that
do not have their id were spoilt here, and what a bucket lacks was looked for there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from heliosfs.errors import (
    CorruptObject,
    HeliosError,
    MissingObject,
    PromisedObject,
    StoreError,
)
from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.base import Objects


class DamagedRemote(HeliosError):
    """A bucket has objects that are damaged or missing, or are not what their names say."""


class DamagedHere(StoreError):
    """An object in the store here is damaged or missing, which no remote has to do with."""


@contextmanager
def told_as_of(remote: str) -> Iterator[None]:
    """Tell damage that is met in the block as that of a remote.  DamagedRemote."""
    try:
        yield
    except PromisedObject:
        raise
    except (CorruptObject, MissingObject) as error:
        raise DamagedRemote(f"{remote} is damaged, and nothing was changed: {error}") from error


@contextmanager
def told_as_local() -> Iterator[None]:
    """Tell damage that is met in the block as that of the store here.  DamagedHere."""
    try:
        yield
    except PromisedObject:
        raise
    except (CorruptObject, MissingObject) as error:
        raise DamagedHere(
            f"the store here is damaged, not the remote: {error}: 'helios fsck' tells more"
        ) from error


def read_here(store: Objects, oid: Oid, kind: Kind) -> bytes:
    """Return an object that must be here, whatever a remote has.  DamagedHere."""
    with told_as_local():
        return store.read(oid, kind)


def read_whole(store: Objects, oid: Oid, kind: Kind) -> bytes:
    """Return an object that may have come from a remote a moment ago.

    MissingObject, if it did not come; CorruptObject, if it is of another kind; DamagedHere, if its
    bytes are not those that were stored.
    """
    try:
        return store.read(oid, kind)
    except CorruptObject:
        if any(_is_whole(store, oid, each) for each in Kind):
            raise
        return read_here(store, oid, kind)


def _is_whole(store: Objects, oid: Oid, kind: Kind) -> bool:
    try:
        store.read(oid, kind)
    except (CorruptObject, MissingObject):
        return False
    return True
