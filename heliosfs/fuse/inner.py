"""Mounts inside of the workspace's mount, each with a FUSE connection of its own.

The kernel and a daemon agree once for a whole connection whether opens are asked for.  So what
needs its opens asked for has a connection of its own.  All of them share the workers, and the wait
for requests (`RequestLoop`), whose time does not depend on their number.
"""

from __future__ import annotations

import os
import struct

from heliosfs.fuse import wire
from heliosfs.fuse.device import Device
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.wire import BODY_AT, Capability, Message

_INIT = struct.Struct("=IIII")
"""Two numbers of the version, read-ahead, flags: the beginning of INIT and of its answer."""
_AGREED = struct.Struct("=HHIIHHI7I")
"""Background requests, the same until congestion, longest write, granularity of times in ns, most
pages of a request, alignment of mappings, further flags, -: the rest of the answer."""
_MAJOR, _MINOR = 7, 31
_PAGES_MAX = wire.WRITE_MAX_BYTES // 4096
_CHOSEN = (
    Capability.ASYNC_READ
    | Capability.ATOMIC_O_TRUNC
    | Capability.BIG_WRITES
    | Capability.DO_READDIRPLUS
    | Capability.ASYNC_DIO
    | Capability.PARALLEL_DIROPS
    | Capability.MAX_PAGES
    | Capability.CACHE_SYMLINKS
    | Capability.EXPLICIT_INVAL_DATA
)


def answer_init(ino: int, message: Message, end: int) -> bytes:
    """Return the answer to INIT: what the kernel and libfuse agree on for the workspace's mount."""
    _, minor, read_ahead, offered = _INIT.unpack_from(message, BODY_AT)
    flags = offered & _CHOSEN
    return _INIT.pack(_MAJOR, min(minor, _MINOR), read_ahead, flags) + _AGREED.pack(
        0, 0, wire.WRITE_MAX_BYTES, 1, _PAGES_MAX, 0, 0, *(0,) * 7
    )


class InnerDevices:
    """Devices of the mounts inside of another one, by their descriptors."""

    def __init__(self, loop: RequestLoop, main: Device) -> None:
        """Let the loop wait for these devices, whose requests come where those of `main` do."""
        self._loop = loop
        self._message = main.message
        self._devices: dict[int, Device] = {}

    def add(self, fd: int, root: int) -> Device:
        """Serve the requests of a further device, whose root is the inode `root`."""
        device = self._devices[fd] = Device(fd, self._message, root)
        self._loop.watch(fd)
        return device

    def remove(self, device: Device) -> None:
        """Serve no further requests of a device; its descriptor stays open.  Idempotent."""
        if self._devices.pop(device.fd, None) is not None:
            self._loop.unwatch(device.fd)

    def get(self, fd: int) -> Device | None:
        """Return the device of a descriptor; None if it was removed."""
        return self._devices.get(fd)

    def end(self) -> None:
        """Close all devices, whose mounts answer ENOTCONN from then on."""
        for fd in self._devices:
            os.close(fd)
        self._devices.clear()
