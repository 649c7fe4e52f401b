"""Pathspecs: the paths that a verb is about, by name, pattern or exception (gitglossary(7))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from heliosfs.commands.render import below, bytes_of
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound, UsageError
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.store.base import Store
from heliosfs.workspace.gitlinks import is_directory
from heliosfs.workspace.trees import find_entry, read_entries, walk_changes
from heliosfs.workspace.wildmatch import Matcher, is_pattern, literal_length, matcher

_LOOKED_AT_MAX = 20_000
"""Entries that are looked at to tell a pattern without a match from one without a change."""

_WORDS = {"top", "literal", "icase", "glob", "exclude"}
_SHORT = {"/": "top", "!": "exclude", "^": "exclude"}


@dataclass(frozen=True, slots=True)
class _Item:
    """One pathspec."""

    word: str
    """The word as it was written."""
    place: bytes
    """The directories before the first wildcard; of a name, the whole path."""
    fits: Matcher | None
    """None of a plain name, which also stands for all below it."""

    def matches(self, path: bytes) -> bool:
        """Return True if the path is meant."""
        if self.fits is not None and self.fits(path):
            return True
        return self.fits is None and (
            not self.place or path == self.place or path.startswith(self.place + b"/")
        )


@dataclass(frozen=True, slots=True)
class Pathspec:
    """All pathspecs of a request; none of them means everything."""

    items: tuple[_Item, ...]
    excluded: tuple[_Item, ...]

    @property
    def is_plain(self) -> bool:
        """Return True if names are all there is: no pattern, no exception."""
        return not self.excluded and all(item.fits is None for item in self.items)

    @property
    def places(self) -> list[bytes]:
        """The paths below which everything lies that is meant; b"" is the root."""
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

    Exceptions alone are taken from everything, or from `default`.  UsageError.
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
    """The paths that a verb takes from one tree into another.

    Of names these themselves; of patterns what matches of all that differs between the sides.
    NotFound, with `problem` after the word, when nothing lies there on any side.
    """
    spec = pathspec(request.cwd, words, default=request.cwd)
    store = request.repository.store
    for item in spec.items:
        if item.fits is None and not _is_there(store, sides, item.place):
            raise NotFound(f"no path {item.word[:80]!r} {problem}")
    if spec.is_plain:
        return [item.place for item in spec.items]
    first, *others = sides
    changed = {
        path
        for other in others
        for path, _, new in walk_changes(store, TreeId(first.oid), TreeId(other.oid))
        if new is None or not new.is_dir
    }
    found = sorted(path for path in changed if spec.matches(path))
    for item in spec.items:
        if item.fits is not None and not any(map(item.fits, found)):
            _check_pattern(store, sides, item, problem)
    return found


def files_below(store: Store, root: Entry, spec: Pathspec) -> Iterator[tuple[bytes, Entry]]:
    """Everything in a tree that is no directory and is meant, in byte order of the paths."""
    for path, entry in _entries(store, root, spec.places):
        if not is_directory(entry) and spec.matches(path):
            yield path, entry


def _entries(store: Store, root: Entry, places: Sequence[bytes]) -> Iterator[tuple[bytes, Entry]]:
    """Everything at and below some places, directories before what is in them."""
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
    magic, text = _magic(word)
    start = "" if "top" in magic else cwd
    is_literal = "literal" in magic or not is_pattern(bytes_of(text))
    if is_literal and "icase" not in magic:
        return _Item(word, below(start, text or "."), None), "exclude" in magic
    # The current directory is no pattern, whatever its name.
    place, pattern = bytes_of(start), bytes_of(text)
    while pattern.startswith((b"./", b"../")):
        if pattern.startswith(b"../"):
            if not place:
                raise UsageError(f"usage: {word[:80]!r} is outside of the workspace")
            place = place.rpartition(b"/")[0]
        pattern = pattern.partition(b"/")[2]
    prefix = place + b"/" if place else b""
    fits = _test(prefix, pattern, magic, is_literal=is_literal)
    if "icase" in magic:
        place_end = b""
    else:
        place_end = pattern[: literal_length(pattern)].rpartition(b"/")[0]
    return _Item(word, (prefix + place_end).rstrip(b"/"), fits), "exclude" in magic


def _test(prefix: bytes, pattern: bytes, magic: set[str], *, is_literal: bool) -> Matcher:
    if is_literal:
        wanted = pattern.lower()

        def is_named(path: bytes) -> bool:
            text = path[len(prefix) :].lower()
            return path.startswith(prefix) and (text == wanted or text.startswith(wanted + b"/"))

        return is_named
    fits = matcher(pattern, ignore_case="icase" in magic, crosses_slash="glob" not in magic)
    return lambda path: path.startswith(prefix) and fits(path[len(prefix) :])


def _magic(word: str) -> tuple[set[str], str]:
    """The words of the magic before a pathspec, and what comes after it."""
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
    return magic, word[at:].removeprefix(":") if at > 1 else word


def _is_there(store: Store, sides: Sequence[Entry], path: bytes) -> bool:
    return any(find_entry(store, root, path) is not None for root in sides)


def _check_pattern(store: Store, sides: Sequence[Entry], item: _Item, problem: str) -> None:
    """NotFound when nothing matches a pattern.

    In a tree that is too large to be looked through while others wait, nothing is said.
    """
    left = _LOOKED_AT_MAX
    for root in sides:
        for path, entry in islice(_entries(store, root, [item.place]), left):
            left -= 1
            if not entry.is_dir and item.matches(path):
                return
    if left > 0:
        raise NotFound(f"no path matches {item.word[:80]!r} {problem}")
