"""Paths outside of the workspace that a request names, for a daemon that must not block on them."""

from __future__ import annotations

import os
import re
from functools import partial

from heliosfs.commands.options import Options
from heliosfs.errors import Busy
from heliosfs.store.steps import Steps, on_thread

_MOUNTINFO = "/proc/self/mountinfo"
_OURS = b"fuse.heliosfs"
_OCTAL = re.compile(rb"\\([0-7]{3})")


def named_path(options: Options, key: str, *, outside: bool) -> Steps[str | None]:
    """The path that an option names, links resolved; None when the option is not there.

    UsageError when it is relative: nobody's current directory is known.  With `outside`, Busy
    when it leads into a mounted workspace: for what is not done on a thread, this may be the
    daemon that would have to serve it.
    """
    path = options.value(key)
    if path is None:
        return None
    if not path.startswith("/"):
        raise options.misuse(f"--{key} takes an absolute path here, not {path[:80]!r}")
    resolved: str = yield from on_thread(partial(os.path.realpath, path))
    for place in _mount_points() if outside else ():
        if (os.fsencode(resolved) + b"/").startswith(place + b"/"):
            raise Busy(
                f"{path} lies in the mounted workspace {os.fsdecode(place)}: unmount it first, "
                "or name a path outside"
            )
    return resolved


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
