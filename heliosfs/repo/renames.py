"""Rename detection: which of the files that vanished went on under another path."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeGuard

from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo.linediff import split_lines
from heliosfs.repo.textmerge import is_text
from heliosfs.store.base import Store
from heliosfs.workspace.trees import read_file

SIMILARITY_PERCENT = 50
"""What two files must have in common, of the larger one: git's default."""
PAIRS_MAX = 20_000
"""Files compared with each other at most; a pair takes 10 to 100 us."""

_SAME_NAME_PERCENT = 75
"""Enough for two files that alone have a base name, before others are compared: as in git."""
_FILES_MAX = 500
_FILE_MAX_BYTES = 1024 * 1024

Pair = tuple[Entry | None, Entry | None]


class Rename(NamedTuple):
    """Where a file went."""

    path: bytes
    percent: int
    """How much of the larger file both have."""


def find_renames(
    store: Store,
    changes: Mapping[bytes, Pair],
    relevant: Collection[bytes],
    pairs_max: int = PAIRS_MAX,
) -> dict[bytes, Rename]:
    """Old path -> new one, for files of `changes` that were deleted and of `relevant`.

    First those whose bytes are the same; then those that alone have their base name, if three
    quarters are; then the most similar ones above `SIMILARITY_PERCENT`.  Empty files never.
    Cost: bounded; with more than `pairs_max` candidates only those of one base name are compared.
    """
    gone = {path: old for path, (old, new) in changes.items() if new is None and _counts(old)}
    if not any(path in relevant for path in gone):
        return {}
    new = {path: new for path, (old, new) in changes.items() if old is None and _counts(new)}
    found = _exact(gone, new)
    for path, rename in found.items():
        del gone[path], new[rename.path]
    wanted = {path: entry for path, entry in gone.items() if path in relevant}
    found.update(_Similar(store, wanted, new).find(pairs_max))
    return {path: rename for path, rename in found.items() if path in relevant}


def _counts(entry: Entry | None) -> TypeGuard[Entry]:
    return entry is not None and stat.S_ISREG(entry.mode) and entry.size > 0


def _exact(gone: Mapping[bytes, Entry], new: Mapping[bytes, Entry]) -> dict[bytes, Rename]:
    """Those of one base name first."""
    by_oid: dict[Oid, list[bytes]] = {}
    for path, entry in sorted(new.items()):
        by_oid.setdefault(entry.oid, []).append(path)
    found = {}
    for with_name in (True, False):
        for path, entry in sorted(gone.items()):
            targets = by_oid.get(entry.oid)
            if not targets or path in found:
                continue
            name = _name(path)
            same = (each for each in targets if _name(each) == name)
            target = next(same, None if with_name else targets[0])
            if target is not None:
                targets.remove(target)
                found[path] = Rename(target, 100)
    return found


class _Similar:
    """Compares files by the lines that they have in common."""

    def __init__(self, store: Store, gone: dict[bytes, Entry], new: Mapping[bytes, Entry]) -> None:
        self._store = store
        self._gone = gone
        self._new = dict(new)
        self._lines: dict[bytes, Counter[bytes] | None] = {}

    def find(self, pairs_max: int) -> dict[bytes, Rename]:
        found = self._of_one_name()
        for path, rename in found.items():
            del self._gone[path], self._new[rename.path]
        gone, new = self._gone, self._new
        only_names = len(gone) * len(new) > pairs_max or len(gone) + len(new) > _FILES_MAX
        scores = []
        for path in gone:
            for target in new:
                is_same_name = _name(path) == _name(target)
                if is_same_name or not only_names:
                    percent = self._percent(path, target)
                    if percent >= SIMILARITY_PERCENT:
                        scores.append((-percent, not is_same_name, path, target))
        taken: set[bytes] = set()
        for negative, _, path, target in sorted(scores):
            if path not in found and target not in taken:
                found[path] = Rename(target, -negative)
                taken.add(target)
        return found

    def _of_one_name(self) -> dict[bytes, Rename]:
        targets: dict[bytes, list[bytes]] = {}
        for path in self._new:
            targets.setdefault(_name(path), []).append(path)
        counts = Counter(map(_name, self._gone))
        found = {}
        for path in self._gone:
            there = targets.get(_name(path), [])
            if len(there) == 1 and counts[_name(path)] == 1:
                percent = self._percent(path, there[0])
                if percent >= _SAME_NAME_PERCENT:
                    found[path] = Rename(there[0], percent)
        return found

    def _percent(self, path: bytes, target: bytes) -> int:
        """What is in both, of the larger one; 0 when it cannot be as much as is wanted."""
        small, large = sorted((self._gone[path].size, self._new[target].size))
        if small * 100 < large * SIMILARITY_PERCENT:
            return 0
        before = self._lines_of(path, self._gone[path])
        after = self._lines_of(target, self._new[target])
        if before is None or after is None:
            return 0
        shared = sum(len(line) * count for line, count in (before & after).items())
        return shared * 100 // large

    def _lines_of(self, path: bytes, entry: Entry) -> Counter[bytes] | None:
        if path not in self._lines:
            data = read_file(self._store, entry) if entry.size <= _FILE_MAX_BYTES else b"\0"
            self._lines[path] = Counter(split_lines(data)) if is_text(data) else None
        return self._lines[path]


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
