"""Bounds of a verb that only reads: it ends with its caller, and takes no more than its memory.

A history of a few KB can name more paths than any memory holds, as its directories share their
trees.  Some verbs know how long their reply may become; this check covers what all of them gather
on the way, whatever it is.
"""

from __future__ import annotations

from heliosfs.daemon.caller import wants_to_end
from heliosfs.errors import Interrupted, TooLarge
from heliosfs.repo.core import Core
from heliosfs.repo.metrics import resident_bytes

MEMORY_MIN_BYTES = 64 * 1024 * 1024
_MIB = 1024 * 1024


class Reader:
    """Check of one reading verb, to be called about every 0.1 s; the first call is the start."""

    def __init__(self, core: Core, name: str, pid: int) -> None:
        self._core = core
        self._name = name
        self._pid = pid
        """Thread that waits for the reply; 0 if it is not known."""
        self._start_bytes: int | None = None

    def __call__(self) -> None:
        """Raise Interrupted if the caller ends, TooLarge if the daemon grew beyond the bound."""
        if self._pid and wants_to_end(self._pid):
            raise Interrupted(f"{self._name} was interrupted")
        other_bytes = self._other_bytes()
        if self._start_bytes is None:
            self._start_bytes = other_bytes
        max_bytes = max(MEMORY_MIN_BYTES, self._core.working_set.budget_bytes // 2)
        if other_bytes - self._start_bytes > max_bytes:
            raise TooLarge(
                f"{self._name} needs more than {max_bytes // _MIB} MiB of memory, half of "
                "performance.working_set: name paths or fewer commits, or raise that setting"
            )

    def _other_bytes(self) -> int:
        """Return the memory that is not accounted for, and so may be the verb's: 20 us."""
        return resident_bytes() - self._core.resident_bytes
