"""Conflicts of a merge as replies list them, for people and for programs."""

from __future__ import annotations

from heliosfs.commands.diff.changes import entry_document
from heliosfs.commands.render import quote_path, text_of
from heliosfs.repo.merge import Conflict


def conflict_lines(conflicts: list[Conflict]) -> str:
    """Return a line for each conflict: its kind, and the path as git quotes it."""
    return "".join(f"{each.kind}: {quote_path(each.path)}\n" for each in conflicts)


def conflicts_document(conflicts: list[Conflict]) -> list[dict[str, object]]:
    """Return the conflicts as values for JSON."""
    return [
        {
            "path": text_of(each.path),
            "kind": each.kind,
            "base": entry_document(each.base),
            "ours": entry_document(each.ours),
            "theirs": entry_document(each.theirs),
        }
        for each in conflicts
    ]
