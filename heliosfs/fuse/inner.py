"""Mounts inside of the workspace's mount, each with a FUSE connection of its own.

The kernel and a daemon agree once for a whole connection whether opens are asked for.  So what
needs its opens asked for has a connection of its own.  All of them share the workers, and the time
of a wait does not depend on their number: the kernel gathers their devices in one descriptor.
"""

from __future__ import annotations

import os
import select
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
    """Devices of the mounts inside of another one, gathered in one descriptor."""

    def __init__(self, loop: RequestLoop, main: Device) -> None:
        """Let the loop wait for these devices beside the `main` one."""
        self._message = main.message
        self._devices: dict[int, Device] = {}
        self._gathered = select.epoll()
        self._all = select.epoll()
        for fd in (main.fd, self._gathered.fileno()):
            self._all.register(fd, select.EPOLLIN)
        loop.watch_also(self._gathered.fileno(), self._all.fileno())

    def add(self, fd: int, root: int) -> Device:
        """Serve the requests of a further device, whose root is the inode `root`."""
        device = self._devices[fd] = Device(fd, self._message, root)
        self._gathered.register(fd, select.EPOLLIN)
        return device

    def remove(self, device: Device) -> None:
        """Serve no further requests of a device; its descriptor stays open.  Idempotent."""
        if self._devices.pop(device.fd, None) is not None:
            self._gathered.unregister(device.fd)

    def ready(self) -> Device | None:
        """Return a device with a request; None if the last one was withdrawn."""
        found = self._gathered.poll(0, 1)
        return self._devices[found[0][0]] if found else None

    def end(self) -> None:
        """Close all devices, whose mounts answer ENOTCONN from then on."""
        for fd in self._devices:
            os.close(fd)
        self._devices.clear()
        self._gathered.close()
        self._all.close()
