"""The workers: every request has an answer, and none waits for another one's."""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pyfuse3
import pytest
import trio
import trio.testing

from heliosfs.errors import CorruptObject, PosixError, PromisedObject, Unfetched
from heliosfs.fuse.connection import Connection
from heliosfs.fuse.dispatcher import IDLE_MAX, Dispatcher
from heliosfs.fuse.handler import Answer, Handler
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.tracing import traced
from heliosfs.fuse.wire import Message, Opcode

pytestmark = pytest.mark.trio
SECONDS = 10


class Asked:
    """Handlers that do what a test says, behind a device that is a socket."""

    def __init__(self) -> None:
        self.release = trio.Event()
        self.kernel, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection = Connection(device.detach(), "/no mount")
        self.libfuse = socket.socket(fileno=int(self.connection.device.rpartition("/")[2]))
        self.libfuse.settimeout(SECONDS)
        self.handlers: dict[int, Handler] = {
            Opcode.LOOKUP: self._echo,
            Opcode.READLINK: self._echo,
            Opcode.READ: self._wait,
            Opcode.GETATTR: self._fail,
            Opcode.FORGET: self._fail,
            Opcode.FLUSH: self._wait_and_fail,
            Opcode.ACCESS: self._need,
        }
        self.error: Exception = PosixError(errno.ENOTEMPTY)
        self.brought: list[tuple[str, int]] = []
        """Contents that were waited for, and for which thread."""
        self.here: set[str] = set()
        self.keeps = True
        self.bringing: Exception | None = None
        self.is_over = False
        self.dispatcher = Dispatcher(
            self.connection,
            RequestLoop(),
            traced(self.handlers),
            bring=self._bring,
            on_over=self._over,
        )

    def ask(self, opcode: int, unique: int, body: bytes = b"", pid: int = 0) -> None:
        head = struct.pack("=IIQQIIII", 40 + len(body), opcode, unique, 7, 0, 0, pid, 0)
        self.kernel.send(head + body)

    async def answered(self) -> tuple[int, int, bytes]:
        """Unique, errno and body of the next answer."""
        with trio.fail_after(SECONDS):
            await trio.lowlevel.wait_readable(self.kernel)
        answer = self.kernel.recv(65536)
        length, error, unique = struct.unpack_from("=IiQ", answer)
        assert length == len(answer)
        return unique, -error, answer[16:]

    def close(self) -> None:
        self.kernel.close()
        self.libfuse.close()
        self.connection.end()

    async def _bring(self, error: PromisedObject, pid: int) -> None:
        self.brought.append((error.oid.decode(), pid))
        await self.release.wait()
        if self.bringing is not None:
            raise self.bringing
        if self.keeps:
            self.here.add(error.oid.decode())

    def _over(self) -> None:
        self.is_over = True
        self.release.set()

    def _need(self, ino: int, message: Message, end: int) -> Answer:
        """Echo a list of contents once all of them are here."""
        for each in bytes(message[40:end]).decode().split():
            if each not in self.here:
                raise PromisedObject(each.encode(), "origin")
        return self._echo(ino, message, end)

    def _echo(self, ino: int, message: Message, end: int) -> Answer:
        return b"%d of %s" % (ino, message[40:end])

    def _fail(self, ino: int, message: Message, end: int) -> Answer:
        raise self.error

    def _wait(self, ino: int, message: Message, end: int) -> Coroutine[Any, Any, bytes]:
        return self._released(bytes(message[40:end]))

    async def _released(self, data: bytes) -> bytes:
        await self.release.wait()
        return data

    def _wait_and_fail(self, ino: int, message: Message, end: int) -> Answer:
        async def fail() -> bytes:
            await self.release.wait()
            raise self.error

        return fail()


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asked]:
    async def main(*workers: int) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(pyfuse3, "main", main)
    made = Asked()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.dispatcher.run)
        yield made
        with trio.fail_after(SECONDS):
            made.release.set()
            made.dispatcher.stop()
    made.close()


async def test_requests_are_answered(asked: Asked) -> None:
    for unique in (2, 4):
        asked.ask(Opcode.LOOKUP, unique, b"name")
        assert await asked.answered() == (unique, 0, b"7 of name")


