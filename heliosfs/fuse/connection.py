"""The connection to the kernel: the FUSE device, and a socket with pyfuse3 at its other end.

Requests that no handler of ours answers are sent through the socket, which libfuse takes for its
device (`/dev/fd/N`, as a privileged parent may pass one in); its answers are sent to the kernel.
One of them is INIT, in which the kernel and libfuse agree on flags.  libfuse chooses flags for file
systems that others change too, and pyfuse3 has no option for them: they are changed on the way.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket

import trio

from heliosfs.errors import HeliosError
from heliosfs.fuse import wire
from heliosfs.fuse.device import Device
from heliosfs.fuse.loop import HandoffLock
from heliosfs.fuse.mounting import unmount, widen_read_ahead
from heliosfs.fuse.wire import ANSWER_HEAD, BODY_AT, Capability, Opcode
from heliosfs.mounttable import is_there, mount_at

_MINOR_AT = 4
_FLAGS_AT = 12
"""Offset of the flags in the bodies of INIT and of its answer: two versions and the read-ahead
come first."""
_MAX_WRITE_AT = 20
_PRUNE_FROM_MINOR = 45
_RELAYED_MAX_BYTES = 128 * 1024
"""Buffer for an answer of pyfuse3.  The longest hold the value of an extended attribute, of at most
64 KiB."""
_SPLICES = Capability.SPLICE_READ | Capability.SPLICE_WRITE | Capability.SPLICE_MOVE
_WANTED = (
    Capability.EXPLICIT_INVAL_DATA
    | Capability.CACHE_SYMLINKS
    | Capability.PARALLEL_DIROPS
    | Capability.HANDLE_KILLPRIV_V2
)


class Connection(Device):
    """Connection to the kernel of the workspace's mount, from INIT to the unmount."""

    def __init__(self, fd: int, mountpoint: str) -> None:
        super().__init__(fd)
        self._mountpoint = mountpoint
        self._mount = mount_at(mountpoint)
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)  # noqa: FBT003 (its name)
        self._theirs = theirs.detach()
        self._relaying = HandoffLock()
        self._init = 0
        """Unique number of the INIT request; 0 once it was answered."""
        self._offered = 0
        self.is_opened_by_kernel = False
        """True if the kernel opens files by itself, and so truncates them by a request."""

    @property
    def device(self) -> str:
        """Mount point to pass to libfuse, which owns the descriptor named in it from then on."""
        return f"/dev/fd/{self._theirs}"

    def begin(self) -> bool:
        """Pass the kernel's INIT on to libfuse; return True if the kernel knows `prune` (6.18).

        Raise HeliosError if the kernel sends no INIT or is older than Linux 5.1.
        """
        select.select((self.fd,), (), ())
        length = self.receive()
        _, opcode, self._init, _ = wire.HEAD.unpack_from(self.message)
        if not length or opcode != Opcode.INIT:
            raise HeliosError(
                f"cannot mount at {self._mountpoint}: the kernel sent no first request"
            )
        (self._offered,) = wire.WORD.unpack_from(self.message, BODY_AT + _FLAGS_AT)
        (minor,) = wire.WORD.unpack_from(self.message, BODY_AT + _MINOR_AT)
        if not self._offered & Capability.NO_OPENDIR:
            raise HeliosError(f"cannot mount at {self._mountpoint}: Linux 5.1 or later is needed")
        # A socket takes whole messages only.
        wire.WORD.pack_into(self.message, BODY_AT + _FLAGS_AT, self._offered & ~_SPLICES)
        self._ours.send(self.message[:length])
        return bool(minor >= _PRUNE_FROM_MINOR)

    async def relay(self, request: bytes) -> None:
        """Send a request to pyfuse3, whose answer `forward` passes on."""
        async with self._relaying:
            while True:
                try:
                    self._ours.send(request)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._ours)
                else:
                    return

    async def forward(self) -> None:
        """Pass the answers of pyfuse3 on to the kernel, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._ours)
            with contextlib.suppress(BlockingIOError):
                while answer := self._ours.recv(_RELAYED_MAX_BYTES):
                    self._forward(bytearray(answer))
                return

    def _forward(self, answer: bytearray) -> None:
        _, error, unique = ANSWER_HEAD.unpack_from(answer)
        if unique != self._init:
            self.send((answer,))
            return
        self._init = 0
        if error:
            raise HeliosError(f"cannot mount: libfuse refused: {os.strerror(-error)}")
        at = ANSWER_HEAD.size + _FLAGS_AT
        (flags,) = wire.WORD.unpack_from(answer, at)
        flags = agreed(flags, self._offered)
        if self.is_opened_by_kernel:
            # No OPEN would bring the flag.
            flags &= ~Capability.ATOMIC_O_TRUNC
        wire.WORD.pack_into(answer, at, flags)
        # A later libfuse may agree to larger writes, for which `message` has no room.
        at = ANSWER_HEAD.size + _MAX_WRITE_AT
        (max_write,) = wire.WORD.unpack_from(answer, at)
        wire.WORD.pack_into(answer, at, min(max_write, wire.WRITE_MAX_BYTES))
        self.send((answer,))
        widen_read_ahead(self._mountpoint)

    def end(self) -> None:
        """Unmount the file system, unless that was done from outside, and close the descriptors.

        While another mount namespace still has the file system, the device reports no error though
        ours is gone; and another file system that was mounted at the same place must stay.
        """
        poller = select.poll()
        poller.register(self.fd, 0)
        is_over = any(events & select.POLLERR for _, events in poller.poll(0))
        if not is_over and (self._mount is None or is_there(self._mount)):
            unmount(self._mountpoint, lazy=True)
        self._ours.close()
        os.close(self.fd)


def agreed(answered: int, offered: int) -> int:
    """Return the flags to agree on with the kernel, for a mount that is its tree's only writer.

    The kernel then keeps the pages of files and the targets of symbolic links until a notice tells
    it that they changed.
    """
    flags = answered & ~Capability.AUTO_INVAL_DATA
    return flags | (offered & _WANTED)
