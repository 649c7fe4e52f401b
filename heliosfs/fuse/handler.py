"""The type of a request handler, and the decorators of the methods that pyfuse3 calls."""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import pyfuse3

from heliosfs.errors import HeliosError, StoreError, Unfetched
from heliosfs.fuse.wire import Data, Message, OpenFlags

Answer: TypeAlias = "Data | Coroutine[Any, Any, Data] | None"
"""Body of an answer, or a coroutine that returns it; None for requests that have no answer."""
Handler: TypeAlias = Callable[[int, Message, int], Answer]
"""Function of the inode number, the message and its length that returns the answer."""
DONE = b""
OPENED_FILE = OpenFlags.KEEP_CACHE | OpenFlags.NO_FLUSH
"""Flags of an opened file of a workspace: the kernel keeps its pages, since only this mount
changes them, and sends no FLUSH when it is closed."""

log = logging.getLogger(__name__)
_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[Any]])


def handler(function: _Handler) -> _Handler:
    """Wrap a method of pyfuse3 so that a HeliosError becomes its errno, and any other error EIO."""

    @functools.wraps(function)
    async def handle(self: Any, *arguments: Any) -> Any:
        try:
            return await function(self, *arguments)
        except pyfuse3.FUSEError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, it has an errno)
            raise pyfuse3.FUSEError(errno_of(function.__name__, error)) from None

    return handle  # type: ignore[return-value]


def errno_of(name: str, error: Exception) -> int:
    """Return the errno to answer with; log the error if the caller did not cause it."""
    if not isinstance(error, HeliosError):
        log.error("%s failed", name, exc_info=error)
        return errno.EIO
    # That contents cannot be had is told once, and not for each file of a search.
    if isinstance(error, StoreError) and not isinstance(error, Unfetched):
        log.error("%s: %s", name, error)
    return error.errno


def logged(function: _Handler) -> _Handler:
    """Wrap a method of pyfuse3 so that each request and its answer are logged, for `--debug`."""

    @functools.wraps(function)
    async def handle(self: Any, *arguments: Any) -> Any:
        shown = ", ".join(show(argument) for argument in arguments)
        try:
            result = await function(self, *arguments)
        except pyfuse3.FUSEError as error:
            log.debug("%s(%s): %s", function.__name__, shown, os.strerror(error.errno))
            raise
        log.debug("%s(%s): %s", function.__name__, shown, show(result))
        return result

    return handle  # type: ignore[return-value]


def log_requests(operations: type) -> None:
    """Replace each handler of a class by one that logs its requests and answers."""
    for name, function in list(vars(operations).items()):
        if hasattr(function, "__wrapped__"):
            setattr(operations, name, logged(function))


def show(value: object) -> str:
    """Return a value as it is written to the log, at most 60 bytes of it."""
    if isinstance(value, (bytes, bytearray)):
        return f"{bytes(value[:60])!r}" + (f"+{len(value) - 60}" if len(value) > 60 else "")
    if isinstance(value, (int, str, type(None))):
        return repr(value)
    return f"<{type(value).__name__}>"
