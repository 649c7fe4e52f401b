"""Graph beside a log, drawn as `git log --graph` draws it.

Every line of history that is still awaited has a column, two characters wide.  A commit
is a row with `*` in its column; the rows after it lead the edges of a merge out of it, and
then, a step to the left in every row, to the columns where their commits are awaited.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from heliosfs.commands.log.graph_layout import GraphEdges, GraphLayout
from heliosfs.objects.ids import CommitId


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
        self._layout = self._before = GraphLayout()
        """Layouts of the commit, and of the one before."""
        self._edges = GraphEdges()
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
        self._before, self._layout = self._layout, self._layout.following(commit, parents)
        self._edges.begin(self._layout.edges)
        self._widened = 0
        if self._row is not _Row.PADDING:
            self._row = _Row.GAP
        else:
            self._row = self._first_row()

    def row(self) -> tuple[str, bool]:
        """Return the next row, and True if it is the one of the commit."""
        kind = self._row
        return self._draw[kind]().ljust(self._layout.width), kind is _Row.COMMIT

    def padding(self) -> str:
        """Return a row before that of the commit, in which edges move only where they must."""
        layout = self._layout
        if self._row is not _Row.COMMIT:
            return self.row()[0]
        self._row_before = _Row.PADDING
        parts = []
        for column in layout.columns:
            wide = len(layout.parents) - 2 if column == layout.commit else 0
            parts.append("|" + " " * max(2 * wide, 1))
        return "".join(parts).ljust(layout.width)

    def _first_row(self) -> _Row:
        return _Row.WIDENING if self._needs_room() else _Row.COMMIT

    def _needs_room(self) -> bool:
        layout = self._layout
        is_inside = layout.at < len(layout.columns) - 1
        return len(layout.parents) >= 3 and is_inside and self._widened < 2 * layout.dashes

    def _go_on(self, row: _Row) -> None:
        self._row_before, self._row = self._row, row

    def _settle(self) -> None:
        self._go_on(_Row.PADDING if self._edges.are_settled else _Row.COLLAPSING)

    def _draw_padding(self) -> str:
        return "| " * len(self._layout.below)

    def _draw_gap(self) -> str:
        self._go_on(self._first_row())
        return "..."

    def _draw_widening(self) -> str:
        parts = []
        is_past = False
        for at, column in enumerate(self._layout.columns):
            if column == self._layout.commit:
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
        return self._row_before is _Row.FORK and self._before.at < at

    def _draw_commit(self) -> str:
        layout = self._layout
        parts = []
        is_collapsing = self._row_before is _Row.COLLAPSING
        is_past = False
        for at, column in enumerate(layout.places):
            if column == layout.commit:
                is_past = True
                parts.append("*" + layout.octopus_dashes())
            elif is_past and layout.added > 1:
                parts.append("\\")
            elif is_past and layout.added == 1:
                leads = self._follows_fork(at) and self._before.added > 0
                parts.append("\\" if leads else "|")
            elif is_collapsing and self._edges.is_arriving(at):
                parts.append("/")
            else:
                parts.append("|")
            parts.append(" ")
        if len(layout.parents) > 1:
            self._go_on(_Row.FORK)
        else:
            self._settle()
        return "".join(parts)

    def _draw_fork(self) -> str:
        layout = self._layout
        parts = []
        is_past = is_parent_left = False
        for at, column in enumerate(layout.places):
            if column == layout.commit:
                is_past = True
                parts.append(layout.merge_edges())
            elif is_past:
                parts.append("\\ " if layout.added > 0 else "| ")
            else:
                parts.append("|")
                if layout.leans_right or at != layout.at - 1:
                    parts.append("_" if is_parent_left else " ")
            is_parent_left = is_parent_left or column == layout.parents[0]
        self._settle()
        return "".join(parts)

    def _draw_collapsing(self) -> str:
        drawn = self._edges.draw()
        self._settle()
        return drawn
