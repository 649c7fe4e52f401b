"""Placements of client and daemon, and of other work for the CPUs, while something is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import NamedTuple

_SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""
"""Wants a CPU for as long as we live."""


@contextmanager
def on_one_cpu() -> Iterator[None]:
    """Keep this thread, and all that it starts meanwhile, on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def all_cpus_busy() -> Iterator[None]:
    """Have a process for each CPU that never waits, at the usual priority."""
    with ExitStack() as stack:
        for _ in os.sched_getaffinity(0):
            process = subprocess.Popen([sys.executable, "-IS", "-c", _SPIN])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


class Placement(NamedTuple):
    """CPUs and other work while something is measured."""

    name: str
    mounting: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around all, also the mounting: daemons inherit the CPUs of who starts them."""
    measuring: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around what is measured."""


FREE = Placement("free, idle")
PLACEMENTS = (
    FREE,
    Placement("one CPU", mounting=on_one_cpu),
    Placement("free, all CPUs busy", measuring=all_cpus_busy),
)
