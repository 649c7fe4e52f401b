"""`ls-files`: the files that commits and the stage know, and those that they do not."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.commands.diff.changes import FileChange, compare_in_steps
from heliosfs.commands.diff.patch import git_mode, git_part, shown_id
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec, files_below, pathspec
from heliosfs.commands.render import json_reply, quote_path, relative, text_of
from heliosfs.commands.status.unmerged import unmerged
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.tree import Entry
from heliosfs.steps import TURN, Steps

_KINDS = ("cached", "deleted", "modified", "others", "ignored", "unmerged")


def ls_files(request: Request, options: Options) -> Steps[str]:
    """List the files of the kinds that are asked for; those of the stage, or HEAD, by default."""
    spec = pathspec(
        request.cwd, [*options.words, *(options.paths or [])] or ["."], default=request.cwd
    )
    base = request.view.base_root()
    if "error-unmatch" in options:
        for item in spec.items:
            if item.fits is None and not item.lies_in(request.repository.store, base):
                raise NotFound(f"no path {item.word[:80]!r} in HEAD or the stage")
    found: dict[bytes, Entry | None] = {}
    if not any(key in options for key in _KINDS) or "cached" in options or "stage" in options:
        for path, entry in files_below(request.repository.store, base, spec):
            found[path] = entry
            yield TURN
    if any(key in options for key in ("deleted", "modified", "others")):
        work = request.view.selected()
        changes = yield from compare_in_steps(
            request.repository.store, base, work, with_renames=False
        )
        found.update(_changed(options, spec, changes))
    if "ignored" in options:
        for change in request.view.ignoring.ignored():
            if spec.matches(change.path):
                found[change.path] = change.new
    if "unmerged" in options:
        found.update((path, None) for path in unmerged(request.view) if spec.matches(path))
    if "error-unmatch" in options and not found:
        raise NotFound("nothing matches")
    return _text(request, options, found)


def _changed(
    options: Options, spec: Pathspec, changes: list[FileChange]
) -> Iterator[tuple[bytes, Entry | None]]:
    for change in changes:
        if not spec.matches(change.path):
            continue
        if change.old is None and (change.new is None or change.new.is_dir):
            continue
        is_gone = change.new is None
        kind = "others" if change.old is None else "deleted" if is_gone else "modified"
        # As in git, a file that is gone is a modified one, too.
        if kind in options or (is_gone and "modified" in options):
            yield change.path, change.new


def _text(request: Request, options: Options, found: dict[bytes, Entry | None]) -> str:
    if "json" in options:
        return json_reply([text_of(path) for path in sorted(found)])
    is_plain = "null" in options
    lines = []
    for path in sorted(found):
        place = path if "full-name" in options else relative(request.cwd, path)
        name = text_of(place) if is_plain else quote_path(place)
        entry = found[path]
        if "stage" in options and entry is not None and git_part(entry) is not None:
            name = f"{git_mode(entry)} {shown_id(entry).hex()} 0\t{name}"
        lines.append(name + ("\0" if is_plain else "\n"))
    return "".join(lines)
