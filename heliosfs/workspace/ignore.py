"""Ignore files: which names a `.heliosignore` keeps out of commits (gitignore(5))."""

from __future__ import annotations

import stat
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.store.base import Store
from heliosfs.workspace.trees import find_entry, read_file

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_NAME = b".heliosignore"


_END = "\x01"
"""A name below every path that is matched, and at the end of every pattern.

A pattern then fits a path itself and not what lies below it, which is how git matches: whether a
directory above is ignored was asked before.  In the library's language it would fit both.
"""


class Patterns(NamedTuple):
    """An ignore file, read."""

    of_files: GitIgnoreSpec
    of_directories: GitIgnoreSpec
    """Those that end with a slash as well."""


class Rules(NamedTuple):
    """What holds in a directory: the patterns of its own ignore file, then those above."""

    patterns: Patterns
    oid: Oid
    """The content of the ignore file."""
    place: bytes
    """The path of the directory with a slash at its end; b"" is the root."""
    above: Rules | None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for rules that are equal."""
        return self.place, self.oid, self.above.key if self.above is not None else None

    def ignores(self, path: bytes, *, is_dir: bool) -> bool:
        """Whether a path in the directory is kept out, where no directory above it is.

        The last pattern that fits decides, and a file of a deeper directory before those above.
        """
        text = f"{path.decode('utf-8', 'surrogateescape')}/{_END}"
        rules: Rules | None = self
        while rules is not None:
            patterns = rules.patterns.of_directories if is_dir else rules.patterns.of_files
            skipped = len(rules.place.decode("utf-8", "surrogateescape"))
            verdict = patterns.check_file(text[skipped:]).include
            if verdict is not None:
                return verdict
            rules = rules.above
        return False


def rules_in(store: Store, directory: Entry, place: bytes, above: Rules | None) -> Rules | None:
    """The rules that hold in a directory, where those `above` hold around it."""
    found = find_entry(store, directory, IGNORE_NAME)
    if found is None or not stat.S_ISREG(found.mode) or not found.size:
        return above
    text = read_file(store, found).decode("utf-8", "surrogateescape")
    return Rules(_parse(text.removeprefix("\ufeff")), found.oid, place, above)


@lru_cache(maxsize=64)
def _parse(text: str) -> Patterns:
    """The patterns; lines that are none are left out, as git does."""
    from pathspec import GitIgnoreSpec

    files: list[str] = []
    directories: list[str] = []
    for line in text.split("\n"):
        pattern, is_only_directory = _translate(line.removesuffix("\r"))
        try:
            GitIgnoreSpec.from_lines([pattern], backend="simple")
        except ValueError:
            continue
        directories.append(pattern)
        if not is_only_directory:
            files.append(pattern)
    return Patterns(
        GitIgnoreSpec.from_lines(files, backend="simple"),
        GitIgnoreSpec.from_lines(directories, backend="simple"),
    )


def _translate(line: str) -> tuple[str, bool]:
    r"""A line as a pattern that fits a path with `_END` below it; whether only of a directory.

    >>> _translate("!build/")
    ('!/**/build/\x01', True)
    >>> _translate("/a/**")
    ('/a/**/*/\x01', False)
    """
    if line.startswith("#"):
        return "", False
    pattern = line.rstrip(" ")
    if pattern.endswith("\\") and pattern != line:
        pattern += " "
    sign = "!" if pattern.startswith("!") else ""
    pattern = pattern.removeprefix("!")
    is_only_directory = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    is_anchored = "/" in pattern
    pattern = pattern.removeprefix("/")
    if not pattern or "//" in pattern or pattern.endswith("/"):
        return "", False
    if pattern.endswith("/**") or (is_anchored and pattern == "**"):
        pattern += "/*"
    return f"{sign}/{'' if is_anchored else '**/'}{pattern}/{_END}", is_only_directory
