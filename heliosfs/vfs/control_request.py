"""Requests of control channels: the verb that is to run, and all that must happen around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import NamedTuple

from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import Unfetched
from heliosfs.steps import Steps


class LongRequest(NamedTuple):
    """The additional data of a request for a verb that is a generator of steps."""

    name: str
    begin: Callable[[], Steps[str]]
    progress: bool
    """True if lines of progress precede the reply and are read while the verb runs."""


class BegunBarrier(NamedTuple):
    """A barrier that began when a message was written, ahead of the request to commit."""

    number: int
    at_ns: int


@dataclass(slots=True)
class ControlRequest:
    """Request to run one verb.  Nobody changes it; it is not frozen, which takes 3 us to make."""

    barrier: bool
    """True if the kernel must write its dirty pages back first."""
    sync: bool
    """True if the reply must wait until the store is safe from a power cut."""
    run: Callable[[], str]
    observe: Callable[[int], None] | None = None
    """Function to call after the request, with its duration in ns."""
    long: LongRequest | None = None
    """Steps of a long verb, which run in place of `run`; None for other verbs."""
    reading: LongRequest | None = None
    """Steps that change nothing before they yield `ALONE`; they precede `long` if both are set."""
    exit: bool = False
    """True if the reply begins with a line that tells the exit code."""
    unfetched: Callable[[Unfetched], str] | None = None
    """Function that returns the reply where contents are needed that cannot be had, or raises the
    error as the request is to see it; None to report it as it is."""
    begun_barrier: BegunBarrier | None = None
    """Barrier that has begun for this request already."""
    begun_ns: int = field(default_factory=perf_counter_ns)

    def framed(self, reply: str) -> str:
        """Return the reply, preceded by a line with the exit code."""
        return f"exit: {exit_code_of(reply)}\n{reply}"

    def answered(self) -> None:
        """Record the duration of the request, with all waits, after its end."""
        if self.observe is not None:
            self.observe(perf_counter_ns() - self.begun_ns)
