"""`--stat`: how many lines of which files changed (git-diff(1))."""

from __future__ import annotations

from heliosfs.commands.changes import FileChange
from heliosfs.commands.patch import Patch
from heliosfs.commands.render import quote_path
from heliosfs.store.steps import TURN, Steps

_COLUMNS = 80


def diffstat(patch: Patch, changes: list[FileChange]) -> Steps[str]:
    """A line for each file with a bar of what was added and removed, and a line of totals."""
    if not changes:
        return ""
    counted = []
    for change in changes:
        counted.append((_name(change), patch.counts(change), change))
        yield TURN
    name_width = max(len(name) for name, _, _ in counted)
    largest = max((sum(counts) for _, counts, _ in counted if counts), default=0)
    number_width = max(len(str(largest)), 3 if any(not counts for _, counts, _ in counted) else 1)
    bar_width = max(_COLUMNS - name_width - number_width - 5, 10)
    lines = []
    for name, counts, change in counted:
        if counts is None:
            what = f"{'Bin':>{number_width}} {_size(change.old)} -> {_size(change.new)} bytes"
        else:
            bar = _bar(counts, largest, bar_width)
            what = f"{sum(counts):>{number_width}} {bar}".rstrip()
        lines.append(f" {name:<{name_width}} | {what}\n")
    lines.append(_totals([counts for _, counts, _ in counted]))
    return "".join(lines)


def stat_document(patch: Patch, change: FileChange) -> dict[str, object]:
    """The counts of one file for programs; null of a binary file."""
    added, removed = patch.counts(change) or (None, None)
    return {"insertions": added, "deletions": removed}


def _name(change: FileChange) -> str:
    path = quote_path(change.path or b".")
    return path if change.source is None else f"{quote_path(change.source)} => {path}"


def _size(entry: object) -> int:
    return getattr(entry, "size", 0)


def _bar(counts: tuple[int, int], largest: int, width: int) -> str:
    if largest <= width:
        return "+" * counts[0] + "-" * counts[1]
    added, removed = (-(-count * width // largest) for count in counts)
    return "+" * added + "-" * min(removed, width - added)


def _totals(all_counts: list[tuple[int, int] | None]) -> str:
    added = sum(counts[0] for counts in all_counts if counts)
    removed = sum(counts[1] for counts in all_counts if counts)
    parts = [f" {_plural(len(all_counts), 'file')} changed"]
    if added or not removed:
        parts.append(f" {_plural(added, 'insertion')}(+)")
    if removed or not added:
        parts.append(f" {_plural(removed, 'deletion')}(-)")
    return ",".join(parts) + "\n"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
