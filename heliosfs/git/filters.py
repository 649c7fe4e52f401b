"""Files that git converts between its objects and the working tree (gitattributes(5)).

Heliosfs converts nothing: a file here has the bytes that git stores.  A program that decrypts, or
fetches contents from elsewhere, may have changed those bytes since.  An export would write them
into git's objects, where everyone could read a secret.  So it refuses to, unless told otherwise.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from heliosfs.errors import NotPermitted
from heliosfs.git.process import Git
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.steps import TURN, Steps
from heliosfs.store.base import Store
from heliosfs.store.remembered import TwoGenerationCache
from heliosfs.trees.attributes import ATTRIBUTES_NAME, Attributes, Value
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import EMPTY_TREE, find_entry, read_entries, walk_changes

_NAMES = (b"filter", b"ident", b"eol", b"text", b"working-tree-encoding")
_INFO_MAX_BYTES = 1024 * 1024
_NAMED_COUNT = 10
_TURN_COUNT = 64
_SHORT_COUNT = 64
"""Number of commits whose changed files are looked at before whole trees are searched."""
_SEARCHED_PER_COMMIT = 20
"""Number of trees that may be searched for each further commit."""
_DIRECTORIES_MAX = 100_000
_STORED_MAX_BYTES = 64 * 1024 * 1024
"""Size above which a file is not read to see whether git stores the same bytes."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_POINTER_MAX_BYTES = 1024
_GIT_CRYPT = b"\0GITCRYPT\0"


@dataclass(slots=True)
class ConversionCounts:
    """The files that git converts, counted by kind of conversion."""

    counts: Counter[str] = field(default_factory=Counter)
    """Number of files by conversion, such as `filter=lfs`, `ident`, `eol=crlf`."""
    file_count: int = 0
    is_partial: bool = False
    """True if there were too many directories to look at all of them."""

    def add(self, ways: Sequence[str]) -> None:
        """Count one file."""
        self.counts.update(ways)
        self.file_count += 1

    def __str__(self) -> str:
        """Return such as `3 files have filters or conversions: filter=lfs (2), ident (1)`."""
        ways = ", ".join(f"{way} ({count})" for way, count in sorted(self.counts.items()))
        files = "1 file has" if self.file_count == 1 else f"{self.file_count} files have"
        files = f"at least {files}" if self.is_partial else files
        kind = "filters" if all(map(_is_filter, self.counts)) else "filters or conversions"
        return f"{files} {kind}: {ways}"


def info_attributes(git: Git) -> bytes:
    """Return a repository's own patterns, which take precedence over those in its trees."""
    try:
        with open(os.path.join(git.common_dir, "info", "attributes"), "rb") as file:
            return file.read(_INFO_MAX_BYTES)
    except OSError:
        return b""


def converted_in(store: Store, root: Entry, info: bytes) -> Steps[ConversionCounts]:
    """Count the files of a tree that git converts; `info` is its info/attributes.

    Cost: O(directories), each tree once, and of files to which a line may apply; at most
    100,000 directories of these, as a few trees can have more paths than can be counted.
    """
    attributes = Attributes(store, root, _NAMES, info)
    above = yield from _trees_above_attributes(store, TreeId(root.oid))
    found = ConversionCounts()
    pending = [(b"", TreeId(root.oid))]
    for _ in range(_DIRECTORIES_MAX):
        if not pending:
            return found
        place, tree = pending.pop()
        prefix = place + b"/" if place else b""
        is_silent = attributes.is_silent(place)
        for encoded in read_entries(store, tree):
            entry, _ = decode_entry(encoded)
            if entry.is_dir:
                if not is_silent or entry.oid in above:
                    pending.append((prefix + entry.name, TreeId(entry.oid)))
            elif not is_silent and stat.S_ISREG(entry.mode):
                ways = _conversions_of(attributes.of(prefix + entry.name))
                if ways:
                    found.add(ways)
        yield TURN
    found.is_partial = True
    return found


def _trees_above_attributes(store: Store, root: TreeId) -> Steps[set[TreeId]]:
    """Return the trees that have a `.gitattributes` in them, or somewhere below, in steps."""
    parents: dict[TreeId, list[TreeId]] = {root: []}
    pending, having = [root], []
    while pending:
        tree = pending.pop()
        for encoded in read_entries(store, tree):
            entry, _ = decode_entry(encoded)
            if entry.is_dir:
                below = TreeId(entry.oid)
                if below not in parents:
                    parents[below] = []
                    pending.append(below)
                if parents[below][-1:] != [tree]:
                    parents[below].append(tree)
            elif entry.name == ATTRIBUTES_NAME:
                having.append(tree)
        yield TURN
    above: set[TreeId] = set()
    while having:
        tree = having.pop()
        if tree not in above:
            above.add(tree)
            having += parents[tree]
    return above


