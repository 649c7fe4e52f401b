"""Blame: the commit from which each line of a file comes (git-blame(1))."""

from __future__ import annotations

import heapq
import stat
from itertools import takewhile
from typing import NamedTuple

from heliosfs.errors import TooLarge
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo.history import History
from heliosfs.repo.lines.compare import Effort, changed_ranges, split_lines
from heliosfs.repo.lines.text import TEXT_MAX_BYTES
from heliosfs.repo.path_history import rename_source
from heliosfs.steps import TURN, Steps, on_thread
from heliosfs.store.base import Store
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import find_entry

COMMITS_MAX = 50_000

_EFFORT = 50_000_000
"""Limit of work for one comparison: 5 to 10 s.  The remaining lines of that version count as a
boundary."""
_LARGE_LINES = 2_000
"""Number of lines of both versions from which they are compared on a thread: more than a
millisecond."""
_TAIL_BLOCK = 1024


class LineOrigin(NamedTuple):
    """The commit and path from which a line comes."""

    commit: CommitId
    path: bytes
    is_boundary: bool
    """True if the search ended at this commit without an answer."""


class _Line(NamedTuple):
    final: int
    """Index in the file whose lines are searched for."""
    number: int
    """Index in the version that is searched now."""


_Suspect = tuple[CommitId, bytes]


class Blame:
    """A walk from the newest commit that has a line to the one that made it."""

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history
        self._lines: dict[Oid, list[bytes]] = {}

    def run(self, head: CommitId, path: bytes, data: bytes) -> Steps[list[LineOrigin | None]]:
        """Return the origin of each line of `data`, in steps; `data` may differ from `head`.

        The origin of a line that no commit has is None.  A renamed file is followed.  Cost: a walk
        of the history, reading the file where it changed; after `COMMITS_MAX` commits, the
        remaining lines count as a boundary.
        """
        lines = split_lines(data)
        origins: list[LineOrigin | None] = [None] * len(lines)
        entry = self._find(head, path)
        if entry is None:
            return origins
        whole = [_Line(at, at) for at in range(len(lines))]
        kept, _, _ = yield from self._pass(self._text(entry), lines, whole)
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
            answers: list[tuple[_Suspect, list[_Line]]] = []
            if not is_end:
                answers, is_end = yield from self._parents(oid, place, left)
            for suspect, lines_there in answers:
                known = pending.get(suspect)
                pending[suspect] = known + lines_there if known else lines_there
                seconds = self._history.read(suspect[0]).committer.seconds
                heapq.heappush(queue, (-seconds, *suspect))
            for line in left:
                # Who wrote what a commit on the edge has is not known here.
                is_boundary = is_end or oid in self._history.edge
                origins[line.final] = LineOrigin(oid, place, is_boundary)
        return origins

    def _parents(
        self, oid: CommitId, path: bytes, left: list[_Line]
    ) -> Steps[tuple[list[tuple[_Suspect, list[_Line]]], bool]]:
        """Move the lines that a parent has, too, from `left` to that parent, and return them.

        Return True beside them if the remaining lines were not compared to the end.
        """
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
                return [((parent, place), passed)], False
            found.append((parent, place, there))
        answers = []
        is_cut = False
        for parent, place, there in found:
            passed, rest, is_short = yield from self._pass(
                self._text(there), self._text(entry), left
            )
            left[:] = rest
            is_cut |= is_short
            if passed:
                answers.append(((parent, place), passed))
        return answers, is_cut

    def _pass(
        self, old: list[bytes], new: list[bytes], lines: list[_Line]
    ) -> Steps[tuple[list[_Line], list[_Line], bool]]:
        """Return the lines that the old version has, too, with their numbers there, and the rest.

        Return True after them if the comparison was given up.
        """
        if len(old) + len(new) < _LARGE_LINES:
            return _passed(old, new, lines)
        return (yield from on_thread(lambda: _passed(old, new, lines)))

    def _find(self, oid: CommitId, path: bytes) -> Entry | None:
        entry = find_entry(self._store, self._history.read(oid).root, path)
        return entry if entry is not None and stat.S_ISREG(entry.mode) else None

    def _source(self, parent: CommitId, oid: CommitId, path: bytes) -> bytes | None:
        """Return the path of the file in the parent, if the commit renamed it."""
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


def _passed(
    old: list[bytes], new: list[bytes], lines: list[_Line]
) -> tuple[list[_Line], list[_Line], bool]:
    effort = Effort(_EFFORT)
    tail = _uncompared(old, new)
    ranges = changed_ranges(old[: len(old) - tail], new[: len(new) - tail], effort)
    places: dict[int, int] = {}
    at = new_at = 0
    for each in ranges:
        places.update(zip(range(new_at, each.new_start), range(at, each.start), strict=True))
        at, new_at = each.stop, each.new_stop
    places.update(zip(range(new_at, len(new)), range(at, len(old)), strict=True))
    passed = [_Line(each.final, places[each.number]) for each in lines if each.number in places]
    rest = [each for each in lines if each.number not in places]
    return passed, rest, effort.left < 0


def _uncompared(old: list[bytes], new: list[bytes]) -> int:
    """Return the number of equal lines at the end that git excludes from a comparison.

    It excludes blocks of 1 KiB, so that a change does not slide into them (trim_common_tail,
    xdiff-interface.c).
    """
    equal = count = equal_here = 0
    for one, other in zip(reversed(old), reversed(new)):  # noqa: B905 - as far as both go
        if one != other:
            pairs = zip(reversed(one), reversed(other))  # noqa: B905
            equal_here = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            break
        equal += len(one)
    left = (equal + equal_here) // _TAIL_BLOCK * _TAIL_BLOCK
    for line in reversed(old):
        left -= len(line)
        if left <= 0:
            break
        count += 1
    return count
