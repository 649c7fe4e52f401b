"""Freeing of large containers without holding the interpreter.

A dict, set or list is freed in one call, which lets no other thread run before its end: 20 ms for
100,000 small objects.  So whatever grows with the history is emptied an entry at a time first.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any, TypeAlias

from heliosfs.pace import Pace

_LARGE_COUNT = 1_000
"""Entries from which on a container is emptied: fewer are freed in 0.2 ms."""
_PIECE_COUNT = 256

Container: TypeAlias = "dict[Any, Any] | set[Any] | list[Any] | deque[Any]"


def empty(containers: Iterable[Container]) -> None:
    """Empty containers that nobody uses any more, on any thread: 0.1 us an entry."""
    pace = Pace()
    for each in containers:
        while each:
            pace()
            if isinstance(each, list):
                del each[-_PIECE_COUNT:]
            elif isinstance(each, dict):
                for _ in range(min(_PIECE_COUNT, len(each))):
                    each.popitem()
            else:
                for _ in range(min(_PIECE_COUNT, len(each))):
                    each.pop()


def empty_later(*containers: Container) -> None:
    """Empty containers that nobody uses any more, on a thread of their own.

    Where no other thread serves requests, they are freed as usual.
    """
    large = [each for each in containers if len(each) >= _LARGE_COUNT]
    if large and Pace.is_shared:
        threading.Thread(target=empty, args=(large,), name="emptying").start()
