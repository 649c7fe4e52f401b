"""Rules for the keys of objects, the same for every storage."""

from __future__ import annotations

import re

from heliosfs.errors import UsageError

KEY_LENGTH_MAX = 900
"""Longest key, in bytes; S3 allows 1,024 with the prefix of the bucket, Azure as many."""
_PART = r"[ -,\-0-[\]-~][ -.0-[\]-~]*"
_KEY = re.compile(f"{_PART}(/{_PART})*")
"""Printable ASCII but for `\\`, which Azure takes for a slash, in parts between single
slashes; no part begins with a dot, so that `..` is none, nor a name that NFS makes (`.nfs…`)."""


def is_key(key: str) -> bool:
    """Return True for a key that every storage takes as it is."""
    return len(key) <= KEY_LENGTH_MAX and _KEY.fullmatch(key) is not None


def check_key(key: str) -> None:
    """Refuse a key that could lead out of a directory, or that a storage would alter.

    Raise UsageError.
    """
    if not is_key(key):
        raise UsageError(
            f"{key!r} is no key of an object: it has 1 to {KEY_LENGTH_MAX} printable characters of "
            "ASCII but for \\, in parts between slashes that are not empty and begin with no dot"
        )
