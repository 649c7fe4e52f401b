"""What is around every request handler: errors become errnos, and `--debug` becomes a log."""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pyfuse3

from heliosfs.errors import HeliosError, StoreError

log = logging.getLogger(__name__)
_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[Any]])


def handler(function: _Handler) -> _Handler:
    """Map our errors to their errno, and any other exception to EIO with a traceback."""

    @functools.wraps(function)
    async def handle(self: Any, *arguments: Any) -> Any:
        try:
            return await function(self, *arguments)
        except HeliosError as error:
            if isinstance(error, StoreError):
                log.error("%s: %s", function.__name__, error)
            raise pyfuse3.FUSEError(error.errno) from None
        except pyfuse3.FUSEError:
            raise
        except Exception:
            log.exception("%s failed", function.__name__)
            raise pyfuse3.FUSEError(errno.EIO) from None

    return handle  # type: ignore[return-value]


def logged(function: _Handler) -> _Handler:
    """Log each request and what it was answered, for `--debug`."""

    @functools.wraps(function)
    async def handle(self: Any, *arguments: Any) -> Any:
        shown = ", ".join(_show(argument) for argument in arguments)
        try:
            result = await function(self, *arguments)
        except pyfuse3.FUSEError as error:
            log.debug("%s(%s): %s", function.__name__, shown, os.strerror(error.errno))
            raise
        log.debug("%s(%s): %s", function.__name__, shown, _show(result))
        return result

    return handle  # type: ignore[return-value]


def log_requests(operations: type) -> None:
    """Make every handler of a class log what it is asked and what it answers."""
    for name, function in list(vars(operations).items()):
        if hasattr(function, "__wrapped__"):
            setattr(operations, name, logged(function))


def _show(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"{bytes(value[:60])!r}" + (f"+{len(value) - 60}" if len(value) > 60 else "")
    if isinstance(value, (int, str, type(None))):
        return repr(value)
    if isinstance(value, pyfuse3.EntryAttributes):
        return f"<inode {value.st_ino}>"
    return f"<{type(value).__name__}>"
