"""A leaf with a few entries replaced, without touching the others."""

from __future__ import annotations

SPLICED_MAX = 16
"""From this many replacements on, joining all entries is as fast."""


def splice(data: bytes, replacements: list[tuple[bytes, bytes]]) -> bytes | None:
    """Replace encoded entries of a leaf by others of the same names.

    None when an entry's bytes are not found exactly once: a symlink's target can contain the
    bytes of another entry, and then only a walk of the leaf tells which is which.

    >>> splice(b"_aabbcc", [(b"bb", b"xyz")])
    b'_aaxyzcc'
    >>> splice(b"_aabbaa", [(b"aa", b"x")]) is None
    True
    """
    for old, new in replacements:
        at = data.find(old)
        if at < 0 or data.rfind(old) != at:
            return None
        data = data[:at] + new + data[at + len(old) :]
    return data
