"""Programs beside this one: their priority."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from heliosfs import isolated

_SHOW = """
import ctypes, os
from heliosfs import isolated
isolated.give_way()
seen = isolated._Scheduling()
number = {"x86_64": 315, "aarch64": 275}[os.uname().machine]
assert ctypes.CDLL(None).syscall(number, 0, ctypes.byref(seen), ctypes.sizeof(seen), 0) == 0
print(os.sched_getscheduler(0), seen.nice, seen.runtime_ns, os.getsid(0) == os.getpid())
"""


@pytest.mark.skipif(
    platform.machine() not in isolated._SETATTR_CALLS, reason="the call's number is not known here"
)
def test_a_program_gives_way_to_whoever_wakes_up() -> None:
    assert ctypes.sizeof(isolated._Scheduling) == 48
    told = subprocess.run(
        ["nice", "-n", "3", sys.executable, "-c", _SHOW],
        env={**os.environ, "PYTHONPATH": str(Path(isolated.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    *numbers, is_own_session = told.stdout.split()
    policy, nice, slice_ns = map(int, numbers)
    assert is_own_session == "True"
    assert policy == os.SCHED_BATCH
    assert nice == os.getpriority(os.PRIO_PROCESS, 0) + 3
    # Linux before 6.12 tells no slice.
    assert slice_ns in (0, isolated._OWN_SLICE_NS)
