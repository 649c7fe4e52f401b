"""Graph beside a log, drawn as `git log --graph` draws it.

Every line of history that is still awaited has a column, two characters wide.  A commit
is a row with `*` in its column; the rows after it lead the edges of a merge out of it, and
then, a step to the left in every row, to the columns where their commits are awaited.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from heliosfs.objects.ids import CommitId

_NOTHING = -1


class _Row(Enum):
    """Purpose of the next row."""

    PADDING = auto()
    """The commit is drawn: lines go straight on."""
    GAP = auto()
    """The rows of the commit before were not all taken."""
    WIDENING = auto()
    """Room is made for a merge of three or more."""
    COMMIT = auto()
    FORK = auto()
    """The edges leave a merge."""
    COLLAPSING = auto()
    """Edges move to the left."""


class Graph:
    """Drawer of one commit after another, children before parents."""

    def __init__(self) -> None:
        self._commit: CommitId | None = None
        self._parents: Sequence[CommitId] = ()
        self._columns: list[CommitId] = []
        """Commit that each column leads to, above the commit; `_below` is the same after it."""
        self._below: list[CommitId] = []
        self._edges: list[int] = []
        """Column that an edge leads to from each character of a row, or nothing."""
        self._edges_before: list[int] = []
        self._width = 0
        self._at = 0
        """Column of the commit, and that of the one before."""
        self._at_before = 0
        self._leans_right = True
        """True if the first parent of a merge keeps its column; else it is to the left."""
        self._added = 0
        """Columns that the commit adds to its right, and those of the one before."""
        self._added_before = 0
        self._widened = 0
        self._row = _Row.PADDING
        self._row_before = _Row.PADDING
        self._draw = {
            _Row.PADDING: self._draw_padding,
            _Row.GAP: self._draw_gap,
            _Row.WIDENING: self._draw_widening,
            _Row.COMMIT: self._draw_commit,
            _Row.FORK: self._draw_fork,
            _Row.COLLAPSING: self._draw_collapsing,
        }

    @property
    def is_done(self) -> bool:
        """True if all rows of the commit were taken."""
        return self._row is _Row.PADDING

    def begin(self, commit: CommitId, parents: Sequence[CommitId]) -> None:
        """Go on to another commit, whose shown parents are these."""
        self._commit, self._parents = commit, parents
        self._at_before, self._added_before = self._at, self._added
        self._columns, self._below = self._below, []
        self._lay_out()
        self._widened = 0
        if self._row is not _Row.PADDING:
            self._row = _Row.GAP
        else:
            self._row = self._first_row()

    def row(self) -> tuple[str, bool]:
        """Return the next row, and True if it is the one of the commit."""
        kind = self._row
        return self._draw[kind]().ljust(self._width), kind is _Row.COMMIT

    def padding(self) -> str:
        """Return a row before that of the commit, in which edges move only where they must."""
        if self._row is not _Row.COMMIT:
            return self.row()[0]
        self._row_before = _Row.PADDING
        parts = []
        for column in self._columns:
            wide = len(self._parents) - 2 if column == self._commit else 0
            parts.append("|" + " " * max(2 * wide, 1))
        return "".join(parts).ljust(self._width)

    def _lay_out(self) -> None:
        """Find the columns after the commit, and where the edges to them begin."""
        count = len(self._columns)
        self._edges = [_NOTHING] * (2 * (count + len(self._parents)) + 2)
        self._width = 0
        self._added = 0
        is_new = self._commit not in self._columns
        for at, awaited in enumerate([*self._columns, self._commit] if is_new else self._columns):
            if awaited != self._commit:
                assert awaited is not None
                self._lead(awaited)
                continue
            self._at = at
            is_first = True
            for parent in self._parents:
                self._lead(parent, is_first=is_first and len(self._parents) > 1)
                is_first = False
            if not self._parents:
                self._width += 2
        while len(self._edges) > 1 and self._edges[-1] == _NOTHING:
            self._edges.pop()

    def _lead(self, awaited: CommitId, *, is_first: bool = False) -> None:
        """Lead the next edge to the column where a commit is awaited."""
        if awaited not in self._below:
            self._below.append(awaited)
        column = self._below.index(awaited)
        if is_first:
            # The first edge of a merge goes to the left if that is where it is awaited.
            distance = self._at - column
            self._leans_right = distance <= 0
            shift = 2 * distance - 3 if distance > 1 else 1
            start = self._width if self._leans_right else self._width - shift
            self._added = len(self._parents) + self._leans_right - 2
            self._width += 2 * self._leans_right
        elif self._added > 0 and column == self._edges[self._width - 2]:
            # Two edges of a merge that meet at once take one column.
            start = self._width - 2
            self._added = -1
        else:
            start = self._width
            self._width += 2
        self._edges[start] = column

    def _first_row(self) -> _Row:
        return _Row.WIDENING if self._needs_room() else _Row.COMMIT

    def _dashes(self) -> int:
        return len(self._parents) + self._leans_right - 3

    def _needs_room(self) -> bool:
        is_inside = self._at < len(self._columns) - 1
        return len(self._parents) >= 3 and is_inside and self._widened < 2 * self._dashes()

    def _go_on(self, row: _Row) -> None:
        self._row_before, self._row = self._row, row

    def _settle(self) -> None:
        is_settled = all(column in (_NOTHING, at // 2) for at, column in enumerate(self._edges))
        self._go_on(_Row.PADDING if is_settled else _Row.COLLAPSING)

    def _places(self) -> list[CommitId | None]:
        """Return the columns of the commit's row, with its own."""
        if self._commit in self._columns:
            return list(self._columns)
        return [*self._columns, self._commit]

    def _draw_padding(self) -> str:
        return "| " * len(self._below)

    def _draw_gap(self) -> str:
        self._go_on(self._first_row())
        return "..."

    def _draw_widening(self) -> str:
        parts = []
        is_past = False
        for at, column in enumerate(self._columns):
            if column == self._commit:
                is_past = True
                parts.append("|" + " " * self._widened)
            elif is_past and (self._widened or self._follows_fork(at)):
                parts.append("\\")
            else:
                parts.append("|")
            parts.append(" ")
        self._widened += 1
        if not self._needs_room():
            self._go_on(_Row.COMMIT)
        return "".join(parts)

    def _follows_fork(self, at: int) -> bool:
        return self._row_before is _Row.FORK and self._at_before < at

    def _draw_commit(self) -> str:
        parts = []
        is_past = False
        for at, column in enumerate(self._places()):
            if column == self._commit:
                is_past = True
                parts.append("*" + self._arms())
            elif is_past and self._added > 1:
                parts.append("\\")
            elif is_past and self._added == 1:
                leads = self._follows_fork(at) and self._added_before > 0
                parts.append("\\" if leads else "|")
            elif self._is_arriving(at):
                parts.append("/")
            else:
                parts.append("|")
            parts.append(" ")
        if len(self._parents) > 1:
            self._go_on(_Row.FORK)
        else:
            self._settle()
        return "".join(parts)

    def _arms(self) -> str:
        """Return the dashes from a merge of three or more to its other parents."""
        count = self._dashes()
        return "--" * (count - 1) + "-." if len(self._parents) > 2 and count > 0 else ""

    def _is_arriving(self, at: int) -> bool:
        """Return True if the edge still moves to the left where it was drawn in the row before."""
        if self._row_before is not _Row.COLLAPSING:
            return False
        before, now = self._edges_before, self._edges
        is_edge = 2 * at + 1 < len(before) and before[2 * at + 1] == at
        return is_edge and (2 * at >= len(now) or now[2 * at] < at)

    def _draw_fork(self) -> str:
        parts = []
        is_past = is_parent_left = False
        for at, column in enumerate(self._places()):
            if column == self._commit:
                is_past = True
                parts.append(self._legs())
            elif is_past:
                parts.append("\\ " if self._added > 0 else "| ")
            else:
                parts.append("|")
                if self._leans_right or at != self._at - 1:
                    parts.append("_" if is_parent_left else " ")
            is_parent_left = is_parent_left or column == self._parents[0]
        self._settle()
        return "".join(parts)

    def _legs(self) -> str:
        """Return the edges that leave a merge."""
        last = len(self._parents) - 1
        legs = ""
        for at in range(len(self._parents)):
            form = min(at + self._leans_right, 2)
            legs += "/|\\"[form]
            if form == 2 and (self._added > 0 or at < last):
                legs += " "
        return legs + " " if self._added == 0 else legs

    def _draw_collapsing(self) -> str:
        mover, target = self._move_left()
        is_used = False
        parts = []
        for at, column in enumerate(self._edges):
            if column == _NOTHING:
                parts.append(" ")
            elif 2 * column == at:
                parts.append("|")
            elif column == target and at != mover - 1:
                # All but the first piece of a level edge are only for this row.
                if at != 2 * column + 3:
                    self._edges[at] = _NOTHING
                is_used = True
                parts.append("_")
            else:
                if is_used and at < mover:
                    self._edges[at] = _NOTHING
                parts.append("/")
        self._settle()
        return "".join(parts)

    def _move_left(self) -> tuple[int, int]:
        """Move every edge to the left; one of them may go level over several columns.

        Return where that one comes from, and the column that it leads to.
        """
        old = self._edges
        new = [_NOTHING] * len(old)
        mover = target = _NOTHING
        for at, column in enumerate(old):
            if column == _NOTHING:
                continue
            if 2 * column == at:
                new[at] = column
            elif new[at - 1] == column:
                pass
            else:
                is_free = new[at - 1] == _NOTHING
                new[at - 1 if is_free else at - 2] = column
                if mover == _NOTHING:
                    mover, target = (at if is_free else at - 1), column
                    for level in range(2 * column + 3, at - 2, 2):
                        new[level] = column
        self._edges_before = list(new)
        if new[-1] == _NOTHING:
            new.pop()
        self._edges = new
        return mover, target
