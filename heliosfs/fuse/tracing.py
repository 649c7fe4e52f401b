"""The log of requests and their answers, for `--debug`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from heliosfs.errors import HeliosError
from heliosfs.fuse import wire
from heliosfs.fuse.handler import Answer, Handler, show
from heliosfs.fuse.wire import BODY_AT, Data, Message, Opcode, OpenFlags

_NAMES_AT = {
    Opcode.LOOKUP: 0,
    Opcode.SYMLINK: 0,
    Opcode.UNLINK: 0,
    Opcode.RMDIR: 0,
    Opcode.MKNOD: wire.MKNOD.size,
    Opcode.MKDIR: wire.MKDIR.size,
    Opcode.CREATE: wire.CREATE.size,
    Opcode.TMPFILE: wire.CREATE.size,
    Opcode.LINK: wire.NUMBER.size,
    Opcode.RENAME: wire.NUMBER.size,
    Opcode.RENAME2: wire.RENAME2.size,
}
"""Opcode -> offset in the body at which the names of the request begin."""
_ENTRIES = (
    Opcode.LOOKUP,
    Opcode.SYMLINK,
    Opcode.MKNOD,
    Opcode.MKDIR,
    Opcode.CREATE,
    Opcode.TMPFILE,
    Opcode.LINK,
)
_TEXTS = (Opcode.READ, Opcode.READLINK)
_TRANSFERS = (Opcode.READ, Opcode.WRITE, Opcode.READDIRPLUS)

log = logging.getLogger(__name__)


def traced(handlers: Mapping[int, Handler]) -> dict[int, Handler]:
    """Return the handlers, each wrapped so that it logs a line for each request."""
    return {opcode: _traced(Opcode(opcode), handler) for opcode, handler in handlers.items()}


def _traced(opcode: Opcode, handler: Handler) -> Handler:
    def handle(ino: int, message: Message, end: int) -> Answer:
        request = f"{opcode.name.lower()}({ino}{_arguments(opcode, message, end)})"
        answer = _traced_call(request, lambda: handler(ino, message, end))
        if isinstance(answer, Coroutine):
            return _wait(opcode, request, answer)
        log.debug("%s: %s", request, _answered(opcode, answer))
        return answer

    return handle


async def _wait(opcode: Opcode, request: str, waiting: Coroutine[Any, Any, Data]) -> Data:
    try:
        answer = await waiting
    except HeliosError as error:
        log.debug("%s: %s", request, os.strerror(error.errno))
        raise
    log.debug("%s: %s", request, _answered(opcode, answer))
    return answer


def _traced_call(request: str, call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    except HeliosError as error:
        log.debug("%s: %s", request, os.strerror(error.errno))
        raise


def _arguments(opcode: Opcode, message: Message, end: int) -> str:
    if opcode in _NAMES_AT:
        names = bytes(message[BODY_AT + _NAMES_AT[opcode] : end - 1]).split(b"\0")
        return "".join(f", {name!r}" for name in names)
    if opcode in _TRANSFERS:
        fh, offset, size = wire.TRANSFER.unpack_from(message, BODY_AT)
        data = (
            show(message[BODY_AT + wire.TRANSFER_BYTES : end]) if opcode == Opcode.WRITE else size
        )
        return f", fh {fh}, at {offset}, {data}"
    return ""


def _answered(opcode: Opcode, data: Data | None) -> str:
    if not data:
        return "done"
    if opcode in _ENTRIES:
        (ino,) = wire.NUMBER.unpack_from(data)
        return f"inode {ino}" if ino else "no such name"
    if opcode == Opcode.OPEN:
        fh, flags, _ = wire.OPENED.unpack(data)
        return f"fh {fh}, {OpenFlags(flags)!r}"
    return show(data) if opcode in _TEXTS else f"{len(data)} bytes"
