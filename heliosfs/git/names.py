"""Names that git does not allow in trees, because a checkout would take them for its own files."""

from __future__ import annotations

import re

_DOTGIT = re.compile(rb"(\.git|git~1)[. ]*(:.*)?", re.IGNORECASE | re.DOTALL)


def is_reserved(name: bytes) -> bool:
    r"""Return True if a tree with this name fails `git fsck` (fsck.c, is_ntfs_dotgit).

    >>> [is_reserved(name) for name in (b".git", b".GIT. ", b"git~1", b".gitignore")]
    [True, True, True, False]
    """
    return _DOTGIT.fullmatch(name) is not None
