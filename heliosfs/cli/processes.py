"""Whole trees of processes: found in /proc, and ended, whatever sessions they have made.

A process whose parent has ended becomes a child of the nearest ancestor that is a "subreaper"
(prctl(2)).  A process that is one has all that it started among its descendants for as long as
they run, without a cgroup or any right of root.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 3.0
"""Time that processes have to end by themselves after SIGTERM."""
_KILL_SECONDS = 5.0
"""Time in which killed processes must be gone; one that waits for a disk may take longer."""
_POLL_SECONDS = 0.01


def become_subreaper() -> None:
    """Let descendants whose parent ends become children of this process."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """Let the kernel send SIGTERM to this process when its parent, `parent`, ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def descendants(of: int, spared: Collection[int] = ()) -> list[int]:
    """Return the ids of all processes below a process, parents first; zombies are left out.

    Those in `spared`, and what is below them, are left out, too.
    """
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                state, parent = _state_and_parent(name)
                if state not in "ZX":
                    children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    level = [of]
    while level:
        below = [child for each in level for child in children.get(each, [])]
        level = [child for child in below if child not in spared]
        found += level
    return found


def end_descendants(
    grace_seconds: float = GRACE_SECONDS, spared: Collection[int] = ()
) -> list[int]:
    """End all processes below this one; return the ids of those that are still there.

    They get SIGTERM, and after `grace_seconds` SIGKILL.  The ended ones are reaped.  It takes at
    most `grace_seconds` and five seconds more.  The caller is a subreaper and waits for no child.
    """
    me = os.getpid()
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, _KILL_SECONDS)):
        until = time.monotonic() + seconds
        told: set[int] = set()
        while left := descendants(me, spared):
            # A process may have begun since the last look.
            for pid in left if number == signal.SIGKILL else set(left) - told:
                told.add(pid)
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
                    # A stopped process acts on no other signal.
                    os.kill(pid, signal.SIGCONT)
            if time.monotonic() > until:
                break
            _reap()
            time.sleep(_POLL_SECONDS)
        _reap()
        if not left:
            return []
    return descendants(me, spared)


def _reap() -> None:
    """Reap every child that has ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def exit_code_of_status(status: int) -> int:
    """Return the exit code for the status of an ended child: 128 + N for signal N, as shells do."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _state_and_parent(pid: str) -> tuple[str, int]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The name of the program, in brackets, may have blanks and brackets itself.
        fields = file.read().rpartition(b") ")[2].split()
    return fields[0].decode(), int(fields[1])
