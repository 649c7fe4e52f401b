"""The layouts and numbers of the FUSE protocol that are used (include/uapi/linux/fuse.h).

A message is a head and a body, in the byte order of the machine.  A request's body begins at
`BODY_AT`; names in it end with a zero byte.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import TypeAlias

Message: TypeAlias = bytearray
"""Buffer into which a request was read: valid until the next one is read."""

Data: TypeAlias = "bytes | bytearray"
"""Body of an answer."""

BODY_AT = 40
HEAD = struct.Struct("=IIQQ")
"""Length, opcode, unique, inode: the head of a request without the caller."""
CALLER = struct.Struct("=III")
"""User, group and process, at `CALLER_AT`."""
CALLER_AT = 24
ANSWER_HEAD = struct.Struct("=IiQ")
"""Length, error (negative) or notice (positive, then unique is 0), unique."""

WRITE_MAX_BYTES = 1024 * 1024
FUSE_MESSAGE_MAX_BYTES = WRITE_MAX_BYTES + 4096
"""Size of the longest message: a write of the greatest size and its heads."""

ENTRY_BYTES = 128
ATTR_AT = 40
"""Offset in an entry at which the attributes begin."""
ENTRY = struct.Struct("=QQQQIIQQQqqqIIIIIIIIII")
"""Inode, generation, times for which name and attributes hold (s, s, ns, ns); then the attributes:
inode, size, blocks, three times in s and their ns, mode, links, uid, gid, rdev, block size, flags.
"""
KIND_AT = ATTR_AT + 61
"""Offset in an entry of the byte whose upper half is the file type, as in a listing."""
ATTR_HOLDS = struct.Struct("=QII")
DIRENT = struct.Struct("=QQII")
"""Inode, offset of the next one, length of the name, type."""

SETATTR = struct.Struct("=IIQQQqqqIIIIIII")
"""Valid, -, fh, size, owner, three times in s and their ns, mode, -, uid, gid."""
MKNOD = struct.Struct("=IIII")
"""Mode, rdev, umask, -."""
MKDIR = struct.Struct("=II")
"""Mode, umask."""
RENAME2 = struct.Struct("=QII")
"""New directory, flags, -."""
CREATE = struct.Struct("=IIII")
"""Flags, mode, umask, -."""
OPEN = struct.Struct("=II")
"""Flags, -."""
OPENED = struct.Struct("=QIi")
"""fh, flags, -."""
TRANSFER = struct.Struct("=QQI")
"""fh, offset, size: the beginning of the body of a read, a write and a listing."""
TRANSFER_BYTES = 40
READ_FLAGS_AT = BODY_AT + 20
READ_OF_CALLER = 1 << 1
"""Flag of a read for a program (FUSE_READ_LOCKOWNER); a read without it fills the page cache."""
WRITE_FLAGS_AT = BODY_AT + 20
WRITE_OF_CACHE = 1 << 0
"""Flag of a write of the kernel's own: pages that were stored through a mapping."""
STATFS = struct.Struct("=QQQQQIII28x")
"""Blocks, free ones, those for users, inodes, free ones, block size, longest name, fragment size.
"""
ALLOCATE = struct.Struct("=QQQI")
"""fh, offset, length, mode."""
SEEK = struct.Struct("=QQI")
"""fh, offset, whence."""
COPY = struct.Struct("=QQQQQQ")
"""fh and offset of the source; inode, fh and offset of the target; length."""
WRITTEN = struct.Struct("=II")
NUMBER = struct.Struct("=Q")
"""An inode, a file handle, or a count."""
WORD = struct.Struct("=I")
FORGET_ONE = struct.Struct("=QQ")
"""Inode, count."""


class Opcode(IntEnum):
    """Requests that are answered; every other one is refused with ENOSYS."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    TMPFILE = 51
    COPY_FILE_RANGE_64 = 53


class Notice(IntEnum):
    """Messages that the kernel is sent unasked."""

    INVALIDATE_INODE = 2
    INVALIDATE_ENTRY = 3
    STORE = 4
    DELETE = 6
    PRUNE = 9


class OpenFlags(IntFlag):
    """Flags in the answer to OPEN: they tell the kernel how to treat the open file."""

    DIRECT_IO = 1 << 0
    KEEP_CACHE = 1 << 1
    NO_FLUSH = 1 << 5


class Valid:
    """Flags of the fields that a SETATTR changes; numbers, as `&` of an IntFlag takes 1 us."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8
    KILL_SUIDGID = 1 << 11
    OWNER = UID | GID
    VALUES = MODE | OWNER | SIZE | ATIME | MTIME
    """Flags of the fields that have a value; without any, set-id bits alone are cleared."""


class Capability(IntFlag):
    """Flags of INIT that are chosen here."""

    ASYNC_READ = 1 << 0
    ATOMIC_O_TRUNC = 1 << 3
    BIG_WRITES = 1 << 5
    SPLICE_WRITE = 1 << 7
    SPLICE_MOVE = 1 << 8
    SPLICE_READ = 1 << 9
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    ASYNC_DIO = 1 << 15
    PARALLEL_DIROPS = 1 << 18
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23
    NO_OPENDIR = 1 << 24
    HANDLE_KILLPRIV_V2 = 1 << 28
    """Set-id bits are cleared by the file system when it changes an owner, and when it is told to:
    else the kernel asks for the mode ahead of each chown (`fuse_setattr` in fs/fuse/dir.c)."""
    EXPLICIT_INVAL_DATA = 1 << 25


def name_at(message: Message, at: int) -> bytes:
    """Return the name that begins at an offset of the message."""
    return bytes(message[at : message.index(0, at)])


def names_at(message: Message, at: int) -> tuple[bytes, bytes]:
    """Return the two names that begin at an offset of the message, one after the other."""
    middle = message.index(0, at)
    return bytes(message[at:middle]), name_at(message, middle + 1)


def padded(length: int) -> int:
    """Return the length of a directory entry whose name ends at `length`: a multiple of 8."""
    return (length + 7) & ~7
