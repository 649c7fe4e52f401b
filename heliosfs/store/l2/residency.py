"""How much of a mapped file counts as our memory."""

from __future__ import annotations

import ctypes
import os

_MADV_DONTNEED = 4
_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def unmap_pages(device: int, inode: int) -> bool:
    """Take the pages of a file that is mapped shared out of our address space.

    They stay in the page cache, and come back at the next access (madvise(2)): what shrinks is
    the resident set, which otherwise grows to all that was ever read, 16 pages at a time.
    Safe while other threads read.  Cost: about 0.2 ms.  False when no mapping was found.
    """
    found = False
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            span, _, _, place, number, *_ = line.split(maxsplit=5)
            if int(number) != inode or place != f"{os.major(device):02x}:{os.minor(device):02x}":
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            found |= _libc.madvise(start, end - start, _MADV_DONTNEED) == 0
    return found
