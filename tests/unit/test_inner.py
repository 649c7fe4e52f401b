"""Mounts inside: how they are agreed on, and whose turn it is among their devices."""

from __future__ import annotations

import os
import socket
import struct

import pyfuse3
import pytest
import trio
import trio.testing

from heliosfs.fuse.connection import Connection
from heliosfs.fuse.device import Device
from heliosfs.fuse.dispatcher import Dispatcher
from heliosfs.fuse.inner import InnerDevices, answer_init
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.wire import WRITE_MAX_BYTES, Capability, Opcode

SECONDS = 10


class Pair:
    """A device that is a socket, and the kernel's end of it."""

    def __init__(self) -> None:
        self.kernel, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.fd = device.detach()

    def send(self, text: bytes) -> None:
        self.kernel.send(text)

    def close(self) -> None:
        self.kernel.close()


def test_what_is_agreed_on_is_what_was_offered() -> None:
    offered = Capability.ATOMIC_O_TRUNC | Capability.DO_READDIRPLUS | Capability.AUTO_INVAL_DATA
    message = bytearray(40) + struct.pack("=IIII", 7, 45, 4096, offered)
    answer = answer_init(1, message, len(message))
    assert len(answer) == 64
    assert struct.unpack_from("=IIII", answer) == (
        7,
        31,
        4096,
        Capability.ATOMIC_O_TRUNC | Capability.DO_READDIRPLUS,
    )
    assert struct.unpack_from("=I", answer, 20) == (WRITE_MAX_BYTES,)


@pytest.mark.trio
async def test_requests_of_all_devices_are_found_in_turn() -> None:
    loop, main = RequestLoop(), Pair()
    device = Device(main.fd)
    loop.watch(main.fd)
    inner = InnerDevices(loop, device)
    pairs = [Pair() for _ in range(3)]
    devices = [inner.add(pair.fd, 100 + number) for number, pair in enumerate(pairs)]
    try:
        with trio.fail_after(SECONDS):
            for number, pair in enumerate(pairs):
                pair.send(b"request %d" % number)
                found = inner.get(await loop.wait_readable())
                assert found is devices[number]
                assert found.root == 100 + number
                assert found.message is device.message
                assert device.message[: found.receive()] == b"request %d" % number
            for pair in (main, *pairs):
                for _ in range(3):
                    pair.send(b"x" * 5)
            turns = []
            for _ in range(12):
                turns.append(await loop.wait_readable())
                reader = inner.get(turns[-1]) or device
                assert reader.fd == turns[-1] and reader.receive() == 5
            for begin in (0, 4, 8):
                # None waits for a pause of another.
                assert set(turns[begin : begin + 4]) == {main.fd, *(each.fd for each in devices)}
            inner.remove(devices[0])
            inner.remove(devices[0])
            pairs[0].send(b"late")
            main.send(b"mine")
            assert await loop.wait_readable() == main.fd
            assert device.receive() == 4
            with trio.move_on_after(0.01):
                await loop.wait_readable()
                raise AssertionError("the device is watched no more")
        assert inner.get(devices[0].fd) is None
    finally:
        for pair in (main, *pairs):
            pair.close()
        os.close(devices[0].fd)
        os.close(main.fd)
        inner.end()
        loop.close()


@pytest.mark.trio
async def test_a_sleep_ends_with_a_request_of_any_device() -> None:
    loop, main, pair = RequestLoop(), Pair(), Pair()
    loop.watch(main.fd)
    inner = InnerDevices(loop, Device(main.fd))
    inner.add(pair.fd, 7)
    try:
        with trio.fail_after(SECONDS):
            async with trio.open_nursery() as nursery:
                found: list[int] = []

                async def wait() -> None:
                    found.append(await loop.wait_readable())

                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                pair.send(b"request")
        assert found == [pair.fd]
        assert loop.sleeps == 1
    finally:
        for each in (main, pair):
            each.close()
        os.close(main.fd)
        inner.end()
        loop.close()


@pytest.mark.trio
async def test_a_request_from_inside_has_none_of_the_workspace_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each such look would be a system call in vain, four for a commit."""

    async def main(*workers: int) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(pyfuse3, "main", main)
    outer, pair, loop = Pair(), Pair(), RequestLoop()
    connection = Connection(outer.fd, "/no mount")
    looks = 0

    class Counted(Device):
        def receive(self) -> int:
            nonlocal looks
            looks += 1
            return super().receive()

    monkeypatch.setattr(connection, "receive", Counted(outer.fd, connection.message).receive)
    inner = InnerDevices(loop, connection)
    inner.add(pair.fd, 7)
    answer = b"body"
    dispatcher = Dispatcher(connection, loop, {Opcode.LOOKUP: lambda *_: answer}, inner)
    pair.kernel.settimeout(SECONDS)
    try:
        with trio.fail_after(SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(dispatcher.run)
                for unique in range(2, 22, 2):
                    # Two at once: the second is there before it is looked for.
                    for each in (unique, 100 + unique):
                        pair.send(struct.pack("=IIQQ", 40, Opcode.LOOKUP, each, 7) + bytes(16))
                    for _ in range(2):
                        await trio.lowlevel.wait_readable(pair.kernel)
                        assert pair.kernel.recv(99)[16:] == answer
                dispatcher.stop()
        assert looks == 0
    finally:
        outer.close()
        pair.close()
        inner.end()
        loop.close()
        connection.end()
