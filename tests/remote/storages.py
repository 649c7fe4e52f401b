"""Storages that the contract of buckets is tested on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from heliosfs.remote.bucket import Bucket
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.buckets.opening import open_bucket

Opener = Callable[[], Bucket]
"""Function that opens the same storage again, as another process would."""


@contextmanager
def in_memory(path: Path) -> Iterator[Opener]:
    bucket = MemoryBucket()
    yield lambda: bucket


@contextmanager
def in_directory(path: Path) -> Iterator[Opener]:
    yield lambda: open_bucket(f"file://{path}/bucket", make=True)


STORAGES = {"memory": in_memory, "directory": in_directory}