class Guard:
    """A check that keeps the unfiltered bytes of a file with a filter out of git's objects."""

    def __init__(
        self, store: Store, stores: Callable[[bytes], bool], info: bytes, *, allows: bool
    ) -> None:
        """Prepare the check.

        `stores` returns True if git has a file with these bytes; `info` is its info/attributes.
        With `allows`, files with filters are counted and not refused.
        """
        self._store = store
        self._stores = stores
        self._info = info
        self._allows = allows
        self.converted = ConversionCounts()
        """Changed files that git would have converted."""
        self._silent: TwoGenerationCache[TreeId] = TwoGenerationCache()
        """Trees with no `.gitattributes` in them or below."""
        self._checked_count = 0
        self._searched_count = 0
        """Number of trees that were searched for `.gitattributes`."""

    def check(self, parents: Sequence[Entry], root: Entry, label: str) -> Steps[None]:
        """Check the files that a commit has and none of its parents had; `label` names the commit.

        NotPermitted, with the names of the files, if some have filters.
        """
        self._checked_count += 1
        if not self._info and (yield from self._is_silent(TreeId(root.oid))):
            return
        attributes = Attributes(self._store, root, _NAMES, self._info)
        refused: list[tuple[bytes, str]] = []
        for count, (path, entry) in enumerate(self._fresh(parents, root)):
            if not count % _TURN_COUNT:
                yield TURN
            said = attributes.of(path)
            ways = _conversions_of(said)
            if not ways:
                continue
            if any(map(_is_filter, ways)):
                if self._is_stored_so(entry, said):
                    continue
                if not self._allows:
                    refused.append((path, ways[0]))
            self.converted.add(ways)
        if refused:
            raise NotPermitted(_refusal(sorted(refused), label))

    def _is_silent(self, root: TreeId) -> Steps[bool]:
        """Return True if it is known that a tree has no `.gitattributes`, at any depth.

        Of a long history each tree is searched once, and nothing else has to be read.  False says
        nothing: of a short one, it would take longer than a look at the changed files.
        """
        store, silent = self._store, self._silent
        stack: list[tuple[TreeId, bool]] = [(root, False)]
        while stack:
            tree, is_searched = stack.pop()
            if is_searched:
                # All that is below was on the stack above it.
                silent.put(tree, tree)
                continue
            if silent.get(tree):
                continue
            if self._searched_count >= (self._checked_count - _SHORT_COUNT) * _SEARCHED_PER_COMMIT:
                # What is known of the trees so far stays known.
                return False
            self._searched_count += 1
            stack.append((tree, True))
            for encoded in read_entries(store, tree):
                entry, _ = decode_entry(encoded)
                if entry.name == ATTRIBUTES_NAME:
                    return False
                if entry.is_dir:
                    stack.append((TreeId(entry.oid), False))
            yield TURN
        return True

    def _fresh(self, parents: Sequence[Entry], root: Entry) -> Iterator[tuple[bytes, Entry]]:
        store = self._store
        first = TreeId(parents[0].oid) if parents else EMPTY_TREE
        for path, _, new in walk_changes(store, first, TreeId(root.oid)):
            if new is None or not stat.S_ISREG(new.mode):
                continue
            others = (find_entry(store, other, path) for other in parents)
            if not any(old is not None and old.oid == new.oid for old in others):
                yield path, new

    def _is_stored_so(self, entry: Entry, said: Mapping[bytes, Value]) -> bool:
        """Return True if the bytes are what a filter has made, or what git already has."""
        if not entry.size:
            return True
        if entry.size > _STORED_MAX_BYTES:
            return False
        data = read_file(self._store, entry)
        name = said[b"filter"]
        if name == b"lfs":
            is_made = data.startswith(_LFS_POINTER) and len(data) <= _LFS_POINTER_MAX_BYTES
        else:
            is_made = isinstance(name, bytes) and (
                name.startswith(b"git-crypt") and data.startswith(_GIT_CRYPT)
            )
        return is_made or self._stores(data)


def _conversions_of(said: Mapping[bytes, Value]) -> list[str]:
    """Return the conversions that git applies to a file, the filter first."""
    found = []
    for name in (b"filter", b"working-tree-encoding", b"eol"):
        value = said.get(name)
        is_binary = name == b"eol" and said.get(b"text") is False
        if isinstance(value, bytes) and value and not is_binary:
            found.append(b"%s=%s" % (name, value))
    if said.get(b"ident") is True:
        found.append(b"ident")
    return [each.decode("utf-8", "replace") for each in found]


def _is_filter(way: str) -> bool:
    return way.startswith("filter=")


def _refusal(refused: Sequence[tuple[bytes, str]], label: str) -> str:
    names = [f"{path.decode('utf-8', 'replace')} ({way})" for path, way in refused[:_NAMED_COUNT]]
    more = f" and {len(refused) - _NAMED_COUNT} more" if len(refused) > _NAMED_COUNT else ""
    files = "1 file has a filter" if len(refused) == 1 else f"{len(refused)} files have filters"
    return (
        f"in commit {label} {files} in git, which would not store what is here, such as a "
        f"decrypted secret: {', '.join(names)}{more}; nothing was exported: commit these files "
        "with git, or export them as they are with --with-filtered"
    )
