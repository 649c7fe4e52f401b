"""The freed memory that the C library keeps (mallopt(3), malloc_trim(3))."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
_libc = ctypes.CDLL(None)


def use_one_heap() -> None:
    """Let all threads share one heap, so that each does not keep freed memory of its own.

    With a heap for each thread, 30 MB more stay after an import.  Under the interpreter's lock
    threads do not compete for a shared one.
    """
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free pages to the system: a few ms after large work.  Not every libc can."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
