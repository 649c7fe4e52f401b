"""Which names git keeps out of its trees: those that a checkout would take for its own."""

from __future__ import annotations

import re

_DOTGIT = re.compile(rb"(\.git|git~1)[. ]*(:.*)?", re.IGNORECASE | re.DOTALL)


def is_reserved(name: bytes) -> bool:
    r"""Whether a tree with this name fails `git fsck` (fsck.c, is_ntfs_dotgit).

    >>> [is_reserved(name) for name in (b".git", b".GIT. ", b"git~1", b".gitignore")]
    [True, True, True, False]
    """
    return _DOTGIT.fullmatch(name) is not None
