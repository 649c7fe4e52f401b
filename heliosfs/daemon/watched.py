"""The inodes of a mount that processes watch.

inotify(7) and fanotify(7) show their marks in /proc (proc_pid_fdinfo(5)).  Of the marks of fanotify
only those on inodes count.  A group with a mark on a whole mount or file system gets none of the
events that we can cause, nor does a group that asked for descriptors instead of names
(FAN_REPORT_FID): the kernel tells these of reads and writes alone.
"""

from __future__ import annotations

import contextlib
import os
import re

_LINKS = frozenset({"anon_inode:inotify", "anon_inode:[fanotify]"})
_MARK = re.compile(rb"^(?:inotify wd:\S+|fanotify) ino:([0-9a-f]+) sdev:([0-9a-f]+)", re.MULTILINE)


def watched_inodes(mountpoint: bytes) -> set[int]:
    """Return the inodes of a mount that processes watch, if we may read their descriptors.

    Cost: a readlink for each open descriptor of the machine.
    """
    device = os.stat(mountpoint).st_dev
    wanted = os.major(device) << 20 | os.minor(device)
    watched: set[int] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") in _LINKS:
                        with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as file:
                            watched |= inodes_in(file.read(), wanted)
    return watched


def inodes_in(fdinfo: bytes, device: int) -> set[int]:
    r"""Return the inodes of a device that the text of a descriptor's fdinfo names.

    The device is a `dev_t` of the kernel's own layout: the minor number has 20 bits.

    >>> text = b"inotify wd:2 ino:1f sdev:27 mask:2\nfanotify ino:44 sdev:27 mask:2\n"
    >>> sorted(inodes_in(text + b"inotify wd:3 ino:20 sdev:28 mask:2\n", 0x27))
    [31, 68]
    """
    return {int(ino, 16) for ino, at in _MARK.findall(fdinfo) if int(at, 16) == device}
