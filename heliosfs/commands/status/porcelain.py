"""Status for programs: the short format and the porcelain of git-status(1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from heliosfs.commands.colours import PLAIN, Paint, Role, paint_of
from heliosfs.commands.diff.changes import FileChange
from heliosfs.commands.diff.patch import git_mode, git_part, shown_id
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec
from heliosfs.commands.render import quote_path, relative, text_of
from heliosfs.commands.status.uncommitted import UncommittedChanges
from heliosfs.commands.status.unmerged import unmerged
from heliosfs.commands.verb import Request
from heliosfs.objects.tree import NO_OID, Entry
from heliosfs.repo.merge import Conflict
from heliosfs.repo.upstream import UpstreamComparison
from heliosfs.repo.view import View
from heliosfs.repo.view_merge import open_conflicts
from heliosfs.trees.gitlinks import is_directory
from heliosfs.trees.stored import Change, find_entry

_NO_ID = NO_OID.hex()


class _Row(NamedTuple):
    """Row for one path: the change from HEAD to the stage, and the one from there to the files."""

    staged: FileChange | None
    unstaged: FileChange | None

    @property
    def first(self) -> FileChange:
        """Change that names the path."""
        change = self.staged or self.unstaged
        assert change is not None
        return change

    @property
    def path(self) -> bytes:
        return (self.unstaged or self.first).path if self.staged is None else self.staged.path


def porcelain(
    request: Request,
    options: Options,
    found: UncommittedChanges,
    ignored: Sequence[Change],
    spec: Pathspec,
    upstream: UpstreamComparison | None,
) -> str:
    """Return the status in one of the formats for programs.  Raise UsageError."""
    version = options.value("porcelain") or "v1"
    if version not in ("1", "2", "v1", "v2"):
        raise options.misuse(f"--porcelain is v1 or v2, not {version[:80]!r}")
    is_plain = "null" in options
    is_for_programs = "porcelain" in options or is_plain
    # As in git, paths are from the root where they cannot be taken for those of a person.
    cwd = "" if is_for_programs else request.cwd
    paint = PLAIN if is_for_programs else paint_of(request, options)
    lines = _Lines(request.view, cwd, paint, upstream, is_plain=is_plain)
    left = {path: code for path, code in unmerged(request.view).items() if spec.matches(path)}
    rows = [row for row in _rows(found) if row.path not in left]
    if version.endswith("2"):
        return lines.version_2(rows, left, ignored, with_branch="branch" in options)
    return lines.version_1(rows, left, ignored, with_branch="branch" in options)


def paths_of(change: FileChange, cwd: str) -> str:
    """Return the path of a change, with the one before if it was renamed."""
    path = place_of(cwd, change)
    if change.source is None:
        return path
    return f"{quote_path(relative(cwd, change.source))} -> {path}"


def place_of(cwd: str, change: FileChange | Change) -> str:
    """Return the path of a change as a caller in `cwd` writes it; a directory ends with a slash."""
    return quote_path(_plain_place(cwd, change))


def _plain_place(cwd: str, change: FileChange | Change) -> bytes:
    entry = change.new or change.old
    assert entry is not None
    return relative(cwd, change.path) + b"/" * is_directory(entry)


def _rows(found: UncommittedChanges) -> list[_Row]:
    """Return both changes of each path in one row, in byte order.

    What was staged as gone and is there again is new, and has a row of its own.
    """
    rows = {change.path: _Row(change, None) for change in found.staged}
    alone = []
    for change in found.unstaged:
        row = rows.get(change.path)
        is_new = change.old is None or change.source is not None
        if row is None or is_new:
            alone.append(_Row(None, change))
        else:
            rows[change.path] = row._replace(unstaged=change)
    return sorted([*rows.values(), *alone], key=lambda row: row.path)


class _Lines:
    """Writer of lines or, with `is_plain`, of unquoted paths with a NUL after each (-z)."""

    def __init__(
        self,
        view: View,
        cwd: str,
        paint: Paint,
        upstream: UpstreamComparison | None,
        *,
        is_plain: bool,
    ) -> None:
        self._upstream = upstream
        self._paint = paint
        self._view = view
        self._cwd = cwd
        self._is_plain = is_plain
        self._end = "\0" if is_plain else "\n"

    def version_1(
        self,
        rows: Sequence[_Row],
        left: dict[bytes, str],
        ignored: Sequence[Change],
        *,
        with_branch: bool,
    ) -> str:
        """Return two letters and a path in each line: what is staged, and what is not."""
        lines = [f"## {self._branch()}"] if with_branch else []
        red = partial(self._paint, Role.UNSTAGED)
        shown = [
            (path, f"{red(code)} {self._quoted(self._name(path))}") for path, code in left.items()
        ]
        for row in rows:
            letters = self._letters(row)
            shown.append((row.path, f"{letters} {self._pair(row.first)}"))
        lines += [line for _, line in sorted(shown, key=lambda each: each[0])]
        lines += [f"{red('!!')} {self._quoted(self._place(change))}" for change in ignored]
        return "".join(line + self._end for line in lines)

    def version_2(
        self,
        rows: Sequence[_Row],
        left: dict[bytes, str],
        ignored: Sequence[Change],
        *,
        with_branch: bool,
    ) -> str:
        """Return lines with modes and ids as well."""
        lines = []
        if with_branch:
            head = self._view.head
            lines.append(f"# branch.oid {head.hex() if head else '(initial)'}")
            lines.append(f"# branch.head {self._view.branch or '(detached)'}")
            if self._upstream is not None:
                name, ahead, behind = self._upstream
                lines += [f"# branch.upstream {name}", f"# branch.ab +{ahead} -{behind}"]
        lines += [self._ordinary(row) for row in rows]
        conflicts = {each.path: each for each in open_conflicts(self._view)} if left else {}
        lines += [self._unmerged(conflicts[path], code) for path, code in left.items()]
        lines += [f"! {self._place(change)}" for change in ignored]
        return "".join(line + self._end for line in lines)

    def _ordinary(self, row: _Row) -> str:
        staged, unstaged = row.staged, row.unstaged
        letters = "".join(_letter(each).replace(" ", ".") for each in (staged, unstaged))
        first = row.first
        head = first.old
        index = staged.new if staged is not None else first.old
        work = unstaged.new if unstaged is not None else index
        modes = " ".join(_mode(entry) for entry in (head, index, work))
        text = f"{letters} N... {modes} {_id(head)} {_id(index)}"
        if first.source is None:
            return f"1 {text} {self._place(first)}"
        old = self._name(first.source)
        middle = "\0" if self._is_plain else "\t"
        return f"2 {text} R{first.percent} {self._place(first)}{middle}{old}"

    def _unmerged(self, conflict: Conflict, code: str) -> str:
        path = conflict.path
        sides = (conflict.base, conflict.ours, conflict.theirs)
        work = find_entry(self._view.core.store, self._view.selected(), path)
        modes = " ".join(_mode(entry) for entry in (*sides, work))
        ids = " ".join(_id(entry) for entry in sides)
        return f"u {code} N... {modes} {ids} {self._name(path)}"

    def _letters(self, row: _Row) -> str:
        staged, unstaged = _letter(row.staged), _letter(row.unstaged)
        if staged != " ":
            staged = self._paint(Role.STAGED, staged)
        return staged + (self._paint(Role.UNSTAGED, unstaged) if unstaged != " " else " ")

    def _pair(self, change: FileChange) -> str:
        place = self._quoted(self._place(change))
        if change.source is None:
            return place
        if self._is_plain:
            return f"{place}\0{self._name(change.source)}"
        return f"{self._quoted(self._name(change.source))} -> {place}"

    def _quoted(self, name: str) -> str:
        """Quote a name with blanks, which look like separators; version 1 alone does."""
        is_safe = self._is_plain or " " not in name or name.startswith('"')
        return name if is_safe else f'"{name}"'

    def _place(self, change: FileChange | Change) -> str:
        path = _plain_place(self._cwd, change)
        return text_of(path) if self._is_plain else quote_path(path)

    def _name(self, path: bytes) -> str:
        place = relative(self._cwd, path)
        return text_of(place) if self._is_plain else quote_path(place)

    def _branch(self) -> str:
        view = self._view
        if view.branch is None:
            return self._paint(Role.UNSTAGED, "HEAD (no branch)")
        branch = self._paint(Role.CURRENT, view.branch)
        if self._upstream is not None:
            numbers = str(self._upstream)
            branch += f"...{self._paint(Role.UNSTAGED, self._upstream.name)}"
            branch += f" [{numbers}]" if numbers else ""
        return branch if view.head else f"No commits yet on {branch}"


def _letter(change: FileChange | None) -> str:
    return change.letter if change is not None else " "


def _mode(entry: Entry | None) -> str:
    if entry is None:
        return "000000"
    return git_mode(entry) if git_part(entry) is not None else f"{entry.mode:06o}"


def _id(entry: Entry | None) -> str:
    return _NO_ID if entry is None else shown_id(entry).hex()
