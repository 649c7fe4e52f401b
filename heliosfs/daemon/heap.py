"""What the C library keeps of memory that was freed (mallopt(3), malloc_trim(3))."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
_libc = ctypes.CDLL(None)


def use_one_heap() -> None:
    """Let threads share a heap: under the interpreter's lock they do not get in each other's way.

    Each would otherwise keep what it once had: 30 MB more after an import.
    """
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free pages to the system.  A few ms after work that took much; not every libc can."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
