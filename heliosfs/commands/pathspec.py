"""Pathspecs: the paths that a verb is about, by name, pattern or exception (gitglossary(7))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from heliosfs.commands.render import bytes_of
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound, UsageError
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.steps import TURN, Steps, at_once
from heliosfs.store.base import Store
from heliosfs.trees.gitlinks import is_directory
from heliosfs.trees.stored import find_entry, read_entries, walk_changes
from heliosfs.trees.wildmatch import Matcher, is_pattern, literal_length, matcher

_LOOKED_AT_MAX = 20_000
"""Number of entries that are read to find out if a pattern matches unchanged paths or nothing."""

_WORDS = {"top", "literal", "icase", "glob", "exclude"}
_SHORT = {"/": "top", "!": "exclude", "^": "exclude"}
_RESERVED = "\"#%&',-;<=>@_`~"
"""Characters that git reserves for future magic."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One pathspec."""

    word: str
    """The word as it was written."""
    place: bytes
    """Directories before the first wildcard; of a name, the whole path."""
    fits: Matcher | None
    """Test of a path; None for a plain name, which also stands for all below it."""
    is_directory: bool = False
    """True for a name with a slash at its end, which only a directory has."""

    def matches(self, path: bytes) -> bool:
        """Return True if the path is meant."""
        if self.fits is not None:
            return self.fits(path)
        if not self.place or path.startswith(self.place + b"/"):
            return True
        return path == self.place and not self.is_directory

    def lies_in(self, store: Store, root: Entry) -> bool:
        """Return True if a tree has something of that name."""
        entry = find_entry(store, root, self.place)
        return entry is not None and (entry.is_dir or not self.is_directory)


@dataclass(frozen=True, slots=True)
class Pathspec:
    """All pathspecs of a request; an empty set means everything."""

    items: tuple[_Item, ...]
    excluded: tuple[_Item, ...]

    @property
    def is_plain(self) -> bool:
        """Return True if names are all there is: no pattern, no exception."""
        return not self.excluded and all(item.fits is None for item in self.items)

    @property
    def places(self) -> list[bytes]:
        """Return the paths that contain everything that is meant; b"" is the root."""
        found: list[bytes] = []
        for place in sorted({item.place for item in self.items}) or [b""]:
            if not any(not above or place.startswith(above + b"/") for above in found):
                found.append(place)
        return found

    def matches(self, path: bytes) -> bool:
        """Return True if the path is meant."""
        if self.items and not any(item.matches(path) for item in self.items):
            return False
        return not any(item.matches(path) for item in self.excluded)

    def __bool__(self) -> bool:
        return bool(self.items or self.excluded)


def is_magic(word: str) -> bool:
    """Return True if a word can only be a pathspec: it has a wildcard, or begins with magic.

    >>> [is_magic(word) for word in ("*.md", ":!docs", ":(icase)readme", "docs", ":a")]
    [True, True, True, False, False]
    """
    if word.startswith((":(", ":/", ":!", ":^")):
        return True
    return not word.startswith(":") and is_pattern(bytes_of(word))


def pathspec(cwd: str, words: Sequence[str], *, default: str | None = None) -> Pathspec:
    """Read the words of a caller in `cwd`.

    Exceptions alone are taken from everything, or from `default`.  Raise UsageError.
    """
    items: list[_Item] = []
    excluded: list[_Item] = []
    for word in words:
        item, is_exception = _read(cwd, word)
        (excluded if is_exception else items).append(item)
    if excluded and not items and default is not None:
        items.append(_Item(default, bytes_of(default), None))
    return Pathspec(tuple(items), tuple(excluded))


def chosen(
    request: Request, words: Sequence[str], sides: Sequence[Entry], problem: str
) -> list[bytes]:
    """Return what `chosen_in_steps` returns, at once."""
    return at_once(chosen_in_steps(request, words, sides, problem))


def chosen_in_steps(
    request: Request, words: Sequence[str], sides: Sequence[Entry], problem: str
) -> Steps[list[bytes]]:
    """Return the paths that a verb takes from one tree into another.

    A name stands for itself, a pattern for all it matches of what differs between the sides.
    NotFound, with `problem` after the word, when nothing lies there on any side.
    """
    spec = pathspec(request.cwd, words, default=request.cwd)
    store = request.repository.store
    for item in spec.items:
        if item.fits is None and not any(item.lies_in(store, root) for root in sides):
            raise NotFound(f"no path {item.word[:80]!r} {problem}")
    if spec.is_plain:
        return [item.place for item in spec.items]
    first, *others = sides
    matched: set[bytes] = set()
    for other in others:
        for path, _, new in walk_changes(store, TreeId(first.oid), TreeId(other.oid)):
            yield TURN
            if (new is None or not new.is_dir) and spec.matches(path):
                matched.add(path)
    found = sorted(matched)
    for item in spec.items:
        if item.fits is not None and not any(map(item.fits, found)):
            yield from _check_pattern(store, sides, item, problem)
    return found


def files_below(store: Store, root: Entry, spec: Pathspec) -> Iterator[tuple[bytes, Entry]]:
    """Yield the files and links in a tree that are meant, in byte order of the paths."""
    for path, entry in _entries(store, root, spec.places):
        if not is_directory(entry) and spec.matches(path):
            yield path, entry


def paths_below(store: Store, root: Entry, spec: Pathspec) -> Steps[list[bytes]]:
    """Return the paths of `files_below`, in steps: a pattern may fit few of many."""
    found = []
    for path, entry in _entries(store, root, spec.places):
        if not is_directory(entry) and spec.matches(path):
            found.append(path)
        yield TURN
    return found


