"""`status`: what differs from HEAD."""

from __future__ import annotations

from heliosfs.commands.changes import FileChange, by_file, find_renames
from heliosfs.commands.merge import conflict_lines, conflicts_document
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, quote_path, relative, short, where
from heliosfs.commands.verb import Request
from heliosfs.repo.merging import open_conflicts
from heliosfs.repo.view import View


def status(request: Request, options: Options) -> str:
    """The branch and its uncommitted changes: O(changed)."""
    options.only_one("short", "porcelain", "json")
    options.at_most(0)
    view = request.view
    changes = uncommitted(view)
    if "json" in options:
        return json_reply(
            {
                "branch": view.branch,
                "head": view.head.hex() if view.head else None,
                "clean": not changes,
                "merging": view.merging.hex() if view.merging else None,
                "conflicts": conflicts_document(open_conflicts(view)) if view.merging else [],
                "changes": [change.document for change in changes],
            }
        )
    if "porcelain" in options:
        return _short(view, changes, "", with_branch="branch" in options)
    if "short" in options:
        return _short(view, changes, request.cwd, with_branch="branch" in options)
    return long_status(view, changes, request.cwd)


def uncommitted(view: View) -> list[FileChange]:
    """The changes since HEAD, in byte order of the paths."""
    return find_renames(by_file(view.changes()))


def long_status(view: View, changes: list[FileChange], cwd: str) -> str:
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
    if not changes:
        lines.append("nothing to commit, working tree clean")
        return "\n".join(lines) + "\n"
    lines.append("Uncommitted changes:")
    width = max(len(change.label) for change in changes) + 1
    lines += [f"\t{change.label + ':':<{width}}   {_paths(change, cwd)}" for change in changes]
    return "\n".join(lines) + "\n"


def _short(view: View, changes: list[FileChange], cwd: str, *, with_branch: bool) -> str:
    lines = [f"## {view.branch or 'HEAD (no branch)'}"] if with_branch else []
    lines += [f" {change.letter} {_paths(change, cwd)}" for change in changes]
    return "".join(f"{line}\n" for line in lines)


def _paths(change: FileChange, cwd: str) -> str:
    entry = change.new or change.old
    assert entry is not None
    path = quote_path(relative(cwd, change.path) + b"/" * entry.is_dir)
    if change.source is None:
        return path
    return f"{quote_path(relative(cwd, change.source))} -> {path}"
