"""The end of rights of this process, by Landlock (landlock(7)), seccomp(2) and capabilities(7).

Its children do not have them either.  Both need no right of root.  Landlock is for what is opened
from now on; descriptors that are open keep their rights.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same on all architectures."""
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63

_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
"""Writing to files, and making and removing names; since the first version."""
_REFER = 1 << 13
_SINCE = {2: _REFER, 3: _TRUNCATE}
"""Version of Landlock -> further changes that it knows."""
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPED_ABSTRACT_SOCKETS, _SCOPED_SIGNALS = 1, 2
NETWORK_SINCE, SCOPES_SINCE = 4, 6
"""Versions that know of TCP, and of signals and abstract sockets."""


class _Calls(NamedTuple):
    """Numbers of system calls on an architecture (`AUDIT_ARCH_…`)."""

    architecture: int
    ioctl: int
    prlimit: int
    keys: tuple[int, ...]
    """add_key(2), request_key(2) and keyctl(2)."""


_X32 = 0x40000000
_ARCHITECTURES = {
    "x86_64": (
        _Calls(0xC000003E, 16, 302, (248, 249, 250)),
        _Calls(0xC000003E, _X32 + 514, _X32 + 302, (_X32 + 248, _X32 + 249, _X32 + 250)),
        _Calls(0x40000003, 54, 340, (286, 287, 288)),
    ),
    "aarch64": (
        _Calls(0xC00000B7, 29, 261, (217, 218, 219)),
        _Calls(0x40000028, 54, 369, (309, 310, 311)),
    ),
}
"""Machine -> architectures of its programs."""
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _PROCESS_AT, _REQUEST_AT, _LIMIT_AT = 0, 4, 16, 24, 32
"""Places in `struct seccomp_data`: the last three are the lower halves of arguments 1 to 3."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def version() -> int:
    """Return the version of Landlock's ABI; 0 where the kernel has none, or has it turned off."""
    found: int = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    return max(found, 0)


def restrict(writable: Iterable[str], devices: Iterable[str], *, denies_tcp: bool) -> None:
    """Refuse changes of files but beneath `writable`, and to the files `devices`.

    Refuse signals and abstract sockets of other processes, too, where the kernel knows of them, and
    TCP with `denies_tcp`.  Raise OSError where there is no Landlock.
    """
    libc, known = _libc(), version()
    changes = _CHANGES | sum(right for since, right in _SINCE.items() if known >= since)
    attributes = [changes]
    if known >= NETWORK_SINCE:
        attributes.append(_BIND_TCP | _CONNECT_TCP if denies_tcp else 0)
    if known >= SCOPES_SINCE:
        attributes.append(_SCOPED_ABSTRACT_SOCKETS | _SCOPED_SIGNALS)
    data = struct.pack(f"={len(attributes)}Q", *attributes)
    ruleset = _check(libc.syscall(_CREATE_RULESET, data, ctypes.c_size_t(len(data)), 0))
    try:
        for path in writable:
            _allow(libc, ruleset, path, changes)
        for path in devices:
            with suppress(FileNotFoundError, PermissionError):
                _allow(libc, ruleset, path, changes & (_WRITE_FILE | _TRUNCATE))
        give_up_new_rights()
        _check(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def give_up_new_rights() -> None:
    """Prevent programs from having more rights than this process, by setuid or capabilities."""
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def drop_capabilities() -> None:
    """Drop all capabilities, those of root included."""
    libc = _libc()
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(libc.capset(header, bytes(24)))


def call_filter() -> bytes:
    """Return a seccomp program that refuses what reaches out by no file; b"" if unknown here.

    With TIOCSTI a program puts a command into the input of the shell that it was started from; a
    limit of CPU time or of a file's size ends another process of the user; and the kernel's keys
    are those of the user.
    """
    program: list[tuple[int, int, int, int]] = []
    for calls in _ARCHITECTURES.get(platform.machine(), ()):
        program += [
            (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
            (_JUMP_IF_EQUAL, 0, 16, calls.architecture),
            (_LOAD_WORD, 0, 0, _NUMBER_AT),
            (_JUMP_IF_EQUAL, 13, 0, calls.keys[0]),
            (_JUMP_IF_EQUAL, 12, 0, calls.keys[1]),
            (_JUMP_IF_EQUAL, 11, 0, calls.keys[2]),
            (_JUMP_IF_EQUAL, 7, 0, calls.ioctl),
            (_JUMP_IF_EQUAL, 0, 10, calls.prlimit),
            # Limits of the caller itself, and a question, which has no address of a new limit.
            (_LOAD_WORD, 0, 0, _PROCESS_AT),
            (_JUMP_IF_EQUAL, 8, 0, 0),
            (_LOAD_WORD, 0, 0, _LIMIT_AT),
            (_JUMP_IF_EQUAL, 0, 5, 0),
            (_LOAD_WORD, 0, 0, _LIMIT_AT + 4),
            (_JUMP_IF_EQUAL, 4, 3, 0),
            (_LOAD_WORD, 0, 0, _REQUEST_AT),
            (_JUMP_IF_EQUAL, 1, 0, _TIOCSTI),
            (_JUMP_IF_EQUAL, 0, 1, _TIOCLINUX),
            (_RETURN, 0, 0, _REFUSE),
        ]
    if program:
        program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *each) for each in program)


def filter_calls(program: bytes) -> None:
    """Let the kernel run a seccomp program at each system call from now on."""
    held = ctypes.create_string_buffer(program, len(program))
    count = len(program) // 8
    described = struct.pack("@HP", count, ctypes.addressof(held))
    _check(_libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0))


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, fd)
        _check(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0))
    finally:
        os.close(fd)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