def _entries(store: Store, root: Entry, places: Sequence[bytes]) -> Iterator[tuple[bytes, Entry]]:
    """Yield all entries at and below some places, a directory before its content."""
    for place in places:
        start = find_entry(store, root, place)
        pending = [(place, start)] if start is not None else []
        while pending:
            path, entry = pending.pop()
            yield path, entry
            if is_directory(entry):
                prefix = path + b"/" if path else b""
                raws = read_entries(store, TreeId(entry.oid))
                inside = (decode_entry(raw)[0] for raw in reversed(raws))
                pending += [(prefix + each.name, each) for each in inside]


def _read(cwd: str, word: str) -> tuple[_Item, bool]:
    """Read a pathspec as git does, and return whether it is an exception.  Raise UsageError."""
    magic, text = _magic(word)
    is_exception = "exclude" in magic
    if "top" in magic:
        prefix, match = b"", bytes_of(text)
    else:
        prefix, match = _normal(cwd, word, text)
    has_pattern = "literal" not in magic and is_pattern(match[len(prefix) :])
    if match.startswith(b"/"):
        # From the root on, a path that begins with a slash names nothing.
        return _Item(word, b"", lambda path: False), is_exception
    if not has_pattern and "icase" not in magic:
        return _Item(word, match.rstrip(b"/"), None, match.endswith(b"/")), is_exception
    place = prefix
    if "icase" not in magic:
        place += match[len(prefix) :][: literal_length(match[len(prefix) :])].rpartition(b"/")[0]
    fits = _test(prefix, match[len(prefix) :], magic, has_pattern=has_pattern)
    return _Item(word, place.rstrip(b"/"), fits), is_exception


def _normal(cwd: str, word: str, text: str) -> tuple[bytes, bytes]:
    """Split a path: the part that comes from the current directory, and the path from the root on.

    A slash at the end stays.  What is left of the directory is no pattern, whatever its name.
    """
    if text.startswith("/"):
        raise UsageError(f"usage: {word[:80]!r} is absolute: give a path below the workspace")
    parts = [part for part in bytes_of(cwd).split(b"/") if part]
    kept = len(parts)
    for part in bytes_of(text).split(b"/"):
        if part == b"..":
            if not parts:
                raise UsageError(f"usage: {word[:80]!r} is outside of the workspace")
            parts.pop()
            kept = min(kept, len(parts))
        elif part not in (b"", b"."):
            parts.append(part)
    prefix = b"".join(part + b"/" for part in parts[:kept])
    ends = text.rpartition("/")[2] in ("", ".", "..") and bool(text)
    match = prefix + b"/".join(parts[kept:])
    if ends and match and not match.endswith(b"/"):
        match += b"/"
    return prefix, match


def _test(prefix: bytes, text: bytes, magic: set[str], *, has_pattern: bool) -> Matcher:
    """Match the text itself, which may lie above what is meant, or as a pattern."""
    ignore_case = "icase" in magic
    named = text.lower() if ignore_case else text
    below_it = named if named.endswith(b"/") or not named else named + b"/"
    pattern: Matcher = lambda rest: False  # noqa: E731 (a value of the type, not a function)
    # As in git, what comes before the first wildcard is cut off: `dir**` crosses slashes then.
    cut = literal_length(text) if has_pattern else 0
    start = named[:cut]
    if has_pattern:
        pattern = matcher(text[cut:], ignore_case=ignore_case, crosses_slash="glob" not in magic)

    def fits(path: bytes) -> bool:
        if not path.startswith(prefix):
            return False
        rest = path[len(prefix) :]
        plain = rest.lower() if ignore_case else rest
        if plain == named or plain.startswith(below_it):
            return True
        return plain.startswith(start) and pattern(rest[cut:])

    return fits


def _magic(word: str) -> tuple[set[str], str]:
    """Split a pathspec into the words of its magic and the rest.  Raise UsageError."""
    if word.startswith(":("):
        inside, end, text = word[2:].partition(")")
        magic = {each for each in inside.split(",") if each}
        unknown = sorted(magic - _WORDS)
        if not end or unknown:
            what = f"{unknown[0][:40]!r} is not" if unknown else "its magic has no end:"
            raise UsageError(f"usage: {word[:80]!r}: {what} one of {', '.join(sorted(_WORDS))}")
        return magic, text
    if not word.startswith(":"):
        return set(), word
    at = 1
    magic = set()
    while word[at : at + 1] in _SHORT and word[at : at + 1]:
        magic.add(_SHORT[word[at]])
        at += 1
    if word[at : at + 1] and word[at] in _RESERVED:
        raise UsageError(f"usage: {word[:80]!r}: unknown pathspec magic {word[at]!r}")
    return magic, word[at:].removeprefix(":")


def _check_pattern(store: Store, sides: Sequence[Entry], item: _Item, problem: str) -> Steps[None]:
    """Check that something matches a pattern.  Raise NotFound.

    In a tree that takes too long to be looked through, nothing is said.
    """
    left = _LOOKED_AT_MAX
    for root in sides:
        for path, entry in islice(_entries(store, root, [item.place]), left):
            left -= 1
            yield TURN
            if not entry.is_dir and item.matches(path):
                return
    if left > 0:
        raise NotFound(f"no path matches {item.word[:80]!r} {problem}")
