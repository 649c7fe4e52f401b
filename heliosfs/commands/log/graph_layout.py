"""Columns and edges of a graph of commits: what is where, before rows are drawn."""

from __future__ import annotations

from collections.abc import Sequence

from heliosfs.objects.ids import CommitId

_NOTHING = -1


class GraphLayout:
    """The columns above and below one commit, and where the edges between them begin."""

    def __init__(self) -> None:
        self.commit: CommitId | None = None
        self.parents: Sequence[CommitId] = ()
        self.columns: list[CommitId] = []
        """Commit that each column leads to, above the commit; `below` is the same after it."""
        self.below: list[CommitId] = []
        self.edges: list[int] = []
        """Column that an edge leads to from each character of a row, or nothing."""
        self.width = 0
        """Characters that the rows of the commit are padded to."""
        self.at = 0
        """Column of the commit."""
        self.leans_right = True
        """True if the first parent of a merge keeps its column; else it is to the left."""
        self.added = 0
        """Columns that the commit adds to its right."""

    def following(self, commit: CommitId, parents: Sequence[CommitId]) -> GraphLayout:
        """Return the layout of the commit that is drawn next, whose shown parents are these."""
        layout = GraphLayout()
        layout.commit, layout.parents, layout.columns = commit, parents, self.below
        layout._lay_out()
        return layout

    def _lay_out(self) -> None:
        """Find the columns after the commit, and where the edges to them begin."""
        count = len(self.columns)
        self.edges = [_NOTHING] * (2 * (count + len(self.parents)) + 2)
        is_new = self.commit not in self.columns
        for at, awaited in enumerate([*self.columns, self.commit] if is_new else self.columns):
            if awaited != self.commit:
                assert awaited is not None
                self._lead_edge(awaited)
                continue
            self.at = at
            is_first = True
            for parent in self.parents:
                self._lead_edge(parent, is_first=is_first and len(self.parents) > 1)
                is_first = False
            if not self.parents:
                self.width += 2
        while len(self.edges) > 1 and self.edges[-1] == _NOTHING:
            self.edges.pop()

    def _lead_edge(self, awaited: CommitId, *, is_first: bool = False) -> None:
        """Lead the next edge to the column where a commit is awaited."""
        if awaited not in self.below:
            self.below.append(awaited)
        column = self.below.index(awaited)
        if is_first:
            # The first edge of a merge goes to the left if that is where it is awaited.
            distance = self.at - column
            self.leans_right = distance <= 0
            shift = 2 * distance - 3 if distance > 1 else 1
            start = self.width if self.leans_right else self.width - shift
            self.added = len(self.parents) + self.leans_right - 2
            self.width += 2 * self.leans_right
        elif self.added > 0 and column == self.edges[self.width - 2]:
            # Two edges of a merge that meet at once take one column.
            start = self.width - 2
            self.added = -1
        else:
            start = self.width
            self.width += 2
        self.edges[start] = column

    @property
    def dashes(self) -> int:
        """Number of columns to which a merge of three or more leads by dashes."""
        return len(self.parents) + self.leans_right - 3

    @property
    def places(self) -> list[CommitId | None]:
        """Columns of the commit's row, with its own."""
        if self.commit in self.columns:
            return list(self.columns)
        return [*self.columns, self.commit]

    def octopus_dashes(self) -> str:
        """Return the dashes from a merge of three or more to its other parents."""
        count = self.dashes
        return "--" * (count - 1) + "-." if len(self.parents) > 2 and count > 0 else ""

    def merge_edges(self) -> str:
        """Return the edges that leave a merge."""
        last = len(self.parents) - 1
        legs = ""
        for at in range(len(self.parents)):
            form = min(at + self.leans_right, 2)
            legs += "/|\\"[form]
            if form == 2 and (self.added > 0 or at < last):
                legs += " "
        return legs + " " if self.added == 0 else legs


class GraphEdges:
    """The edges below a commit, which go a step to the left in each row until they arrive."""

    def __init__(self) -> None:
        self._edges: list[int] = []
        self._before: list[int] = []
        """Edges of the row before, also if that was a row of the commit before."""

    def begin(self, edges: list[int]) -> None:
        """Go on to the edges of another commit."""
        self._edges = list(edges)

    @property
    def are_settled(self) -> bool:
        """True if every edge is in the column where it leads."""
        return all(column in (_NOTHING, at // 2) for at, column in enumerate(self._edges))

    def is_arriving(self, at: int) -> bool:
        """Return True if the edge still moves to the left where it was drawn in the row before."""
        before, now = self._before, self._edges
        is_edge = 2 * at + 1 < len(before) and before[2 * at + 1] == at
        return is_edge and (2 * at >= len(now) or now[2 * at] < at)

    def draw(self) -> str:
        """Return a row in which every edge has moved to the left."""
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
        self._before = list(new)
        if new[-1] == _NOTHING:
            new.pop()
        self._edges = new
        return mover, target
