"""The freed memory that the C library keeps (mallopt(3), malloc_trim(3))."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_HEAP_KEPT_BYTES = 32 * 1024 * 1024
"""Free memory at the end of the heap that stays until `give_back`: as much as a writer of a large
file fills and empties again and again.  Each page of memory that is fetched anew costs a fault, a
seventh of the daemon's time for such a write."""
_MAPPED_FROM_BYTES = 8 * 1024 * 1024
"""Size from which memory comes from the system and goes back to it when it is freed."""
_libc = ctypes.CDLL(None)


def use_one_heap() -> None:
    """Let all threads share one heap, which keeps freed memory for the next use.

    With a heap for each thread, 30 MB more stay after an import.  Under the interpreter's lock
    threads do not compete for a shared one.
    """
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_TRIM_THRESHOLD, _HEAP_KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)


def give_back() -> None:
    """Return free pages to the system: a few ms after large work.  Not every libc can."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
