"""Machines that leave contents where they are."""

from __future__ import annotations

import random

from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.hydration import Hydration
from tests.remote.machines import Machine


class LazyMachine(Machine):
    """A repository that fetches no contents, and reads them by a clock of its own."""

    def __init__(self, bucket: MemoryBucket) -> None:
        super().__init__(bucket, is_lazy=True)
        self.now = 0.0
        self.hydration = Hydration(self.repository, lambda url: bucket, lambda: self.now)


def noise(seed: int, size: int) -> bytes:
    """Return bytes that cannot be compressed."""
    return random.Random(seed).randbytes(size)
