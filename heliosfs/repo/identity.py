"""Who makes commits and owns the files that the file system shows of itself."""

from __future__ import annotations

from dataclasses import dataclass

from heliosfs.clock import SECOND_NS, Clock
from heliosfs.objects.commit import Signature


@dataclass(frozen=True, slots=True)
class Identity:
    """The mounting user."""

    name: bytes
    email: bytes
    uid: int
    gid: int

    def sign(self, clock: Clock) -> Signature:
        """A signature of this moment."""
        seconds = clock.now_ns() // SECOND_NS
        return Signature(self.name, self.email, seconds, clock.utc_offset_minutes())
