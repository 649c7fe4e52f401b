"""Names of the files and directories that objects have in a directory.

    refs/heads/main    refs.d/heads.d/main
    refs/heads/a.d     refs.d/heads.d/a.d_

A directory's name ends in `.d`, so that the objects `a` and `a/b` can both be there, as in every
other storage.  A part of a key that is longer than a file name may be is cut in pieces, all of them
but the last directories whose names end in `.m`.  Names in `.x` are of no object.
"""

from __future__ import annotations

import re

_PART_LENGTH_MAX = 240
"""Longest piece of a part, in bytes: NAME_MAX is 255, and the smallest in use 255 less a few."""
_TAKEN = re.compile(r"\.[dmx]_*\Z")
_ESCAPED = re.compile(r"\.[dmx]_+\Z")

NEW = "new.x"
"""Directory of the files that are being written."""
LOCK = "lock.x"
"""File that is locked while an object is replaced or deleted."""


def path_of(key: str) -> tuple[tuple[str, ...], str]:
    """Return the names of the directories, and of the file, of a key that `check_key` takes."""
    *parents, last = key.split("/")
    directories: list[str] = []
    for part in parents:
        *pieces, rest = _pieces(part)
        directories += [f"{piece}.m" for piece in pieces]
        directories.append(f"{rest}.d")
    *pieces, rest = _pieces(last)
    directories += [f"{piece}.m" for piece in pieces]
    return tuple(directories), f"{rest}_" if _TAKEN.search(rest) else rest


def key_part(name: str) -> tuple[str, bool] | None:
    """Return the part of a key that a file or directory stands for; None if for none.

    It ends in a slash for a whole part.  The second value is True for a directory.
    """
    if name.endswith(".d"):
        return f"{name[:-2]}/", True
    if name.endswith(".m"):
        return name[:-2], True
    if name.endswith(".x"):
        return None
    return (name[:-1] if _ESCAPED.search(name) else name), False


def _pieces(part: str) -> list[str]:
    return [part[at : at + _PART_LENGTH_MAX] for at in range(0, len(part), _PART_LENGTH_MAX)]
