"""Names that a branch or a tag may have (git-check-ref-format(1), and what a path needs)."""

from __future__ import annotations

import re

from heliosfs.errors import UsageError

NAME_MAX_BYTES = 255

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{")
_HEX = re.compile(r"[0-9a-f]{64}")


def check_name(name: str, what: str = "branch") -> str:
    """Return the name.  Raise UsageError, which says what is wrong with it."""
    problem = _problem(name)
    if problem:
        raise UsageError(f"{name[:80]!r} is not a valid {what} name: {problem}")
    return name


def _problem(name: str) -> str:
    if not name:
        return "it is empty"
    if len(name.encode("utf-8", "surrogateescape")) > NAME_MAX_BYTES:
        return f"it has more than {NAME_MAX_BYTES} bytes"
    found = _FORBIDDEN.search(name)
    if found:
        return f"it contains {found.group()!r}"
    if any(part.startswith(".") or part.endswith(".lock") for part in name.split("/")):
        return "a part of it begins with '.' or ends with '.lock'"
    if name.startswith(("/", "-")) or name.endswith(("/", ".")):
        return "it begins with '/' or '-', or ends with '/' or '.'"
    if name in ("HEAD", "@"):
        return "it is reserved"
    if _HEX.fullmatch(name):
        return "it looks like a commit id"
    return ""
