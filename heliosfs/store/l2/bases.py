"""The last objects that were decoded from chains: bases of what is read next.

Whoever reads all versions of a file, as an export to git does, meets each of them as the base of
the next one.  Without these, each is decoded from the beginning of its chain again.
"""

from __future__ import annotations

from heliosfs.store.l2.record import Payload

CAPACITY_BYTES = 16 * 1024 * 1024
_COUNT_MIN = 16
"""Number of objects for which there is room, as larger ones are not kept."""
_OVERHEAD_BYTES = 300


class DecodedBases:
    """Decoded objects by number, with the id in their record; the oldest ones are dropped first.

    Nothing relies on them: an object that was decoded with one has the id that was asked for, or is
    decoded again without.  So it does not matter if a number means another object by now.
    """

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.known: dict[int, tuple[bytes, bytes]] = {}
        self.used_bytes = 0
        self.capacity_bytes = capacity_bytes

    def keep(self, payload: Payload, data: bytes) -> None:
        """Keep an object that was decoded from its base, in place of that base."""
        known = self.known
        # The next version is a delta to this one, mostly: its base has served.
        before = known.pop(payload.base, None) if payload.base is not None else None
        if before is not None:
            self.used_bytes -= len(before[1]) + _OVERHEAD_BYTES
        if len(data) * _COUNT_MIN > self.capacity_bytes or payload.number in known:
            return
        known[payload.number] = payload.id, data
        self.used_bytes += len(data) + _OVERHEAD_BYTES
        while self.used_bytes > self.capacity_bytes:
            oldest = next(iter(known))
            self.used_bytes -= len(known.pop(oldest)[1]) + _OVERHEAD_BYTES
