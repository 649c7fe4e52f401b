"""`status`: what differs from HEAD."""

from __future__ import annotations

from heliosfs.commands.colours import PLAIN, Paint, Role, paint_of
from heliosfs.commands.diff.changes import FileChange, split_renames, within
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec, pathspec
from heliosfs.commands.render import json_reply, quote_path, relative, short, text_of, where
from heliosfs.commands.status.conflicts import conflicts_document
from heliosfs.commands.status.porcelain import paths_of, place_of, porcelain
from heliosfs.commands.status.uncommitted import (
    UncommittedChanges,
    find_uncommitted,
    uncommitted_changes,
)
from heliosfs.commands.status.unmerged import UNMERGED, unmerged
from heliosfs.commands.verb import Request
from heliosfs.repo.upstream import UpstreamComparison, compare_upstream
from heliosfs.repo.view import View
from heliosfs.repo.view_merge import open_conflicts, open_verb
from heliosfs.steps import Steps


def status(request: Request, options: Options) -> Steps[str]:
    """Return the branch and its uncommitted changes: O(changed)."""
    options.only_one("short", "porcelain", "json", "long")
    view = request.view
    spec = pathspec(request.cwd, [*options.words, *(options.paths or [])])
    is_ignored_shown = "ignored" in options and options.value("ignored") != "no"
    ignored = view.ignoring.ignored() if is_ignored_shown else []
    ignored = [change for change in ignored if not spec or spec.matches(change.path)]
    found = _chosen(options, (yield from uncommitted_changes(view)), spec)
    if "json" in options:
        document = yield from _document(view, found, spec)
        if "ignored" in options:
            document["ignored"] = [text_of(change.path) for change in ignored]
        return json_reply(document)
    upstream = yield from compare_upstream(view.core, view.branch, view.head)
    if any(key in options for key in ("short", "porcelain", "null")):
        return porcelain(request, options, found, ignored, spec, upstream)
    paint = paint_of(request, options)
    text = _long(view, request.cwd, found, spec, paint, upstream)
    if not ignored:
        return text
    return f"{text}\nIgnored files:\n" + "".join(
        f"\t{paint(Role.UNSTAGED, place_of(request.cwd, change))}\n" for change in ignored
    )


def _chosen(options: Options, found: UncommittedChanges, spec: Pathspec) -> UncommittedChanges:
    """Return the changes that the pathspecs mean, without new files if -uno says so."""
    mode = options.value("untracked-files") or "all"
    if mode not in ("no", "normal", "all"):
        raise options.misuse(f"-u is no, normal or all, not {mode[:80]!r}")
    staged, unstaged = within(found.staged, spec), within(found.unstaged, spec)
    if mode == "no":
        unstaged = [change for change in unstaged if change.old is not None]
    if "no-renames" in options:
        staged, unstaged = split_renames(staged), split_renames(unstaged)
    return UncommittedChanges(staged, unstaged)


def long_status(view: View, cwd: str) -> Steps[str]:
    """Return the status in words."""
    upstream = yield from compare_upstream(view.core, view.branch, view.head)
    found = yield from uncommitted_changes(view)
    return _long(view, cwd, found, Pathspec((), ()), PLAIN, upstream)


def _long(
    view: View,
    cwd: str,
    found: UncommittedChanges,
    spec: Pathspec,
    paint: Paint,
    upstream: UpstreamComparison | None,
) -> str:
    lines = [where(view)]
    if view.branch is None:
        said, at, name = lines[0].partition("HEAD detached at ")
        lines = [said + paint(Role.UNSTAGED, at) + name]
    if upstream is not None:
        lines += [*_upstream_lines(upstream), ""]
    if view.core.store.refusal is not None:
        lines.append(f"The workspace is {view.core.store.refusal}")
    if view.head is None:
        lines += ["", "No commits yet", ""]
    left = unmerged(view)
    if view.merging is not None:
        shown = {path: left[path] for path in left if spec.matches(path)}
        lines += _open_lines(view, cwd, shown, paint)
        found = UncommittedChanges(
            found.staged, [each for each in found.unstaged if each.path not in left]
        )
    if found.staged:
        lines += ["Changes to be committed:", '  (use "helios restore --staged PATH" to unstage)']
        lines += _lines(found.staged, cwd, paint, Role.STAGED)
        if found.unstaged:
            lines += ["", "Changes not staged for commit:", '  (use "helios add PATH" to stage)']
            lines += _lines(found.unstaged, cwd, paint, Role.UNSTAGED)
    elif found.unstaged:
        lines += ["Uncommitted changes:", *_lines(found.unstaged, cwd, paint, Role.UNSTAGED)]
    elif view.merging is None:
        lines.append("nothing to commit, working tree clean")
    return "\n".join(lines) + "\n"


def _upstream_lines(upstream: UpstreamComparison) -> list[str]:
    name, ahead, behind = upstream
    if ahead and behind:
        said = f"Your branch and '{name}' have {ahead} and {behind} commits of their own."
        return [said, '  (use "helios pull" to merge them)']
    if ahead:
        said = f"Your branch is ahead of '{name}' by {ahead} commit{'s' * (ahead > 1)}."
        return [said, '  (use "helios push" to publish)']
    if behind:
        said = f"Your branch is behind '{name}' by {behind} commit{'s' * (behind > 1)}."
        return [said, '  (use "helios pull" to update)']
    return [f"Your branch is up to date with '{name}'."]


def _open_lines(view: View, cwd: str, left: dict[bytes, str], paint: Paint) -> list[str]:
    verb, pick = open_verb(view), view.pick
    commit = pick.source if pick else view.merging
    assert commit is not None
    lines = [f"A {verb} of {short(commit)} is open."]
    if pick is not None and pick.todo:
        lines.append(f"  ({len(pick.todo)} more to come)")
    if not left:
        return [*lines, f'  (use "helios {verb} --continue" or "helios commit" to conclude it)']
    lines += [
        f'  (edit, then "helios {verb} --continue"; "helios {verb} --abort" goes back)',
        '  (use "helios checkout --ours PATH" or "--theirs" to take a whole side)',
        "Unmerged paths:",
    ]
    width = max(len(UNMERGED[code]) for code in left.values()) + 1
    for path, code in left.items():
        what = f"{UNMERGED[code] + ':':<{width}}   {quote_path(relative(cwd, path))}"
        lines.append("\t" + paint(Role.UNSTAGED, what))
    return lines


def _document(view: View, found: UncommittedChanges, spec: Pathspec) -> Steps[dict[str, object]]:
    changes = found.unstaged
    if found.staged:
        changes = within((yield from find_uncommitted(view)), spec)
    left, pick = unmerged(view), view.pick
    return {
        "branch": view.branch,
        "head": view.head.hex() if view.head else None,
        "clean": found.is_clean,
        "merging": view.merging.hex() if view.merging and pick is None else None,
        "picking": {
            "verb": pick.options.verb,
            "commit": pick.source.hex(),
            "todo": [oid.hex() for oid in pick.todo],
        }
        if pick is not None
        else None,
        "conflicts": conflicts_document(open_conflicts(view)) if view.merging else [],
        "unmerged": {text_of(path): code for path, code in left.items()},
        "changes": [change.document for change in changes],
        "staged": [change.document for change in found.staged],
        "unstaged": [change.document for change in found.unstaged],
    }


def _lines(changes: list[FileChange], cwd: str, paint: Paint, part: Role) -> list[str]:
    width = max(len(change.label) for change in changes) + 1
    shown = (f"{change.label + ':':<{width}}   {paths_of(change, cwd)}" for change in changes)
    return ["\t" + paint(part, text) for text in shown]
