"""The error message for a refused regular expression, with an alternative."""

from __future__ import annotations

import re

from heliosfs.errors import UsageError

_SHOWN = 80
"""Number of characters of an expression that a message quotes."""
_UNBOUNDED = re.compile(rb"invalid perl operator: \(\?[=!<>P]|sequence: \\[1-9KGR]|operator: .*\+$")


def refusal(pattern: bytes, error: Exception) -> UsageError:
    """Return the error for a pattern that the engine, or the translation, does not accept."""
    shown = pattern.decode("utf-8", "backslashreplace")[:_SHOWN]
    said = str(error)
    text = f"'{shown}' is not a regular expression that can be searched for: {said}"
    if _UNBOUNDED.search(said.encode()):
        text += (
            "; back-references, look-around and possessive repetition are left out, because their "
            "time has no bound: rephrase it, or use 'grep -rP' or 'rg -P' on the mounted files"
        )
    elif "too large" in said or "repetition" in said:
        text += "; a repetition may ask for 1,000 times at most, nested ones multiplied"
    return UsageError(text)
