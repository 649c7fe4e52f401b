"""Account of the bytes of files in memory, which decides what is stored early and what leaves."""

from __future__ import annotations

from heliosfs.objects.blob import PART_BYTES


class Account:
    """Bytes of the contents that share a budget: files in one piece, and parts of large files.

    Code that loads or drops bytes counts them here at once; nothing is ever counted again, since
    a sum over all files would cost more than the work that it decides about.
    """

    __slots__ = (
        "dirty_part_bytes",
        "dirty_part_count",
        "part_bytes",
        "whole_bytes",
        "written_bytes",
    )

    def __init__(self) -> None:
        self.whole_bytes = 0
        """Bytes in memory of files in one piece."""
        self.written_bytes = 0
        """Upper estimate of the bytes written to files in one piece since all were stored."""
        self.part_bytes = 0
        """Bytes in memory of parts."""
        self.dirty_part_bytes = 0
        """Bytes of parts in memory that the store does not have."""
        self.dirty_part_count = 0
        """Number of parts with bytes that the store does not have."""

    @property
    def resident_bytes(self) -> int:
        """Return the number of bytes of files in memory."""
        return self.whole_bytes + self.part_bytes

    @property
    def dirty_bytes(self) -> int:
        """Return an upper estimate of the written bytes that the store does not have."""
        return self.written_bytes + self.dirty_part_bytes

    @property
    def flush_bytes(self) -> int:
        """Return an upper estimate of the bytes that a flush would hash: whole parts count."""
        return self.written_bytes + self.dirty_part_count * PART_BYTES
