"""The connection to the kernel: its device, and the socket at whose other end pyfuse3 is.

What is not answered here goes through the socket, which libfuse has for its device
(`/dev/fd/N`, as a privileged parent may pass one in), and what it answers goes to the kernel.
INIT is among that, in which kernel and libfuse agree on flags.  libfuse's are for file systems
that others change too, and pyfuse3 offers no say: they are changed on the way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket

import trio

from heliosfs.errors import HeliosError
from heliosfs.fuse import wire
from heliosfs.fuse.loop import HandoffLock
from heliosfs.fuse.mounting import unmount, widen_read_ahead
from heliosfs.fuse.wire import ANSWER_HEAD, BODY_AT, Capability, Data, Message, Opcode
from heliosfs.mounttable import is_there, mount_at

_MINOR_AT = 4
_FLAGS_AT = 12
"""In the bodies of INIT and of its answer: after two versions and the read-ahead."""
_MAX_WRITE_AT = 20
_PRUNE_FROM_MINOR = 45
_RELAYED_MAX_BYTES = 128 * 1024
"""The longest are the values of extended attributes, of at most 64 KiB."""
_SPLICES = Capability.SPLICE_READ | Capability.SPLICE_WRITE | Capability.SPLICE_MOVE
_WANTED = Capability.EXPLICIT_INVAL_DATA | Capability.CACHE_SYMLINKS | Capability.PARALLEL_DIROPS

_GONE = (errno.ENOENT, errno.ENODEV, errno.EINVAL)
"""Whoever asked does not wait any more, or it was unmounted (fuse_dev_do_write in fs/fuse/dev.c)"""


class Connection:
    """A mount, from its first request to its end."""

    def __init__(self, fd: int, mountpoint: str) -> None:
        self._mountpoint = mountpoint
        self._mount = mount_at(mountpoint)
        self.fd = fd
        """The device: readable when there is a request, or it was unmounted."""
        os.set_blocking(fd, False)
        self.message: Message = bytearray(wire.FUSE_MESSAGE_MAX_BYTES)
        """The request that was received last."""
        self._buffers = (self.message,)
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)  # noqa: FBT003 (its name)
        self._theirs = theirs.detach()
        self._relaying = HandoffLock()
        self._init = 0
        """Which request INIT was, until it is answered."""
        self._offered = 0

    @property
    def device(self) -> str:
        """The mount point to tell libfuse, which owns the descriptor in it from then on."""
        return f"/dev/fd/{self._theirs}"

    def begin(self) -> bool:
        """Take the kernel's INIT and pass it on; whether the kernel knows `prune` (Linux 6.18).

        HeliosError.
        """
        select.select((self.fd,), (), ())
        length = self.receive()
        _, opcode, self._init, _ = wire.HEAD.unpack_from(self.message)
        if not length or opcode != Opcode.INIT:
            raise HeliosError(f"cannot mount at {self._mountpoint}: the kernel did not begin")
        (self._offered,) = wire.WORD.unpack_from(self.message, BODY_AT + _FLAGS_AT)
        (minor,) = wire.WORD.unpack_from(self.message, BODY_AT + _MINOR_AT)
        if not self._offered & Capability.NO_OPENDIR:
            raise HeliosError(f"cannot mount at {self._mountpoint}: Linux 5.1 or later is needed")
        # A socket takes whole messages only.
        wire.WORD.pack_into(self.message, BODY_AT + _FLAGS_AT, self._offered & ~_SPLICES)
        self._ours.send(self.message[:length])
        return bool(minor >= _PRUNE_FROM_MINOR)

    def receive(self) -> int:
        """The length of the next request, which is in `message`; 0 when there is none.

        ConnectionResetError once it was unmounted.
        """
        try:
            return os.readv(self.fd, self._buffers)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ECONNABORTED):
                raise ConnectionResetError from None
            if error.errno in (errno.ENOENT, errno.EINTR):
                return 0
            raise

    def answer(self, unique: int, data: Data) -> None:
        """Answer a request, if somebody waits for it still."""
        self._send((ANSWER_HEAD.pack(ANSWER_HEAD.size + len(data), 0, unique), data))

    def refuse(self, unique: int, code: int) -> None:
        """Answer a request with an errno."""
        self._send((ANSWER_HEAD.pack(ANSWER_HEAD.size, -code, unique),))

    def _send(self, parts: tuple[Data, ...]) -> None:
        try:
            os.writev(self.fd, parts)
        except OSError as error:
            if error.errno not in _GONE:
                raise

    async def relay(self, request: bytes) -> None:
        """Have pyfuse3 answer a request."""
        async with self._relaying:
            while True:
                try:
                    self._ours.send(request)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._ours)
                else:
                    return

    async def forward(self) -> None:
        """Hand the kernel what pyfuse3 answers, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._ours)
            with contextlib.suppress(BlockingIOError):
                while answer := self._ours.recv(_RELAYED_MAX_BYTES):
                    self._forward(bytearray(answer))
                return

    def _forward(self, answer: bytearray) -> None:
        _, error, unique = ANSWER_HEAD.unpack_from(answer)
        if unique != self._init:
            self._send((answer,))
            return
        self._init = 0
        if error:
            raise HeliosError(f"cannot mount: libfuse refused: {os.strerror(-error)}")
        at = ANSWER_HEAD.size + _FLAGS_AT
        (flags,) = wire.WORD.unpack_from(answer, at)
        wire.WORD.pack_into(answer, at, agreed(flags, self._offered))
        # A libfuse of later times may want larger ones, for which `message` has no room.
        at = ANSWER_HEAD.size + _MAX_WRITE_AT
        (max_write,) = wire.WORD.unpack_from(answer, at)
        wire.WORD.pack_into(answer, at, min(max_write, wire.WRITE_MAX_BYTES))
        self._send((answer,))
        widen_read_ahead(self._mountpoint)

    def end(self) -> None:
        """Unmount, unless that was done by somebody else.

        The device does not tell where another namespace still has the mount; and what is
        mounted at our place by then is not ours to take away.
        """
        poller = select.poll()
        poller.register(self.fd, 0)
        is_over = any(events & select.POLLERR for _, events in poller.poll(0))
        if not is_over and (self._mount is None or is_there(self._mount)):
            unmount(self._mountpoint, lazy=True)
        self._ours.close()
        os.close(self.fd)


def agreed(answered: int, offered: int) -> int:
    """The flags of a mount that is the only writer of its tree.

    The kernel keeps what it has of a file until it is told otherwise, and links' targets too.
    """
    flags = answered & ~Capability.AUTO_INVAL_DATA
    return flags | (offered & _WANTED)
