"""A harness: one decoder, what it may raise, and the bounds of time and memory it has to keep."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).parent / "corpus"
INPUT_MAX_BYTES = 64 * 1024
SECONDS_MAX = 5
"""Longest time for one input; most take some microseconds."""


class Hang(AssertionError):
    """An input took too long."""


class Harness(NamedTuple):
    """A function to fuzz, its sound inputs, and the errors that it may raise."""

    name: str
    run: Callable[[bytes], object]
    """Function that decodes its argument, and asserts what must be true of any bytes."""
    refuses: tuple[type[Exception], ...]
    """Errors that are documented for bytes that are damaged; any other is a finding."""
    seeds: Callable[[], list[bytes]]
    """Sound inputs, made by the encoder of today."""
    words: tuple[bytes, ...] = ()
    """Pieces that a mutation may insert."""

    def inputs(self) -> list[bytes]:
        """The seeds, and the inputs in the repository that once found something."""
        kept = sorted((CORPUS / self.name).glob("*"))
        return [*self.seeds(), *(path.read_bytes() for path in kept)]

    def check(self, data: bytes) -> bool:
        """Run one input; return False if it was refused.  Any other error is raised."""
        with bounded():
            try:
                self.run(data)
            except self.refuses:
                return False
        return True


@contextmanager
def bounded() -> Iterator[None]:
    """Raise Hang in the main thread if the block takes too long."""

    def late(number: int, frame: object) -> None:
        raise Hang(f"more than {SECONDS_MAX} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_MAX)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
