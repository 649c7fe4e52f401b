"""Paths that a request names, for a daemon that must not block on what it serves itself."""

from __future__ import annotations

import os
import re
from functools import partial

from heliosfs.commands.options import Options
from heliosfs.store.steps import Steps, on_thread

_MOUNTINFO = "/proc/self/mountinfo"
_OURS = b"fuse.heliosfs"
_OCTAL = re.compile(rb"\\([0-7]{3})")


def named_path(options: Options, key: str) -> Steps[str | None]:
    """The path that an option names, links resolved; None when the option is not there.

    UsageError when it is relative: nobody's current directory is known.
    """
    path = options.value(key)
    if path is None:
        return None
    if not path.startswith("/"):
        raise options.misuse(f"--{key} takes an absolute path here, not {path[:80]!r}")
    resolved: str = yield from on_thread(partial(os.path.realpath, path))
    return resolved


def workspace_over(path: str) -> str | None:
    """Where a workspace is mounted that a path without links leads into.

    It may be the one whose daemon asks, and waits for itself if it touches what is there.
    """
    for place in _mount_points():
        if (os.fsencode(path) + b"/").startswith(place + b"/"):
            return os.fsdecode(place)
    return None


def _mount_points() -> list[bytes]:
    """Where workspaces are mounted (proc_pid_mountinfo(5))."""
    places = []
    with open(_MOUNTINFO, "rb") as file:
        for line in file:
            before, _, after = line.partition(b" - ")
            if after.split(b" ", 1)[0] == _OURS:
                places.append(
                    _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), before.split(b" ")[4])
                )
    return places
