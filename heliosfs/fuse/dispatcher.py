"""The workers: they read the kernel's requests, and answer them or send them on to pyfuse3.

One worker reads at a time, and answers at once each request that need not wait.  A request that
has to wait keeps the worker that read it, while another worker reads on.  A coroutine runs up to
its first wait before its worker lets go of the turn to read: most verbs never wait, and to wake
another worker for each takes longer than the lock of it all.

A handler that needs a content which a remote has fails, and is called again with a copy of its
message once that is here: handlers are synchronous, and none of them waits.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine, Generator, Mapping
from functools import partial
from types import coroutine
from typing import Any, TypeAlias

import pyfuse3
import trio

from heliosfs.errors import PromisedObject
from heliosfs.fuse.connection import Connection
from heliosfs.fuse.device import ROOT, Device
from heliosfs.fuse.handler import Handler, errno_of
from heliosfs.fuse.inner import InnerDevices
from heliosfs.fuse.loop import ReaderLock, RequestLoop
from heliosfs.fuse.wire import CALLER, CALLER_AT, HEAD, Data, Message, Opcode
from heliosfs.pace import Pace

IDLE_MAX = 4
"""Most workers that wait for their turn to read; further idle workers end."""
_RUN_MAX = 8
"""Most requests of the workspace's mount in a row before those inside have their turn."""
_RELAY_MIN_WORKERS = 2
_RELAY_MAX_WORKERS = 1_000_000
"""Most workers of pyfuse3, which is to say no limit: each waiting request keeps a worker, and one
must be left to read the requests that those wait for, however many processes wait at once."""

_Answering: TypeAlias = "Coroutine[Any, Any, Data | None]"
_Waiting: TypeAlias = "tuple[Device, int, int, _Answering, object]"
"""Device, opcode and unique number of a request, the coroutine that answers it, and what that has
yielded for the first time."""

_Bring: TypeAlias = Callable[[PromisedObject, int], Coroutine[Any, Any, None]]
"""Function that waits until the content of an error is here, for a thread by its id."""

_AGAIN_MAX = 5
"""Most times that a handler is called again for the same content, which has come each time."""

_RELAYED = frozenset(
    (
        Opcode.SETXATTR,
        Opcode.GETXATTR,
        Opcode.LISTXATTR,
        Opcode.REMOVEXATTR,
    )
)
"""Opcodes that pyfuse3 answers, by the methods of `rare_requests.Operations`."""
_UNANSWERED = (Opcode.FORGET, Opcode.BATCH_FORGET)


