"""Rename detection: the new paths of files that vanished from their old ones."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import chain
from typing import NamedTuple, TypeGuard

from heliosfs.objects.tree import Entry
from heliosfs.repo.lines.compare import split_lines
from heliosfs.steps import TURN, Steps, at_once
from heliosfs.store.base import Store
from heliosfs.trees.files import read_file
from heliosfs.trees.gitlinks import gitlink_of, is_gitlink

SIMILARITY_PERCENT = 50
"""Share of the larger file that two files must have in common: git's default."""
PAIRS_MAX = 20_000
"""Largest number of pairs of files that are compared; a pair takes 10 to 100 us."""

_SAME_NAME_PERCENT = 75
"""Share that is enough for two files that alone have a base name, compared first, as in git."""
_POINTS = 600
"""Points in a percent: scores are as fine as those of git."""
_FILES_MAX = 500
_SPAN_BYTES = 64
_COMPARED_FILE_MAX_BYTES = 1024 * 1024

Pair = tuple[Entry | None, Entry | None]


class Rename(NamedTuple):
    """The new path of a file."""

    path: bytes
    percent: int
    """Share of the larger file that both have."""


def find_renames(
    store: Store,
    changes: Mapping[bytes, Pair],
    relevant: Collection[bytes],
    pairs_max: int = PAIRS_MAX,
) -> dict[bytes, Rename]:
    """Return what `find_renames_in_steps` returns, at once."""
    return at_once(find_renames_in_steps(store, changes, relevant, pairs_max))


def find_renames_in_steps(
    store: Store,
    changes: Mapping[bytes, Pair],
    relevant: Collection[bytes],
    pairs_max: int = PAIRS_MAX,
) -> Steps[dict[bytes, Rename]]:
    """Return the renames, by old path, of the files in `changes` that were deleted.

    Only the paths in `relevant` are looked for.  Files with the same bytes come first; then those
    that alone have their base name, if three quarters are equal; then the most similar ones above
    `SIMILARITY_PERCENT`.  Empty files never count.  Cost: bounded; with more than `pairs_max`
    candidates only files of one base name are compared.
    """
    gone = {path: old for path, (old, new) in changes.items() if new is None and _counts(old)}
    # The usual case, in which no file has to be read.
    if not any(path in relevant for path in gone):
        return {}
    new = {path: new for path, (old, new) in changes.items() if old is None and _counts(new)}
    gone, new = _in_gits_order(gone, relevant), _in_gits_order(new, relevant)
    # Irrelevant files take part: one of them may be the source of a new path, which is taken then.
    found = _exact(gone, new)
    for path, rename in found.items():
        del gone[path], new[rename.path]
    wanted = {path: entry for path, entry in gone.items() if path in relevant}
    found.update((yield from _Similar(store, wanted, new).find(pairs_max)))
    return {path: rename for path, rename in found.items() if path in relevant}


def _counts(entry: Entry | None) -> TypeGuard[Entry]:
    return entry is not None and _identity(entry) is not None


def _identity(entry: Entry) -> tuple[int, bytes] | None:
    """Return a value that is equal for two entries that are the same file, link or submodule.

    None for entries that never count as moved: empty files, directories, devices.
    """
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFREG:
        return (kind, entry.oid) if entry.size else None
    if kind == stat.S_IFLNK:
        return kind, entry.target
    return (kind, gitlink_of(entry)) if is_gitlink(entry) else None


def _in_gits_order(files: Mapping[bytes, Entry], relevant: Collection[bytes]) -> dict[bytes, Entry]:
    """Put last the files in directories in which the other side changed nothing.

    So they are tried last if several files are equal, because git looks into such a directory after
    all others (merge-ort.c, possible_trivial_merges).
    """
    # A directory in place of a file that the other side changed is looked into at once, too.
    touched = {b"", *relevant}
    for path in relevant:
        above = path.rpartition(b"/")[0]
        while above not in touched:
            touched.add(above)
            above = above.rpartition(b"/")[0]
    order = sorted(files, key=lambda path: (path.rpartition(b"/")[0] not in touched, path))
    return {path: files[path] for path in order}


