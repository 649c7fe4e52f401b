"""Directories in memory, for tests of which nothing depends on the speed or the kind of a disk.

A sync takes 10 us there, where a disk takes half a millisecond and more: what enumerates the steps
of a store syncs many thousand times, and would wait most of the time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_TMPFS = "/dev/shm"
_FREE_MIN_BYTES = 512 * 1024 * 1024
"""Free memory that each directory wants; a container has 64 MiB for all, unless told otherwise."""


def tmpfs() -> str | None:
    """Return a directory on tmpfs with room; None for that of temporary files if there is none."""
    try:
        found = os.statvfs(_TMPFS)
    except FileNotFoundError:
        return None
    return _TMPFS if found.f_bavail * found.f_frsize >= _FREE_MIN_BYTES else None


@contextmanager
def directory() -> Iterator[Path]:
    """Make a directory in memory, and remove it in the end with all that is in it."""
    path = Path(tempfile.mkdtemp(prefix="helios-", dir=tmpfs()))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory in memory, for levels of tests that import this in place of pytest's."""
    with directory() as path:
        # A directory further down, so that what a test makes beside it goes, too.
        inner = path / "test"
        inner.mkdir()
        yield inner
