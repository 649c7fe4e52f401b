"""`status`: what differs from HEAD."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.changes import FileChange, by_file, compare, find_renames
from heliosfs.commands.merge import conflict_lines, conflicts_document
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, quote_path, relative, short, text_of, where
from heliosfs.commands.verb import Request
from heliosfs.repo.merging import open_conflicts
from heliosfs.repo.view import View
from heliosfs.workspace.trees import Change


class Standing(NamedTuple):
    """The uncommitted changes of a view, in two steps."""

    staged: list[FileChange]
    """From HEAD to the stage; empty while nothing is staged."""
    unstaged: list[FileChange]
    """From the stage, or from HEAD, to the working tree."""

    @property
    def is_clean(self) -> bool:
        return not (self.staged or self.unstaged)


def status(request: Request, options: Options) -> str:
    """The branch and its uncommitted changes: O(changed)."""
    options.only_one("short", "porcelain", "json")
    options.at_most(0)
    view = request.view
    ignored = view.ignoring.ignored() if "ignored" in options else []
    if "json" in options:
        document = _document(view)
        if "ignored" in options:
            document["ignored"] = [text_of(change.path) for change in ignored]
        return json_reply(document)
    if "short" in options or "porcelain" in options:
        cwd = "" if "porcelain" in options else request.cwd
        lines = _short(view, cwd, with_branch="branch" in options)
        return lines + "".join(f"!! {_place(cwd, change)}\n" for change in ignored)
    text = long_status(view, request.cwd)
    if not ignored:
        return text
    return f"{text}\nIgnored files:\n" + "".join(
        f"\t{_place(request.cwd, change)}\n" for change in ignored
    )


def uncommitted(view: View) -> list[FileChange]:
    """The changes since HEAD, in byte order of the paths."""
    return find_renames(view.repository.store, by_file(view.changes()))


def standing(view: View) -> Standing:
    """The changes since HEAD, staged and not."""
    staged = view.stage.root
    if staged is None:
        return Standing([], uncommitted(view))
    store = view.repository.store
    return Standing(
        compare(store, view.head_root(), staged), compare(store, staged, view.selected())
    )


def long_status(view: View, cwd: str) -> str:
    """The status in words."""
    lines = [where(view)]
    if view.head is None:
        lines += ["", "No commits yet", ""]
    if view.merging is not None:
        lines += [
            f"A merge of {short(view.merging)} is open: commit to conclude it, or merge --abort",
            "Conflicts:",
            *(f"\t{line}" for line in conflict_lines(open_conflicts(view)).splitlines()),
        ]
    found = standing(view)
    if found.staged:
        lines += ["Changes to be committed:", '  (use "helios restore --staged PATH" to unstage)']
        lines += _lines(found.staged, cwd)
        if found.unstaged:
            lines += ["", "Changes not staged for commit:", '  (use "helios add PATH" to stage)']
            lines += _lines(found.unstaged, cwd)
    elif found.unstaged:
        lines += ["Uncommitted changes:", *_lines(found.unstaged, cwd)]
    else:
        lines.append("nothing to commit, working tree clean")
    return "\n".join(lines) + "\n"


def _document(view: View) -> dict[str, object]:
    found = standing(view)
    changes = uncommitted(view) if found.staged else found.unstaged
    return {
        "branch": view.branch,
        "head": view.head.hex() if view.head else None,
        "clean": found.is_clean,
        "merging": view.merging.hex() if view.merging else None,
        "conflicts": conflicts_document(open_conflicts(view)) if view.merging else [],
        "changes": [change.document for change in changes],
        "staged": [change.document for change in found.staged],
        "unstaged": [change.document for change in found.unstaged],
    }


def _short(view: View, cwd: str, *, with_branch: bool) -> str:
    """Two columns as git has them: what is staged, and what is not."""
    lines = [f"## {view.branch or 'HEAD (no branch)'}"] if with_branch else []
    found = standing(view)
    rows = {(each.path, each.source): (each.letter, " ", each) for each in found.staged}
    staged = {path: (path, source) for path, source in rows}
    for change in found.unstaged:
        key = (change.path, change.source)
        if change.source is None:
            key = staged.get(change.path, key)
        column, _, first = rows.get(key, (" ", " ", change))
        rows[key] = (column, change.letter, first)
    lines += [
        f"{column}{letter} {_paths(change, cwd)}"
        for _, (column, letter, change) in sorted(rows.items(), key=lambda row: row[0][0])
    ]
    return "".join(f"{line}\n" for line in lines)


def _lines(changes: list[FileChange], cwd: str) -> list[str]:
    width = max(len(change.label) for change in changes) + 1
    return [f"\t{change.label + ':':<{width}}   {_paths(change, cwd)}" for change in changes]


def _paths(change: FileChange, cwd: str) -> str:
    path = _place(cwd, change)
    if change.source is None:
        return path
    return f"{quote_path(relative(cwd, change.source))} -> {path}"


def _place(cwd: str, change: FileChange | Change) -> str:
    entry = change.new or change.old
    assert entry is not None
    return quote_path(relative(cwd, change.path) + b"/" * entry.is_dir)