def _exact(gone: Mapping[bytes, Entry], new: Mapping[bytes, Entry]) -> dict[bytes, Rename]:
    """Pair equal files: each new path in turn with an old one, of its base name if possible."""
    sources: dict[object, list[bytes]] = {}
    for path, entry in gone.items():
        sources.setdefault(_identity(entry), []).append(path)
    found = {}
    for path, entry in new.items():
        there = sources.get(_identity(entry))
        if there:
            source = next((each for each in there if _name(each) == _name(path)), there[0])
            there.remove(source)
            found[source] = Rename(path, 100)
    return found


class _Similar:
    """A comparison of files by the lines that they have in common."""

    def __init__(self, store: Store, gone: dict[bytes, Entry], new: Mapping[bytes, Entry]) -> None:
        self._store = store
        self._gone = gone
        self._new = dict(new)
        self._pieces: dict[bytes, Counter[bytes] | None] = {}

    def find(self, pairs_max: int) -> Steps[dict[bytes, Rename]]:
        found = yield from self._of_one_name()
        for path, rename in found.items():
            del self._gone[path], self._new[rename.path]
        gone, new = self._gone, self._new
        only_names = len(gone) * len(new) > pairs_max or len(gone) + len(new) > _FILES_MAX
        scores = []
        for at, path in enumerate(gone):
            for number, target in enumerate(new):
                is_same_name = _name(path) == _name(target)
                if is_same_name or not only_names:
                    score = self._score(path, target)
                    if score >= SIMILARITY_PERCENT * _POINTS:
                        # Sorted, this puts the most similar pair first, then one that kept its base
                        # name; of equal ones the first in git's order.
                        rank = -score, not is_same_name, number, at
                        scores.append((rank, target, path))
                    yield TURN
        taken: set[bytes] = set()
        for (negative, *_), target, path in sorted(scores):
            if path not in found and target not in taken:
                found[path] = Rename(target, -negative // _POINTS)
                taken.add(target)
        return found

    def _of_one_name(self) -> Steps[dict[bytes, Rename]]:
        targets: dict[bytes, list[bytes]] = {}
        for path in self._new:
            targets.setdefault(_name(path), []).append(path)
        counts = Counter(map(_name, self._gone))
        found = {}
        for path in self._gone:
            there = targets.get(_name(path), [])
            if len(there) == 1 and counts[_name(path)] == 1:
                score = self._score(path, there[0])
                if score >= _SAME_NAME_PERCENT * _POINTS:
                    found[path] = Rename(there[0], score // _POINTS)
                yield TURN
        return found

    def _score(self, path: bytes, target: bytes) -> int:
        """Return the share of the larger file that is in both; 0 if it cannot be enough."""
        if not (stat.S_ISREG(self._gone[path].mode) and stat.S_ISREG(self._new[target].mode)):
            return 0
        small, large = sorted((self._gone[path].size, self._new[target].size))
        # The sizes alone show that too little is shared, and nothing is read.
        if small * 100 < large * SIMILARITY_PERCENT:
            return 0
        before = self._pieces_of(path, self._gone[path])
        after = self._pieces_of(target, self._new[target])
        if before is None or after is None:
            return 0
        shared = sum(len(line) * count for line, count in (before & after).items())
        return shared * 100 * _POINTS // large

    def _pieces_of(self, path: bytes, entry: Entry) -> Counter[bytes] | None:
        """Return the lines of a file, long ones in parts of 64 bytes: git's spans (hash_chars)."""
        if path not in self._pieces:
            if entry.size > _COMPARED_FILE_MAX_BYTES:
                self._pieces[path] = None
                return None
            lines = split_lines(read_file(self._store, entry))
            self._pieces[path] = Counter(chain.from_iterable(map(_spans, lines)))
        return self._pieces[path]


def _spans(line: bytes) -> list[bytes]:
    if len(line) <= _SPAN_BYTES:
        return [line]
    return [line[at : at + _SPAN_BYTES] for at in range(0, len(line), _SPAN_BYTES)]


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
