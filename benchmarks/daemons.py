"""A process that serves a mount: waiting until it does, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import COMMAND_SECONDS

_MOUNT_SECONDS = 10


def await_mount(place: Path, process: subprocess.Popen[bytes]) -> None:
    """Return once something is mounted there; RuntimeError when the process does not do it."""
    deadline = time.monotonic() + _MOUNT_SECONDS
    while not os.path.ismount(place):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nothing was mounted at {place}")
        time.sleep(0.01)


@contextmanager
def ending(place: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Unmount the place and end the process at the end of the block; no signal interrupts that."""
    try:
        yield
    finally:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            was_mounted = os.path.ismount(place)
            if not was_mounted:
                process.terminate()
            _unmount(place)
            _end(process)
            if not was_mounted:
                # It may have come up to that point meanwhile.
                _unmount(place)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _unmount(place: Path) -> None:
    """Unmount, also what is busy or dead."""
    if subprocess.run(["fusermount3", "-u", place], capture_output=True, check=False).returncode:
        subprocess.run(["fusermount3", "-uz", place], capture_output=True, check=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process whose mount is gone; it ends whatever it does."""
    try:
        process.wait(COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