class Dispatcher:
    """Pool of workers that serve the requests of a connection, and of those inside of it."""

    def __init__(
        self,
        connection: Connection,
        loop: RequestLoop,
        handlers: Mapping[int, Handler],
        inner: InnerDevices | None = None,
        on_ended: Callable[[Device], None] = lambda _device: None,
        bring: _Bring | None = None,
        on_over: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve `connection` and `inner`; call `on_ended` with a device whose mount is gone.

        `bring` waits for contents that handlers need; `on_over` is called when no further request
        is read, so that it waits no longer.
        """
        self._connection = connection
        self._inner = inner
        self._on_ended = on_ended
        self._bring = bring
        self._on_over = on_over
        self._loop = loop
        self._handlers = handlers
        loop.watch(connection.fd)
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
        self._on_over()
        trio.lowlevel.notify_closing(self._loop.fd)

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
            await _finish(*waiting)

    async def _read(self) -> _Waiting | None:
        """Read and answer requests; return the first one that has to wait, or None at the end."""
        connection, handlers, loop = self._connection, self._handlers, self._loop
        message, unpack = connection.message, HEAD.unpack_from
        device: Device | None
        run = 0
        try:
            while not self._is_over:
                if loop.is_behind and run < _RUN_MAX and loop.then is None:
                    device, end = connection, connection.receive()
                    loop.is_behind = end > 0
                    run += 1
                else:
                    fd = await loop.wait_readable(run + 1)
                    run = 0
                    device = connection if fd == connection.fd else self._inner_device(fd)
                    end = connection.receive() if device is connection else self._receive(device)
                # None is there, or it was withdrawn between the wait and the read.
                if not end:
                    continue
                assert device is not None
                # A thread that computes makes room when it sees that somebody came.
                Pace.request_count += 1
                _, opcode, unique, ino = unpack(message)
                handler = handlers.get(opcode)
                if handler is None:
                    if waiting := self._relayed(device, opcode, unique, end):
                        return waiting
                    continue
                try:
                    data = handler(device.root if ino == ROOT else ino, message, end)
                except Exception as error:  # noqa: BLE001 (whatever it is, it has an errno)
                    if isinstance(error, PromisedObject) and self._bring is not None:
                        copied = bytearray(message[:end])
                        inode = device.root if ino == ROOT else ino
                        coming = self._call_again(handler, inode, copied, error)
                        if waiting := _begin(device, opcode, unique, coming):
                            return waiting
                    else:
                        _refuse(device, opcode, unique, error)
                    continue
                if isinstance(data, (bytes, bytearray)):
                    device.answer(unique, data)
                elif data is not None and (waiting := _begin(device, opcode, unique, data)):
                    return waiting
        except (ConnectionResetError, trio.ClosedResourceError):
            self._is_over = True
            self._on_over()
        return None

    async def _call_again(
        self, handler: Handler, ino: int, message: Message, error: PromisedObject
    ) -> Data | None:
        """Call a handler again each time that a content has come which it needs."""
        assert self._bring is not None
        pid = CALLER.unpack_from(message, CALLER_AT)[2]
        count = 0
        while True:
            # I69: nothing is held but the message; what the handler has done it does again.
            await self._bring(error, pid)
            try:
                answer = handler(ino, message, len(message))
            except PromisedObject as other:
                count = count + 1 if other.oid == error.oid else 0
                if count > _AGAIN_MAX:
                    raise
                error = other
                continue
            if answer is None or isinstance(answer, (bytes, bytearray)):
                return answer
            return await answer

    def _relayed(self, device: Device, opcode: int, unique: int, end: int) -> _Waiting | None:
        """Return a request for pyfuse3, which waits; refuse any other that has no handler."""
        connection = self._connection
        if opcode in _RELAYED and device is connection:
            # A copy, because the buffer is used for the next request while this one waits.
            relayed = connection.relay(bytes(connection.message[:end]))
            return _begin(device, opcode, unique, relayed)
        # INTERRUPT, too, so that the kernel sends no more of them: the signals of the caller are
        # looked at instead; see `daemon.caller`.
        device.refuse(unique, errno.ENOSYS)
        return None

    def _inner_device(self, fd: int) -> Device | None:
        return self._inner.get(fd) if self._inner is not None else None

    def _receive(self, device: Device | None) -> int:
        """Receive a request from a device inside; return 0 if there is none."""
        # It says nothing about the workspace's device, which would be read in vain.
        self._loop.is_behind = False
        if device is None:
            return 0
        try:
            return device.receive()
        except ConnectionResetError:
            assert self._inner is not None
            self._inner.remove(device)
            self._on_ended(device)
            return 0


def _begin(device: Device, opcode: int, unique: int, answering: _Answering) -> _Waiting | None:
    """Run a coroutine up to its first wait; return None if it has answered without one."""
    try:
        first = answering.send(None)
    except StopIteration as stop:
        if stop.value is not None:
            device.answer(unique, stop.value)
    except Exception as error:  # noqa: BLE001 (whatever it is, it has an errno)
        _refuse(device, opcode, unique, error)
    else:
        return device, opcode, unique, answering, first
    return None


@coroutine
def _resume(answering: _Answering, waited: object) -> Generator[Any, Any, Data | None]:
    """Wait as a coroutine that has begun wants to, and run it to its end, in the same task."""
    go_on: Callable[[], object]
    while True:
        try:
            go_on = partial(answering.send, (yield waited))
        except BaseException as error:  # noqa: BLE001 (the coroutine is to see it, whatever it is)
            go_on = partial(answering.throw, error)
        try:
            waited = go_on()
        except StopIteration as stop:
            data: Data | None = stop.value
            return data


async def _finish(
    device: Device, opcode: int, unique: int, answering: _Answering, first: object
) -> None:
    try:
        data = await _resume(answering, first)
    except Exception as error:  # noqa: BLE001 (whatever it is, it has an errno)
        _refuse(device, opcode, unique, error)
    else:
        if data is not None:
            device.answer(unique, data)


def _refuse(device: Device, opcode: int, unique: int, error: Exception) -> None:
    code = errno_of(Opcode(opcode).name.lower(), error)
    if opcode not in _UNANSWERED:
        device.refuse(unique, code)
