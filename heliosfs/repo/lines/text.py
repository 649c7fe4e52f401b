"""The distinction of text, which is compared by lines, from binary data."""

from __future__ import annotations

TEXT_MAX_BYTES = 8 * 1024 * 1024
"""Size above which a file counts as binary, so that no request blocks the file system for long."""

_SNIFFED_BYTES = 8000


def is_text(data: bytes) -> bool:
    """Return True if the lines can be merged: git's rule, no NUL byte near the beginning."""
    return len(data) <= TEXT_MAX_BYTES and b"\0" not in data[:_SNIFFED_BYTES]
