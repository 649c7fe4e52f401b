"""The five methods by which object storage is used, and what each of them may fail with.

Names and values are those of S3 with conditional writes: an object is created if there is none of
its key, and replaced if it is still the version that was read.  All methods block, and may be
called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from heliosfs.errors import HeliosError, NotFound, Stale, StoreError


class StoredObject(NamedTuple):
    """An object in a listing."""

    key: str
    size: int
    """In bytes."""
    version: str
    """Version as `swap` and `delete` expect it: an ETag."""
    modified_at: float
    """Time of the last change by the clock of the storage, in seconds since 1970."""


class Got(NamedTuple):
    """The bytes of an object, or of a range of it, and its version."""

    data: bytes
    version: str


class NoObject(NotFound):
    """There is no object of a key."""


class Changed(Stale):
    """The object is another version than was expected, or there is one where none was expected."""


class Unreachable(StoreError):
    """The storage does not answer, or refuses the credentials; the text says which."""


class Lying(HeliosError):
    """The storage accepted what it must refuse, or returned other bytes than were asked for."""


class Bucket(Protocol):
    """Object storage below one prefix.

    Keys are relative to it, with slashes, in ASCII, and no part begins with a dot; any other is
    refused with UsageError.  Some storages (SeaweedFS) make files and directories of them: for
    those, where one key is `a/b`, none is `a`, and none is listed in order that begins with `a`,
    as `a-` does; and no part is longer than 255 bytes.  Every method may raise `Unreachable`.
    """

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        """Return `length` bytes from `start`, or those up to the end; fewer, or none, at the end.

        One request.  NoObject, or Lying if fewer bytes come than the object has.
        """
        ...

    def create(self, key: str, data: bytes) -> str:
        """Store an object that must not be there yet; return its version.

        One request.  Changed if there is one, and only then, so that what is named by its content
        is there: after a request whose answer was lost it may be our own.
        """
        ...

    def swap(self, key: str, data: bytes, expected: str) -> str:
        """Replace an object that must be of the version `expected`; return the new version.

        One request.  Changed, also if it was deleted; after a request whose answer was lost the
        other version may be our own.
        """
        ...

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        """Return the objects whose keys begin with `prefix`, and are greater than `after`, by key.

        One request for each 1,000.
        """
        ...

    def delete(self, key: str, expected: str | None = None) -> None:
        """Delete an object; nothing happens if there is none.

        With `expected`, Changed if it is another version: where a storage cannot compare while it
        deletes, it is looked at before, and what is written in between is deleted.
        """
        ...
