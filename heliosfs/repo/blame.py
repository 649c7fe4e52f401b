"""Blame: which commit gave each line of a file (git-blame(1))."""

from __future__ import annotations

import heapq
import stat
from typing import NamedTuple

from heliosfs.errors import TooLarge
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo.history import History
from heliosfs.repo.linediff import Effort, changed_ranges, split_lines
from heliosfs.repo.pathlog import rename_source
from heliosfs.repo.textmerge import TEXT_MAX_BYTES
from heliosfs.store.base import Store
from heliosfs.store.steps import TURN, Steps
from heliosfs.workspace.trees import find_entry, read_file

COMMITS_MAX = 50_000


class Origin(NamedTuple):
    """Where a line came from."""

    commit: CommitId
    path: bytes
    is_boundary: bool
    """Whether the search ended there without an answer."""


class _Line(NamedTuple):
    final: int
    """Its index in the file that was asked about."""
    number: int
    """Its index in the version that is suspected."""


_Suspect = tuple[CommitId, bytes]


class Blame:
    """Walks the history from the newest commit that has a line to the one that made it."""

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history
        self._effort = Effort()
        self._lines: dict[Oid, list[bytes]] = {}

    def run(self, head: CommitId, path: bytes, data: bytes) -> Steps[list[Origin | None]]:
        """For each line of `data`, which may differ from what `head` has at `path`, its origin.

        None of a line that no commit has.  A file that was renamed is followed.
        Cost: a walk of the history, reading the file where it changed; past `COMMITS_MAX`
        commits what is left counts as a boundary.
        """
        lines = split_lines(data)
        origins: list[Origin | None] = [None] * len(lines)
        entry = self._find(head, path)
        if entry is None:
            return origins
        whole = [_Line(at, at) for at in range(len(lines))]
        kept, _ = self._pass(self._text(entry), lines, whole)
        pending: dict[_Suspect, list[_Line]] = {(head, path): kept}
        queue = [(-self._history.read(head).committer.seconds, head, path)]
        visits = 0
        while queue:
            _, oid, place = heapq.heappop(queue)
            left = pending.pop((oid, place), None)
            if not left:
                continue
            visits += 1
            yield TURN
            is_end = visits > COMMITS_MAX
            for suspect, lines_there in () if is_end else self._parents(oid, place, left):
                known = pending.get(suspect)
                pending[suspect] = known + lines_there if known else lines_there
                seconds = self._history.read(suspect[0]).committer.seconds
                heapq.heappush(queue, (-seconds, *suspect))
            for line in left:
                origins[line.final] = Origin(oid, place, is_end)
        return origins

    def _parents(
        self, oid: CommitId, path: bytes, left: list[_Line]
    ) -> list[tuple[_Suspect, list[_Line]]]:
        """What the parents answer for; it is taken out of `left`."""
        entry = self._find(oid, path)
        assert entry is not None
        found: list[tuple[CommitId, bytes, Entry]] = []
        for parent in dict.fromkeys(self._history.read(oid).parents):
            there = self._find(parent, path)
            place = path
            if there is None:
                source = self._source(parent, oid, path)
                if source is None:
                    continue
                place = source
                there = self._find(parent, place)
                assert there is not None
            if there.oid == entry.oid:
                passed = list(left)
                left.clear()
                return [((parent, place), passed)]
            found.append((parent, place, there))
        answers = []
        for parent, place, there in found:
            passed, rest = self._pass(self._text(there), self._text(entry), left)
            left[:] = rest
            if passed:
                answers.append(((parent, place), passed))
        return answers

    def _pass(
        self, old: list[bytes], new: list[bytes], lines: list[_Line]
    ) -> tuple[list[_Line], list[_Line]]:
        """The lines that the old version has too, as they are numbered there, and the rest."""
        places: dict[int, int] = {}
        at = new_at = 0
        for each in changed_ranges(old, new, self._effort):
            places.update(zip(range(new_at, each.new_start), range(at, each.start), strict=True))
            at, new_at = each.stop, each.new_stop
        places.update(zip(range(new_at, len(new)), range(at, len(old)), strict=True))
        passed = [_Line(each.final, places[each.number]) for each in lines if each.number in places]
        return passed, [each for each in lines if each.number not in places]

    def _find(self, oid: CommitId, path: bytes) -> Entry | None:
        entry = find_entry(self._store, self._history.read(oid).root, path)
        return entry if entry is not None and stat.S_ISREG(entry.mode) else None

    def _source(self, parent: CommitId, oid: CommitId, path: bytes) -> bytes | None:
        """The path that the parent has the file under, if the commit renamed it."""
        old, new = self._history.read(parent).root, self._history.read(oid).root
        return rename_source(self._store, old, new, path)

    def _text(self, entry: Entry) -> list[bytes]:
        if entry.size > TEXT_MAX_BYTES:
            raise TooLarge(f"a version of the file has {entry.size} bytes")
        lines = self._lines.get(entry.oid)
        if lines is None:
            if len(self._lines) > 64:
                self._lines.clear()
            lines = self._lines[entry.oid] = split_lines(read_file(self._store, entry))
        return lines
