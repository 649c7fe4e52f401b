"""Programs of ours that run beside this one, on another CPU."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import suppress

_SETATTR_CALLS = {"x86_64": 314, "aarch64": 274}
"""Number of sched_setattr(2), for which most C libraries have no function, by machine."""
_OWN_SLICE_NS = 100_000_000
"""Slice of such a program: the longest that Linux allows."""

_PROGRAM = (
    "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); "
    "from importlib import import_module; import_module(sys.argv.pop(1)).main(sys.argv[1:])"
)


def command(module: str, *argv: str) -> list[str]:
    """Return the command that calls `main` of a module with words.

    It is isolated, with our own path: no module comes from the environment or the current
    directory.
    """
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = "\n".join([here, *map(os.path.abspath, sys.path)])
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, path, module, *argv]


class _Scheduling(ctypes.Structure):
    """`struct sched_attr` of sched_setattr(2), its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def give_way() -> None:
    """Let this program have its share of a CPU while others want it, too, but never make them wait.

    It gets a session of its own: Linux divides the CPUs among sessions first (sched(7), autogroup),
    and what it takes would count as taken by whoever started it.  Since Linux 6.12 a program that
    wakes up may take the CPU at once from one with a longer slice; with an equal one it would often
    wait for the end of that slice.  Older kernels ignore it.
    """
    # Refused to the leader of a process group, such as one that a shell began.
    with suppress(PermissionError):
        os.setsid()
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    number = _SETATTR_CALLS.get(platform.machine())
    if number is not None:
        wanted = _Scheduling(policy=os.SCHED_BATCH, runtime_ns=_OWN_SLICE_NS)
        wanted.size = ctypes.sizeof(wanted)
        wanted.nice = os.getpriority(os.PRIO_PROCESS, 0)
        # A refusal leaves everything as it was.
        ctypes.CDLL(None).syscall(number, 0, ctypes.byref(wanted), 0)
