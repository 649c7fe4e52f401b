"""A leaf with other entries for some of its names, without a look at the rest."""

from __future__ import annotations

from collections.abc import Iterable

SPLICED_MAX = 16
"""From this many replacements on, joining all entries is as fast."""

Replacement = tuple[bytes, bytes]
"""The encoded entry that a name had, and the one that it has."""


def splice(data: bytes, replacements: Iterable[Replacement]) -> bytes | None:
    """Replace encoded entries of a leaf, or ids of an index, without touching the others.

    None when one is not found exactly once: a symlink's target can contain the bytes of
    another entry, and then only a walk of the leaf tells which is which.

    >>> splice(b"_aabbcc", [(b"bb", b"xyz")])
    b'_aaxyzcc'
    >>> splice(b"_aabbaa", [(b"aa", b"x")]) is None
    True
    """
    for old, new in replacements:
        at = data.find(old)
        if at < 0 or data.rfind(old) != at:
            return None
        data = b"".join((data[:at], new, data[at + len(old) :]))
    return data
