"""Rename detection: which of the files that vanished went on under another path."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Collection, Mapping

from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo.linediff import split_lines
from heliosfs.repo.textmerge import is_text
from heliosfs.store.base import Store
from heliosfs.workspace.trees import read_file

SIMILARITY_PERCENT = 50
"""What two files must have in common, of the larger one: git's default."""

_PAIRS_MAX = 20_000
_FILES_MAX = 500
_FILE_MAX_BYTES = 1024 * 1024

Pair = tuple[Entry | None, Entry | None]


def find_renames(
    store: Store, changes: Mapping[bytes, Pair], relevant: Collection[bytes]
) -> dict[bytes, bytes]:
    """Old path -> new path, for files of `changes` that were deleted and of `relevant`.

    First those whose bytes are the same, then the most similar ones above
    `SIMILARITY_PERCENT`; of several, one that keeps its base name.  Empty files never.
    Cost: bounded; with too many candidates only those are compared whose names are equal.
    """
    gone = {path: old for path, (old, new) in changes.items() if new is None and _counts(old)}
    if not any(path in relevant for path in gone):
        return {}
    new = {path: new for path, (old, new) in changes.items() if old is None and _counts(new)}
    found = _exact(gone, new)
    for path, target in found.items():
        del gone[path], new[target]
    wanted = {path: entry for path, entry in gone.items() if path in relevant}
    found.update(_similar(store, wanted, new))
    return {path: target for path, target in found.items() if path in relevant}


def _counts(entry: Entry | None) -> bool:
    return entry is not None and stat.S_ISREG(entry.mode) and entry.size > 0


def _exact(
    gone: Mapping[bytes, Entry | None], new: Mapping[bytes, Entry | None]
) -> dict[bytes, bytes]:
    by_oid: dict[Oid, list[bytes]] = {}
    for path, entry in sorted(new.items()):
        assert entry is not None
        by_oid.setdefault(entry.oid, []).append(path)
    found = {}
    for path, entry in sorted(gone.items()):
        assert entry is not None
        targets = by_oid.get(entry.oid)
        if targets:
            name = _name(path)
            target = next((each for each in targets if _name(each) == name), targets[0])
            targets.remove(target)
            found[path] = target
    return found


def _similar(
    store: Store, gone: Mapping[bytes, Entry | None], new: Mapping[bytes, Entry | None]
) -> dict[bytes, bytes]:
    only_names = len(gone) * len(new) > _PAIRS_MAX or len(gone) + len(new) > _FILES_MAX
    lines: dict[bytes, Counter[bytes] | None] = {}

    def lines_of(path: bytes, entry: Entry) -> Counter[bytes] | None:
        if path not in lines:
            data = read_file(store, entry) if entry.size <= _FILE_MAX_BYTES else b"\0"
            lines[path] = Counter(split_lines(data)) if is_text(data) else None
        return lines[path]

    scores = []
    for path, old in gone.items():
        for target, entry in new.items():
            assert old is not None and entry is not None
            same_name = _name(path) == _name(target)
            small, large = sorted((old.size, entry.size))
            if (only_names and not same_name) or small * 100 < large * SIMILARITY_PERCENT:
                continue
            before, after = lines_of(path, old), lines_of(target, entry)
            if before is None or after is None:
                continue
            shared = sum(len(line) * count for line, count in (before & after).items())
            if shared * 100 >= large * SIMILARITY_PERCENT:
                scores.append((-shared / large, not same_name, path, target))
    found: dict[bytes, bytes] = {}
    taken: set[bytes] = set()
    for _, _, path, target in sorted(scores):
        if path not in found and target not in taken:
            found[path] = target
            taken.add(target)
    return found


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
