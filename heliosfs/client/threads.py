"""Blocking calls on threads, for programs that run on asyncio or on trio.

anyio is not needed: what runs on it runs on one of these two.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import TypeVar, cast

T = TypeVar("T")


async def in_thread(
    call: Callable[[], T], *, kill: Callable[[], None] | None = None, is_last: bool = False
) -> T:
    """Return the result of a call that runs on a thread, while the event loop goes on.

    A request cannot be called back, so a caller that is cancelled waits for its end; `kill` is
    called first, to end what takes long.  A call that `is_last` is made even if the caller was
    cancelled before.
    """
    # Looked up, not imported: a program that runs on trio has imported it.
    trio = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_run():
        return await _on_asyncio(call, kill)
    with trio.CancelScope(shield=True) if is_last else nullcontext():
        try:
            result = await trio.to_thread.run_sync(call, abandon_on_cancel=kill is not None)
        except trio.Cancelled:
            if kill is not None:
                kill()
            raise
    return cast("T", result)


async def _on_asyncio(call: Callable[[], T], kill: Callable[[], None] | None) -> T:
    task = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if kill is not None:
            kill()
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        # An error that nobody would hear of is looked at, or asyncio complains.
        task.exception()
        raise
