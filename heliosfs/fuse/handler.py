"""What a handler of requests is, and what is around those that pyfuse3 calls."""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import pyfuse3

from heliosfs.errors import HeliosError, StoreError
from heliosfs.fuse.wire import Data, Message, OpenFlags

Answer: TypeAlias = "Data | Coroutine[Any, Any, Data] | None"
"""None: to some requests the kernel wants none."""
Handler: TypeAlias = Callable[[int, Message, int], Answer]
"""From the inode, the message and its length."""
DONE = b""
OPENED_FILE = OpenFlags.KEEP_CACHE | OpenFlags.NO_FLUSH
"""How the kernel treats the files of a workspace, which nobody else changes."""

log = logging.getLogger(__name__)
_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[Any]])


def handler(function: _Handler) -> _Handler:
    """Map our errors to their errno, and any other exception to EIO with a traceback."""

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
    """What the kernel is told of an error, and the log, if it is not one of the caller's."""
    if not isinstance(error, HeliosError):
        log.error("%s failed", name, exc_info=error)
        return errno.EIO
    if isinstance(error, StoreError):
        log.error("%s: %s", name, error)
    return error.errno


def logged(function: _Handler) -> _Handler:
    """Log each request and what it was answered, for `--debug`."""

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
    """Make every handler of a class log what it is asked and what it answers."""
    for name, function in list(vars(operations).items()):
        if hasattr(function, "__wrapped__"):
            setattr(operations, name, logged(function))


def show(value: object) -> str:
    """A value as the log tells it."""
    if isinstance(value, (bytes, bytearray)):
        return f"{bytes(value[:60])!r}" + (f"+{len(value) - 60}" if len(value) > 60 else "")
    if isinstance(value, (int, str, type(None))):
        return repr(value)
    return f"<{type(value).__name__}>"
