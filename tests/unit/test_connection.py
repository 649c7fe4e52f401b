"""The connection: which flags the kernel is told, what pyfuse3 gets, and how a mount is refused."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from heliosfs.errors import HeliosError
from heliosfs.fuse.connection import Connection, agreed
from heliosfs.fuse.mounting import mount
from heliosfs.fuse.wire import WRITE_MAX_BYTES

AUTO_INVAL_DATA = 1 << 12
CACHE_SYMLINKS = 1 << 23
EXPLICIT_INVAL_DATA = 1 << 25
NO_OPENDIR = 1 << 24
HANDLE_KILLPRIV_V2 = 1 << 28
PARALLEL_DIROPS = 1 << 18
SPLICE_READ = 1 << 9
OTHER = 1 << 5
INIT, STATFS = 26, 17
SECONDS = 10


class Ends:
    """A connection whose device is a socket, with the kernel's end and libfuse's."""

    def __init__(self) -> None:
        self.kernel, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection = Connection(device.detach(), "/no mount")
        self.libfuse = socket.socket(fileno=os.dup(int(self.connection.device.rpartition("/")[2])))
        for end in (self.kernel, self.libfuse):
            end.settimeout(SECONDS)

    def ask(self, opcode: int, unique: int, body: bytes) -> None:
        head = struct.pack("=IIQQIIII", 40 + len(body), opcode, unique, 1, 0, 0, 0, 0)
        self.kernel.send(head + body)

    def close(self) -> None:
        self.kernel.close()
        self.libfuse.close()
        os.close(int(self.connection.device.rpartition("/")[2]))
        self.connection.end()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def test_the_kernel_keeps_what_it_has() -> None:
    wanted = CACHE_SYMLINKS | EXPLICIT_INVAL_DATA | PARALLEL_DIROPS | HANDLE_KILLPRIV_V2
    answered = AUTO_INVAL_DATA | OTHER
    assert agreed(answered, AUTO_INVAL_DATA | OTHER | wanted) == OTHER | wanted


def test_an_old_kernel_is_asked_for_nothing_that_it_does_not_have() -> None:
    assert agreed(AUTO_INVAL_DATA | OTHER, AUTO_INVAL_DATA | OTHER) == OTHER


@pytest.mark.parametrize(("minor", "can_prune"), [(44, False), (45, True)])
def test_kernel_and_libfuse_agree_through_our_hands(
    ends: Ends, minor: int, can_prune: bool
) -> None:
    flags = AUTO_INVAL_DATA | SPLICE_READ | OTHER | CACHE_SYMLINKS | NO_OPENDIR
    ends.ask(INIT, 2, struct.pack("=IIII", 7, minor, 131072, flags))
    assert ends.connection.begin() == can_prune
    request = ends.libfuse.recv(4096)
    assert struct.unpack_from("=IIII", request, 40) == (7, minor, 131072, flags & ~SPLICE_READ)
    agreed_flags, max_write = AUTO_INVAL_DATA | OTHER, 16 << 20
    answer = struct.pack("=IiQIIIIII", 40, 0, 2, 7, 38, 131072, agreed_flags, 0, max_write)

    async def forward() -> bytes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.connection.forward)
            ends.libfuse.send(answer)
            await trio.lowlevel.wait_readable(ends.kernel)
            nursery.cancel_scope.cancel()
        return ends.kernel.recv(4096)

    told = struct.unpack("=IiQIIIIII", trio.run(forward))
    assert told == (40, 0, 2, 7, 38, 131072, OTHER | CACHE_SYMLINKS, 0, WRITE_MAX_BYTES)


def test_a_refusal_of_libfuse_ends_the_mount(ends: Ends) -> None:
    ends.ask(INIT, 2, struct.pack("=IIII", 7, 45, 0, NO_OPENDIR))
    ends.connection.begin()
    ends.libfuse.send(struct.pack("=IiQ", 16, -errno.EPROTO, 2))
    with pytest.raises(HeliosError, match="libfuse refused: Protocol error"):
        trio.run(ends.connection.forward)


def test_a_kernel_that_cannot_do_without_opendir_is_refused(ends: Ends) -> None:
    ends.ask(INIT, 2, struct.pack("=IIII", 7, 28, 0, OTHER))
    with pytest.raises(HeliosError, match=r"cannot mount at /no mount: Linux 5\.1 or later"):
        ends.connection.begin()


def test_a_kernel_that_does_not_begin_is_no_mount(ends: Ends) -> None:
    ends.ask(STATFS, 2, b"")
    with pytest.raises(HeliosError, match="the kernel sent no first request"):
        ends.connection.begin()


@pytest.mark.trio
async def test_what_is_relayed_waits_for_room(ends: Ends) -> None:
    """More than the socket takes: nothing is lost, and nobody else is held up."""
    requests = [bytes([number]) * 60_000 for number in range(20)]
    received: list[bytes] = []
    async with trio.open_nursery() as nursery:
        for request in requests:
            nursery.start_soon(ends.connection.relay, request)
        while len(received) < len(requests):
            with trio.fail_after(SECONDS):
                await trio.lowlevel.wait_readable(ends.libfuse)
            received.append(ends.libfuse.recv(100_000))
    assert sorted(received) == sorted(requests)


def test_an_answer_that_nobody_waits_for_is_no_error(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [errno.ENOENT, errno.ENODEV, errno.EIO]

    def refuse(fd: int, parts: object) -> int:
        raise OSError(codes.pop(0), "of the kernel")

    monkeypatch.setattr(os, "write", refuse)
    monkeypatch.setattr(os, "writev", refuse)
    ends.connection.answer(2, b"")
    ends.connection.refuse(4, errno.ENOENT)
    with pytest.raises(OSError, match="of the kernel"):
        ends.connection.answer(6, b"")


def test_a_mount_that_is_refused_says_why(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(HeliosError, match=r"cannot mount at .*/none: .*[Nn]o such file"):
        mount(str(tmp_path / "none"), {"fsname=test"})
    assert len(os.listdir("/proc/self/fd")) == len(before)