async def test_one_that_waits_keeps_its_bytes_and_no_other_waiting(asked: Asked) -> None:
    waiting = [2 * number for number in range(1, 3 * IDLE_MAX)]
    for unique in waiting:
        asked.ask(Opcode.READ, unique, b"of %d" % unique)
        asked.ask(Opcode.LOOKUP, 1000 + unique)
        assert (await asked.answered())[0] == 1000 + unique
    asked.release.set()
    answers = sorted([await asked.answered() for _ in waiting])
    assert answers == [(unique, 0, b"of %d" % unique) for unique in waiting]
    asked.ask(Opcode.LOOKUP, 5000)
    assert (await asked.answered())[0] == 5000


@pytest.mark.parametrize("opcode", [Opcode.GETATTR, Opcode.FLUSH])
async def test_an_error_is_an_errno(
    asked: Asked, opcode: Opcode, caplog: pytest.LogCaptureFixture
) -> None:
    asked.release.set()
    for error, code in (
        (PosixError(errno.ENOTEMPTY), errno.ENOTEMPTY),
        (CorruptObject("object 1234 is damaged: its bytes have another id"), errno.EIO),
        (KeyError("fh"), errno.EIO),
    ):
        asked.error = error
        asked.ask(opcode, 2)
        assert await asked.answered() == (2, code, b"")
    store, other = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "object 1234" in store.getMessage()
    assert other.exc_info and other.exc_info[1] is asked.error


async def test_what_has_no_answer_gets_none_whatever_happens(asked: Asked) -> None:
    asked.error = KeyError("ino")
    asked.ask(Opcode.FORGET, 2)
    asked.ask(Opcode.LOOKUP, 4)
    assert (await asked.answered())[0] == 4


async def test_what_nobody_knows_is_refused(asked: Asked) -> None:
    asked.ask(39, 2, bytes(32))  # an ioctl
    assert await asked.answered() == (2, errno.ENOSYS, b"")


async def test_pyfuse3_answers_the_rest(asked: Asked) -> None:
    asked.ask(Opcode.GETXATTR, 2, b"?")
    await trio.testing.wait_all_tasks_blocked()
    request = asked.libfuse.recv(4096)
    assert struct.unpack_from("=IIQQ", request) == (41, Opcode.GETXATTR, 2, 7)
    answer = struct.pack("=IiQ", 20, 0, 2) + b"much"
    asked.libfuse.send(answer)
    assert await asked.answered() == (2, 0, b"much")


async def test_the_log_tells_what_was_asked(asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    asked.ask(Opcode.READLINK, 2)
    await asked.answered()
    asked.ask(Opcode.LOOKUP, 2, b"name\0")
    await asked.answered()
    asked.ask(Opcode.GETATTR, 4)
    await asked.answered()
    assert "readlink(7): b'7 of '" in caplog.text
    assert f"lookup(7, b'name'): inode {int.from_bytes(b'7 of nam', 'little')}" in caplog.text
    assert "getattr(7): Directory not empty" in caplog.text


async def test_a_handler_is_called_again_when_its_contents_have_come(asked: Asked) -> None:
    asked.ask(Opcode.ACCESS, 2, b"one two", pid=12)
    asked.ask(Opcode.ACCESS, 4, b"three", pid=34)
    # Its message is overwritten meanwhile.
    for unique in range(10, 30, 2):
        asked.ask(Opcode.LOOKUP, unique, b"another name")
        assert (await asked.answered())[0] == unique
    assert asked.brought == [("one", 12), ("three", 34)]
    asked.release.set()
    answers = sorted([await asked.answered(), await asked.answered()])
    assert answers == [(2, 0, b"7 of one two"), (4, 0, b"7 of three")]
    assert asked.brought[2:] == [("two", 12)]


async def test_contents_that_cannot_be_had_are_an_error(
    asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    asked.bringing = Unfetched("content 12 is still at the remote")
    asked.release.set()
    asked.ask(Opcode.ACCESS, 2, b"one")
    assert await asked.answered() == (2, errno.EIO, b"")
    # Who waits tells it once, for thousands of files.
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_content_that_comes_and_is_not_there(asked: Asked) -> None:
    asked.release.set()
    asked.keeps = False
    asked.ask(Opcode.ACCESS, 2, b"one")
    assert await asked.answered() == (2, errno.EIO, b"")


async def test_nobody_waits_for_contents_when_the_mount_ends(asked: Asked) -> None:
    asked.ask(Opcode.ACCESS, 2, b"one")
    await trio.testing.wait_all_tasks_blocked()
    asked.dispatcher.stop()
    assert asked.is_over
    assert (await asked.answered())[0] == 2
