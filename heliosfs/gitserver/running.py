"""The mark of the git that uses a mirror: which process it is, also after the one that began it.

No lock is inherited: git starts programs that stay, such as `git credential-cache`, and would hold
it for them.
"""

from __future__ import annotations

import os
import time

from heliosfs.errors import Busy

_WAITED_SECONDS = 10.0
_LOOKED_AGAIN_SECONDS = 0.02
_BOOT = "/proc/sys/kernel/random/boot_id"
_MARK_MAX_BYTES = 256


def mark(fd: int, pid: int) -> None:
    """Write into a file which process uses the mirror now."""
    data = f"{_boot()} {pid} {_began(pid)}\n".encode()
    os.pwrite(fd, data, 0)
    os.ftruncate(fd, len(data))


def wait_for_marked(fd: int) -> bool:
    """Wait until the process of a mark has ended; return True if there is a mark.  Busy."""
    said = os.pread(fd, _MARK_MAX_BYTES, 0).decode("ascii", "replace").split()
    end = time.monotonic() + _WAITED_SECONDS
    while _is_alive(said):
        if time.monotonic() > end:
            raise Busy(
                f"git still talks to this server for an earlier command, as process {said[1]}: "
                "wait for its end"
            )
        time.sleep(_LOOKED_AGAIN_SECONDS)
    return bool(said)


def _is_alive(said: list[str]) -> bool:
    if len(said) != 3 or said[0] != _boot() or not said[1].isdigit():
        return False
    return _began(int(said[1])) == said[2]


def _boot() -> str:
    try:
        with open(_BOOT, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "-"


def _began(pid: int) -> str:
    """Return the time at which a process began, in ticks; empty if it has ended (proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name before it may have blanks and brackets.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode("ascii")
