"""Beneath: the directory that a mount covers, and the record of the files imported from it.

Files that are there when a workspace is first mounted are imported, and stay in place, too.  Files
that are written there later, while nothing is mounted, are hidden by the next mount.  So the
imported files are recorded by name, size and time (`KnownItems`), and the user is warned of all
others.
"""

from __future__ import annotations

import contextlib
import os
from shlex import quote
from typing import NamedTuple

from heliosfs.repo import keys
from heliosfs.store.base import StateMap
from heliosfs.workspace.foreign import NOTE, KnownItems

_MARK = b"# heliosfs: not mounted\n"
_TEXT = """
The workspace {path} is not mounted, and what you see
here is the directory beneath it: an old copy, or nothing. Mount it with

    helios mount {name}

What you write here now is not in the workspace, and a mount hides it. The next
mount names such files, and 'helios import --beneath' takes them in. This file is
no part of the workspace, and made anew by each mount.
"""


class Beneath(NamedTuple):
    """The open directory beneath a mount point, or that of a workspace that is not mounted."""

    dir_fd: int
    path: str


def known(store: StateMap) -> KnownItems | None:
    """Return the record of imported files; None if an older heliosfs made none."""
    packed = store.get(keys.BENEATH)
    return None if packed is None else KnownItems(packed)


def remember(store: StateMap, taken: KnownItems) -> None:
    """Record the imported files; the caller publishes."""
    store.put(keys.BENEATH, taken.pack())


def leave_note(beneath: Beneath) -> None:
    """Write a note beneath the mount point that says that nothing is mounted.

    A file of that name that is not ours stays as it is.  If the note cannot be written, there is
    none.
    """
    told = _TEXT.format(path=beneath.path, name=quote(beneath.path))
    text = _MARK + told.encode("utf-8", "surrogateescape")
    with contextlib.suppress(OSError):
        # A FIFO of that name must not block the mount, and a link must not lead out of the
        # directory.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(NOTE, flags, 0o644, dir_fd=beneath.dir_fd)
        try:
            there = os.pread(fd, len(text) + 1, 0)
            if there != text and (not there or there.startswith(_MARK)):
                os.ftruncate(fd, 0)
                os.pwrite(fd, text, 0)
        finally:
            os.close(fd)
