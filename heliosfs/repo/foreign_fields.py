"""Fields of a JSON document that came from another machine: each is what it must be, or refused.

The functions raise ValueError, which the reader of the document tells with its name.
"""

from __future__ import annotations

import re

from heliosfs.objects.ids import OID_BYTES, CommitId, Oid

NUMBER_MAX = 2**63 - 1
LINE_MAX = 1_024
"""Most characters of a line."""
DIGITS = re.compile(rf"[0-9a-f]{{{2 * OID_BYTES}}}")
"""An id or a digest, in hex."""


def digits_in(value: object) -> str:
    """Return an id or a digest, in hex."""
    # Not by `fromhex` alone, which passes over blanks.
    if not isinstance(value, str) or DIGITS.fullmatch(value) is None:
        raise ValueError("not an id in hex")
    return value


def commit_in(value: object) -> CommitId:
    """Return the id of a commit."""
    return CommitId(Oid(bytes.fromhex(digits_in(value))))


def number_in(value: object, most: int = NUMBER_MAX) -> int:
    """Return a number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError("not a number, or one that is too large")
    return value


def line_in(value: object) -> str:
    """Return a line of text, without control characters: these must not reach a terminal."""
    if not isinstance(value, str) or len(value) > LINE_MAX or not value.isprintable():
        raise ValueError("not a line of text")
    return value
