"""Conversion of git's entries to ours and back: modes, times, submodules.

An entry of git has few attributes, and the others are derived from them, so equal trees of git
become equal trees here.  Attributes that have no equivalent here are kept in user xattrs of the
entry, which stay with a file or directory that is renamed or copied.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping

from heliosfs.clock import SECOND_NS
from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.trees.gitlinks import GITLINK, gitlink_of

LEGACY_MODE = b"user.heliosfs.gitmode"
"""Xattr with the mode as git has it, if git would write another one today (100664, 040000), or, for
an empty directory, no entry at all."""

TREE_MODE = b"40000"
FILE_MODE = b"100644"
EXECUTABLE_MODE = b"100755"
SYMLINK_MODE = b"120000"
GITLINK_MODE = b"160000"

_CANONICAL = frozenset((TREE_MODE, FILE_MODE, EXECUTABLE_MODE, SYMLINK_MODE, GITLINK_MODE))
_GITLINK_KIND = 0o160000

_EPOCH_SECONDS = 318_211_200
"""1 February 1980: zip files can store no earlier time, in any time zone."""
_SPREAD = 2**28 - 1
"""Range of the times of imported files in seconds: eight years and a half."""

CONSTANT_MTIME_NS = _EPOCH_SECONDS * SECOND_NS
"""Time of imported directories and symbolic links."""


def file_mtime_ns(oid: Oid) -> int:
    """Return the time of an imported file, between 1980 and 1988, derived from its content.

    Git keeps no times.  With one time for all, Python would run the bytecode of another version of
    a file, and rsync would skip it: both take equal size and time for equal content.
    """
    return (_EPOCH_SECONDS + (int.from_bytes(oid[:4], "big") & _SPREAD)) * SECOND_NS


def mode_of(git_mode: bytes) -> int:
    """Return the `st_mode` for an entry of git; 0 for a kind that git does not have.

    >>> oct(mode_of(b"100755")), oct(mode_of(b"100664")), oct(mode_of(b"160000"))
    ('0o100755', '0o100644', '0o40755')
    """
    value = int(git_mode, 8)
    kind = value & 0o170000
    if kind == stat.S_IFREG:
        return kind | (0o755 if value & 0o100 else 0o644)
    if kind == stat.S_IFLNK:
        return kind | 0o777
    if kind in (stat.S_IFDIR, _GITLINK_KIND):
        return stat.S_IFDIR | 0o755
    return 0


def marks_of(git_mode: bytes, id_hex: bytes, *, empty_tree: bool) -> Mapping[bytes, bytes] | None:
    """Return the xattrs for an entry of git; None for nearly all."""
    marks = {}
    if git_mode not in _CANONICAL or empty_tree:
        marks[LEGACY_MODE] = git_mode
    if int(git_mode, 8) & 0o170000 == _GITLINK_KIND:
        marks[GITLINK] = id_hex
    return marks or None


def git_mode_of(entry: Entry) -> bytes:
    """Return the mode that an entry gets in git; empty for a kind that git cannot store.

    A legacy mode is returned as long as it still describes the entry.
    """
    mode = entry.mode
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        plain = EXECUTABLE_MODE if mode & 0o100 else FILE_MODE
    elif kind == stat.S_IFLNK:
        plain = SYMLINK_MODE
    elif kind == stat.S_IFDIR:
        plain = GITLINK_MODE if gitlink_of(entry) else TREE_MODE
    else:
        return b""
    legacy = entry.xattrs.get(LEGACY_MODE, b"") if entry.xattrs else b""
    if legacy and legacy.isdigit() and not legacy.strip(b"01234567"):
        means = int(legacy, 8)
        same_kind = means & 0o170000 == int(plain, 8) & 0o170000
        if same_kind and (kind != stat.S_IFREG or not (means ^ mode) & 0o100):
            return legacy
    return plain
