"""Directories that a command writes whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from heliosfs.errors import AlreadyExists


@contextmanager
def written_whole(out: str) -> Iterator[bytes]:
    """Yield the directory to write into: it is `out` in the end, and an error leaves nothing of it.

    A directory that is not there yet has another name until it is whole, beside it, so that a
    process that is killed leaves no half one.  An empty one is used as it is, and emptied after an
    error.  AlreadyExists.
    """
    root = os.fsencode(out)
    if os.path.lexists(root):
        with _emptied(root, out):
            yield root
        return
    root = root.rstrip(b"/")
    above, name = os.path.split(root)
    new = os.path.join(above, b".%s.%s" % (name[:200], secrets.token_hex(4).encode()))
    made = _make(new, above, out)
    try:
        try:
            yield new
            # As mkdir would, and not over what somebody else has made meanwhile.
            if os.path.lexists(root):
                raise AlreadyExists(f"{out} was made by somebody else")
            os.rename(new, root)
        except BaseException:
            _remove(new)
            raise
    except BaseException:
        for each in made:
            with suppress(OSError):
                os.rmdir(each)
        raise


def _make(new: bytes, above: bytes, out: str) -> list[bytes]:
    """Make a directory; return those above it that were not there, the lowest first."""
    made: list[bytes] = []
    while above and not os.path.lexists(above):
        made.append(above)
        above = os.path.split(above.rstrip(b"/"))[0]
    try:
        for each in [*reversed(made), new]:
            os.mkdir(each)
    except NotADirectoryError as error:
        raise AlreadyExists(f"{out} is not a directory") from error
    except OSError as error:
        # Nobody knows the other name.
        error.filename = out
        raise
    return made


@contextmanager
def _emptied(root: bytes, out: str) -> Iterator[None]:
    """Check that a directory is empty, and let it be so again after an error."""
    try:
        names = os.listdir(root)
        before = os.stat(root)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AlreadyExists(f"{out} is not a directory") from error
    if names:
        raise AlreadyExists(f"{out} is not empty")
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.chmod(root, before.st_mode & 0o7777)
            for name in os.listdir(root):
                _remove(os.path.join(root, name))
        raise


def _remove(path: bytes) -> None:
    """Remove a file, or a directory with all that is in it, whatever its permissions are."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    with suppress(OSError):
        os.chmod(path, 0o700)
    for above, names, _ in os.walk(path):
        for name in names:
            below = os.path.join(above, name)
            if not os.path.islink(below):
                with suppress(OSError):
                    os.chmod(below, 0o700)
    shutil.rmtree(path, ignore_errors=True)
