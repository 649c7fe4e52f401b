"""The errors a caller can act on: a class per meaning, each with its errno and exit code.

Nothing here derives from OSError: an `open()` of our own that fails is a bug or a
broken store, and must never reach a program as "no such file".
"""

from __future__ import annotations

import errno as _errno


class HeliosError(Exception):
    """Base class of refusals, after which nothing is changed.

    `str()` is lower case and names the thing that was refused.

    `errno` goes to the kernel, `exit_code` to the shell (1 refused, 2 wrong usage).
    """

    errno: int = _errno.EIO
    exit_code: int = 1


class UsageError(HeliosError):
    """Wrong syntax, an unknown verb or option, a bad name, a NUL byte, or text not in UTF-8."""

    errno = _errno.EINVAL
    exit_code = 2


class NotFound(HeliosError):
    """An unknown revision, branch, tag or path."""

    errno = _errno.ENOENT


class AlreadyExists(HeliosError):
    """The name is taken."""

    errno = _errno.EEXIST


class Ambiguous(HeliosError):
    """An id prefix that more than one commit has."""

    errno = _errno.ENOTUNIQ


class Busy(HeliosError):
    """The branch is in use elsewhere, or holds work that the verb would drop."""

    errno = _errno.EBUSY


class Conflicted(HeliosError):
    """Both sides of a merge changed the same paths in ways that cannot be combined."""

    errno = _errno.EAGAIN


class Interrupted(HeliosError):
    """A long verb was stopped by a signal to its caller, or by an unmount."""

    errno = _errno.EINTR


class Stale(HeliosError):
    """HEAD is not the commit that the caller expected."""

    errno = _errno.ESTALE


class NothingToCommit(HeliosError):
    """Nothing but times differs from HEAD, and no empty commit was asked for."""

    errno = _errno.ENODATA


class ReadOnly(HeliosError):
    """A snapshot, or a mount that turned read-only after its store failed."""

    errno = _errno.EROFS


class NotPermitted(HeliosError):
    """A path that is under `.helios`, ignored, or has a filter of git; history that is not here."""

    errno = _errno.EPERM


class TooLarge(HeliosError):
    """A request of more than 64 KiB, or a reply that would take too much memory."""

    errno = _errno.EMSGSIZE


class StoreError(HeliosError):
    """The store failed: an object is missing or damaged, or a write did not succeed."""

    errno = _errno.EIO


class MissingObject(StoreError):
    """An object that something refers to is not in the store."""


class PromisedObject(MissingObject):
    """The content of a file has not been fetched yet: a remote has it."""

    def __init__(self, oid: bytes, remote: str) -> None:
        name = oid.hex()[:12]
        super().__init__(
            f"content {name} is still at the remote {remote!r}: 'helios fetch --contents' brings "
            "all that is there"
        )
        self.oid = oid
        """Id of the object."""
        self.remote = remote
        """Name of the remote that has it."""


class Unfetched(StoreError):
    """The content of a file is still at a remote, and could not be had from there."""


class CorruptObject(StoreError):
    """The bytes of an object do not have its id, or cannot be decoded."""


class StoreFull(StoreError):
    """The disk, or `storage.max_size`, is full."""

    errno = _errno.ENOSPC


class StoreUnwritable(StoreError):
    """The file system on which the store lies is read-only."""

    errno = _errno.EROFS


class StoreBusy(StoreError):
    """Another process has the store open."""

    errno = _errno.EBUSY

    def __init__(self, text: str, pid: int = 0) -> None:
        super().__init__(text)
        self.pid = pid
        """Id of that process; 0 if it is not known."""


class StoreFormat(StoreError):
    """The store has a format that this version does not know."""

    errno = _errno.EINVAL


class PosixError(HeliosError):
    """Error of a system call on a file, with no message besides its errno (errno(3))."""

    def __init__(self, errno: int, text: str = "") -> None:
        super().__init__(text or _errno.errorcode.get(errno, str(errno)))
        self.errno = errno
