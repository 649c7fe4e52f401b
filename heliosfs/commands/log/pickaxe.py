"""Pickaxe: the changes in which a text came, went or stands (git-log(1), -S and -G)."""

from __future__ import annotations

import stat

from heliosfs.commands.diff.changes import FileChange
from heliosfs.commands.diff.form import chosen_changes
from heliosfs.commands.options import Options
from heliosfs.commands.render import bytes_of
from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo.lines.compare import Effort, changed_ranges, split_lines
from heliosfs.repo.lines.text import is_text
from heliosfs.repo.regex.expressions import (
    Expression,
    Syntax,
    compile_expression,
    count_steps,
    search_steps,
)
from heliosfs.steps import TURN, Steps
from heliosfs.store.base import Store
from heliosfs.trees.files import read_file

_KNOWN_MAX = 10_000


class ChangeFilter:
    """A filter of the changes of commits: --diff-filter, -S and -G."""

    def __init__(self, store: Store, options: Options) -> None:
        options.only_one("S", "G")
        self._store = store
        self._options = options
        self._counts: dict[Oid, int] = {}
        """Number of times each blob has the text of -S: most blobs are seen twice."""
        self._counted: Expression | None = None
        self._wanted: Expression | None = None
        text, pattern = options.value("S"), options.value("G")
        ignore_case = "regexp-ignore-case" in options
        if text is not None:
            syntax = Syntax.EXTENDED if "pickaxe-regex" in options else Syntax.FIXED
            self._counted = compile_expression([bytes_of(text)], syntax, ignore_case=ignore_case)
        if pattern is not None:
            self._wanted = compile_expression([bytes_of(pattern)], ignore_case=ignore_case)

    @property
    def is_active(self) -> bool:
        """Return True if commits without a change that is left are not to be shown."""
        return "diff-filter" in self._options or bool(self._counted or self._wanted)

    def run(self, changes: list[FileChange]) -> Steps[list[FileChange]]:
        """Return the changes in which the text comes, goes or stands."""
        changes = chosen_changes(self._options, changes)
        if self._counted is None and self._wanted is None:
            return changes
        picked = []
        for change in changes:
            if (yield from self._is_picked(change)):
                picked.append(change)
            yield TURN
        return changes if picked and "pickaxe-all" in self._options else picked

    def _is_picked(self, change: FileChange) -> Steps[bool]:
        old, new = (_file(entry) for entry in (change.old, change.new))
        if (old and old.oid) == (new and new.oid):
            return False
        if self._counted is not None:
            before_count = yield from self._count(self._counted, old)
            return before_count != (yield from self._count(self._counted, new))
        assert self._wanted is not None
        before, after = (
            b"" if each is None else read_file(self._store, each) for each in (old, new)
        )
        if not (is_text(before) and is_text(after)):
            return False
        lines, new_lines = split_lines(before), split_lines(after)
        changed: list[bytes] = []
        for each in changed_ranges(lines, new_lines, Effort()):
            changed += lines[each.start : each.stop]
            changed += new_lines[each.new_start : each.new_stop]
        ended = (line if line.endswith(b"\n") else line + b"\n" for line in changed)
        return (yield from search_steps(self._wanted, b"".join(ended)))

    def _count(self, expression: Expression, entry: Entry | None) -> Steps[int]:
        if entry is None or not entry.size:
            return 0
        count = self._counts.get(entry.oid)
        if count is None:
            if len(self._counts) >= _KNOWN_MAX:
                self._counts.clear()
            count = yield from count_steps(expression, read_file(self._store, entry))
            self._counts[entry.oid] = count
        return count


def _file(entry: Entry | None) -> Entry | None:
    return entry if entry is not None and stat.S_ISREG(entry.mode) else None
