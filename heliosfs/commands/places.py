"""Paths outside of the workspace that a request names, for a daemon that must not block on them."""

from __future__ import annotations

import os
import re
import subprocess

from heliosfs.commands.options import Options
from heliosfs.errors import Busy

_MOUNTINFO = "/proc/self/mountinfo"
_OURS = b"fuse.heliosfs"
_OCTAL = re.compile(rb"\\([0-7]{3})")
_SECONDS = 5


def outside(options: Options, key: str) -> str | None:
    """The path that an option names, links resolved; None when the option is not there.

    UsageError when it is relative: nobody's current directory is known.  Busy when it leads
    into a mounted workspace: this may be the daemon that would have to serve it.
    """
    path = options.value(key)
    if path is None:
        return None
    if not path.startswith("/"):
        raise options.misuse(f"--{key} takes an absolute path here, not {path[:80]!r}")
    # Not os.path.realpath: a look-up in our own mount would wait for ourselves.
    try:
        done = subprocess.run(
            ["readlink", "-m", "--", path], capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Busy(f"{path} does not answer") from error
    resolved = done.stdout.removesuffix(b"\n") or os.fsencode(path)
    for place in _mount_points():
        if (resolved + b"/").startswith(place + b"/"):
            raise Busy(
                f"{path} lies in the mounted workspace {os.fsdecode(place)}: unmount it first, "
                "or name a path outside"
            )
    return os.fsdecode(resolved)


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
