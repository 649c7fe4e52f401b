"""The identity that signs commits and owns the file system's own files."""

from __future__ import annotations

from dataclasses import dataclass

from heliosfs.clock import SECOND_NS, Clock
from heliosfs.objects.commit import Signature


@dataclass(frozen=True, slots=True)
class Identity:
    """The user who mounted the file system."""

    name: bytes
    email: bytes
    uid: int
    gid: int

    def sign(self, clock: Clock) -> Signature:
        """Return a signature of this moment."""
        seconds = clock.now_ns() // SECOND_NS
        # What Signature() does, without its call.
        fields = (self.name, self.email, seconds, clock.utc_offset_minutes())
        return tuple.__new__(Signature, fields)
