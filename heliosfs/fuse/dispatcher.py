"""The workers: they read the kernel's requests, and answer them or send them on to pyfuse3.

One worker reads at a time, and answers at once each request that need not wait.  A request that
has to wait keeps the worker that read it, while another worker reads on.
"""

from __future__ import annotations

import errno
from collections.abc import Coroutine, Mapping
from typing import Any, TypeAlias

import pyfuse3
import trio

from heliosfs.fuse.connection import Connection
from heliosfs.fuse.handler import Handler, errno_of
from heliosfs.fuse.loop import ReaderLock, RequestLoop
from heliosfs.fuse.wire import HEAD, Data, Opcode
from heliosfs.pace import Pace

IDLE_MAX = 4
"""Most workers that wait for their turn to read; further idle workers end."""
_RELAY_MIN_WORKERS = 2
_RELAY_MAX_WORKERS = 1_000_000
"""Most workers of pyfuse3, which is to say no limit: each waiting request keeps a worker, and one
must be left to read the requests that those wait for, however many processes wait at once."""

_Waiting: TypeAlias = "tuple[int, int, Coroutine[Any, Any, Data | None]]"
"""Opcode and unique number of a request, and the coroutine that answers it."""

_RELAYED = frozenset(
    (
        Opcode.STATFS,
        Opcode.SETXATTR,
        Opcode.GETXATTR,
        Opcode.LISTXATTR,
        Opcode.REMOVEXATTR,
        Opcode.FSYNCDIR,
    )
)
"""Opcodes that pyfuse3 answers, by the methods of `rare_requests.Operations`."""
_UNANSWERED = (Opcode.FORGET, Opcode.BATCH_FORGET)


class Dispatcher:
    """Pool of workers that serve the requests of a connection."""

    def __init__(
        self, connection: Connection, loop: RequestLoop, handlers: Mapping[int, Handler]
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._handlers = handlers
        self._turn = ReaderLock()
        self._idle_count = 0
        self._is_over = False

    async def run(self) -> None:
        """Answer requests until the file system is unmounted or `stop` is called."""
        async with trio.open_nursery() as relayed:
            relayed.start_soon(self._connection.forward)
            relayed.start_soon(pyfuse3.main, _RELAY_MIN_WORKERS, _RELAY_MAX_WORKERS)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._work, nursery)
            # pyfuse3 would wait for requests that nobody sends it any more.
            relayed.cancel_scope.cancel()

    def stop(self) -> None:
        """Read no further request; those that were read are still answered."""
        self._is_over = True
        trio.lowlevel.notify_closing(self._connection.fd)

    async def _work(self, nursery: trio.Nursery) -> None:
        while self._idle_count < IDLE_MAX:
            self._idle_count += 1
            async with self._turn:
                self._idle_count -= 1
                waiting = await self._read()
            if waiting is None:
                return
            # Nobody is left to take the turn while this worker waits for its request.
            if not self._idle_count:
                nursery.start_soon(self._work, nursery)
            await self._finish(*waiting)

    async def _read(self) -> _Waiting | None:
        """Read and answer requests; return the first one that has to wait, or None at the end."""
        connection, handlers = self._connection, self._handlers
        fd, message = connection.fd, connection.message
        wait_readable, receive, answer = (
            self._loop.wait_readable,
            connection.receive,
            connection.answer,
        )
        unpack = HEAD.unpack_from
        try:
            while not self._is_over:
                await wait_readable(fd)
                end = receive()
                # The request was withdrawn between the wait and the read.
                if not end:
                    continue
                # A thread that computes makes room when it sees that somebody came.
                Pace.request_count += 1
                _, opcode, unique, ino = unpack(message)
                handler = handlers.get(opcode)
                if handler is None:
                    if opcode in _RELAYED:
                        # A copy, because the buffer is used for the next request while this one
                        # waits.
                        return opcode, unique, connection.relay(bytes(message[:end]))
                    # INTERRUPT, too, so that the kernel sends no more of them: the signals of the
                    # caller are looked at instead; see `daemon.caller`.
                    connection.refuse(unique, errno.ENOSYS)
                    continue
                try:
                    data = handler(ino, message, end)
                except Exception as error:  # noqa: BLE001 (whatever it is, it has an errno)
                    self._refuse(opcode, unique, error)
                    continue
                if isinstance(data, (bytes, bytearray)):
                    answer(unique, data)
                elif data is not None:
                    return opcode, unique, data
        except (ConnectionResetError, trio.ClosedResourceError):
            self._is_over = True
        return None

    async def _finish(
        self, opcode: int, unique: int, waiting: Coroutine[Any, Any, Data | None]
    ) -> None:
        try:
            data = await waiting
        except Exception as error:  # noqa: BLE001 (whatever it is, it has an errno)
            self._refuse(opcode, unique, error)
        else:
            if data is not None:
                self._connection.answer(unique, data)

    def _refuse(self, opcode: int, unique: int, error: Exception) -> None:
        code = errno_of(Opcode(opcode).name.lower(), error)
        if opcode not in _UNANSWERED:
            self._connection.refuse(unique, code)
