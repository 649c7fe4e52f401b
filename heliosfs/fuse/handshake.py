"""Mounting, and the first request of a connection, in which kernel and libfuse agree on flags.

libfuse does both by itself, with flags for file systems that others change too, and pyfuse3
offers no say.  So libfuse gets one end of a socket for its device (`/dev/fd/N`, as a
privileged parent may pass it), the INIT request and its answer pass through here, and then
the device takes the socket's place.  Sources: include/uapi/linux/fuse.h, mount.fuse3(8).
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import struct
import subprocess
from collections.abc import Collection, Sequence

from heliosfs.errors import HeliosError

_INIT = 26
_REQUEST_HEAD = struct.Struct("<IIQQIIIHH")
_REQUEST_MAX_BYTES = 64 * 1024
_ANSWER_HEAD = struct.Struct("<IiQ")
_FLAGS = struct.Struct("<I")
_FLAGS_AT = 12
"""In the bodies of both the request and its answer: after two versions and the read-ahead."""
_AUTO_INVAL_DATA = 1 << 12
_CACHE_SYMLINKS = 1 << 23
_EXPLICIT_INVAL_DATA = 1 << 25
_ANSWER_SECONDS = 10
_READ_AHEAD_KB = 512
"""Not more: a fault in a mapping reads as much around it."""
_MINOR_AT = 4
_PRUNE_FROM_MINOR = 45
_NOTIFY_PRUNE = 9
_PRUNE_HEAD = struct.Struct("<IIQ")


class Connection:
    """A mount, from fusermount3 to its end.  `device` is what libfuse is given."""

    def __init__(self, mountpoint: str, options: Collection[str]) -> None:
        """Mount; nothing is answered yet.  HeliosError when that is refused."""
        self._mountpoint = mountpoint
        self._real = _mount(mountpoint, options)
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._fd = theirs.detach()
        self._offered = 0
        self._is_open = False
        self.can_prune = False
        """Whether the kernel knows `prune` (Linux 6.18); known once it was mounted."""

    @property
    def device(self) -> str:
        """The mount point to tell libfuse, which owns the descriptor in it from then on."""
        return f"/dev/fd/{self._fd}"

    def offer(self) -> None:
        """Hand the kernel's INIT to libfuse, which finds it when it first reads."""
        request = os.read(self._real, _REQUEST_MAX_BYTES)
        _, opcode, *_ = _REQUEST_HEAD.unpack_from(request)
        if opcode != _INIT:
            raise HeliosError(f"cannot mount: the kernel began with request {opcode}")
        (self._offered,) = _FLAGS.unpack_from(request, _REQUEST_HEAD.size + _FLAGS_AT)
        (minor,) = _FLAGS.unpack_from(request, _REQUEST_HEAD.size + _MINOR_AT)
        self.can_prune = minor >= _PRUNE_FROM_MINOR
        self._ours.send(request)

    def open(self) -> None:
        """Hand libfuse's answer to the kernel, and the device to libfuse.  HeliosError.

        When it was unmounted meanwhile, nobody waits for the answer, and libfuse learns it from
        the device.
        """
        self._ours.settimeout(_ANSWER_SECONDS)
        answer = bytearray(self._ours.recv(_REQUEST_MAX_BYTES))
        _, error, _ = _ANSWER_HEAD.unpack_from(answer)
        if error:
            raise HeliosError(f"cannot mount: libfuse refused: {os.strerror(-error)}")
        at = _ANSWER_HEAD.size + _FLAGS_AT
        (flags,) = _FLAGS.unpack_from(answer, at)
        _FLAGS.pack_into(answer, at, chosen(flags, self._offered))
        with contextlib.suppress(FileNotFoundError):
            os.write(self._real, answer)
        os.dup2(self._real, self._fd, inheritable=False)
        self._let_go()
        self._is_open = True
        widen_read_ahead(self._mountpoint)

    def prune(self, inodes: Sequence[int]) -> None:
        """Have the kernel forget what nobody uses of these inodes, mounts on them included.

        Takes no lock that a process may hold while it waits for us.  OSError.
        """
        body = _PRUNE_HEAD.pack(len(inodes), 0, 0) + struct.pack(f"<{len(inodes)}Q", *inodes)
        os.write(
            self._fd, _ANSWER_HEAD.pack(_ANSWER_HEAD.size + len(body), _NOTIFY_PRUNE, 0) + body
        )

    def end(self) -> None:
        """Unmount, unless that was done by somebody else; before libfuse lets go of the device."""
        fd = self._fd if self._is_open else self._real
        poller = select.poll()
        poller.register(fd, 0)
        is_mounted = not any(events & select.POLLERR for _, events in poller.poll(0))
        if not self._is_open:
            self._let_go()
        if is_mounted:
            command = ["fusermount3", "-u", "-q", "-z", "--", self._mountpoint]
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL)

    def _let_go(self) -> None:
        os.close(self._real)
        self._ours.close()


def chosen(answered: int, offered: int) -> int:
    """The flags of a mount that is the only writer of its tree.

    The kernel keeps what it has of a file until it is told otherwise, and links' targets too.
    """
    flags = answered & ~_AUTO_INVAL_DATA
    return flags | (offered & (_EXPLICIT_INVAL_DATA | _CACHE_SYMLINKS))


def widen_read_ahead(mountpoint: str) -> None:
    """Let the kernel read a large file in requests of up to 512 KB; only root may.

    Does nothing where that is refused.  Asks nothing of the mount, which cannot answer yet.
    """
    wanted = re.sub(r"[ \t\n\\]", lambda found: f"\\{ord(found[0]):03o}", mountpoint)
    with contextlib.suppress(OSError):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            devices = [line.split(" ")[2] for line in mounts if line.split(" ")[4] == wanted]
        if devices:
            with open(f"/sys/class/bdi/{devices[-1]}/read_ahead_kb", "w") as file:
                file.write(str(_READ_AHEAD_KB))


def _mount(mountpoint: str, options: Collection[str]) -> int:
    """The device of a new mount, from fusermount3, which may do what we may not."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            ["fusermount3", "-o", ",".join(sorted(options)), "--", mountpoint],
            env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()
            raise HeliosError(f"cannot mount at {mountpoint}: {text.removeprefix('fusermount3: ')}")
        _, fds, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
    if not fds:
        raise HeliosError(f"cannot mount at {mountpoint}: fusermount3 gave no device")
    return fds[0]
