"""`fetch` and `pull`: bring what a remote has, and merge it."""

from __future__ import annotations

from functools import partial

from heliosfs.commands.merge import merge
from heliosfs.commands.options import Options
from heliosfs.commands.remotes.contents import bring
from heliosfs.commands.remotes.outcomes import kind_mark
from heliosfs.commands.remotes.remote import check_words, named_remote
from heliosfs.commands.render import json_reply, short
from heliosfs.commands.table import find_verb
from heliosfs.commands.verb import Request, answer, exit_code_of
from heliosfs.errors import NotFound, UsageError
from heliosfs.gitserver.fetch import fetch as fetch_from_git
from heliosfs.remote.buckets.opening import open_bucket
from heliosfs.remote.fetch import FetchResult, check_undamaged
from heliosfs.remote.fetch import fetch as fetch_refs
from heliosfs.remote.foundrefs import MovedRef
from heliosfs.remote.shallow import DOWN_TO_KNOWN, Extent
from heliosfs.repo.remotes import HEADS, KIND_WORDS, TAGS, check_same
from heliosfs.steps import Steps, read_far

_MERGE_FLAGS = ("ff-only", "no-ff", "ours", "theirs", "markers", "no-commit", "quiet", "json")
"""Options of `pull` that are those of `merge`."""


def fetch(request: Request, options: Options) -> Steps[str]:
    """Bring the branches of a remote up to date, with all commits that they need."""
    words = list(options.words)
    if "" in words:
        raise options.misuse("an empty word names nothing")
    if "contents" in options:
        return (yield from bring(request, options))
    if "all" in options:
        raise options.misuse("--all belongs to --contents: 'helios remote' lists the remotes")
    extent = _extent(options)
    remotes, word = request.repository.remotes, None
    if words and (words[0] in remotes.names or remotes.offering(words[0]) is None):
        word = words.pop(0)
    remote = named_remote(request, word)
    if words and "prune" in options:
        raise options.misuse("--prune looks at all branches: name none")
    if words and extent.goes_below:
        raise options.misuse("--depth and --unshallow are for all branches: name none")
    result = yield from _fetched(request, remote, words, prunes="prune" in options, extent=extent)
    code = _code(result)
    if "json" in options:
        return answer(json_reply(_document(request, remote, result)), code)
    told = "" if "quiet" in options else _text(request, remote, result)
    if extent.goes_below and not (told or code or result.shallow_count or "quiet" in options):
        told = "All history is here already\n"
    if "unshallow" in options and result.shallow_count and not (code or "quiet" in options):
        told += (
            f"the history still ends at {result.shallow_count} commits: "
            f"no ref of {remote} has what is before these\n"
        )
    return answer(told + _damage(remote, result), code)


def _extent(options: Options) -> Extent:
    """Return the part of the history that the options ask for.  UsageError."""
    options.only_one("depth", "unshallow")
    depth = options.number("depth")
    if depth == 0:
        raise options.misuse("a depth is 1 at least")
    return Extent(depth or 0, "unshallow" in options)


def pull(request: Request, options: Options) -> Steps[str]:
    """Fetch, and merge the branch of the remote into that of the view."""
    check_words(options, 2)
    branch = options.words[1] if len(options.words) > 1 else request.view.require_branch()
    remote = named_remote(request, options.words[0] if options.words else None, branch)
    result = yield from _fetched(request, remote, options.words[1:], prunes=False)
    name = f"{remote}/{branch}"
    check_undamaged(result, remote, branch)
    if request.repository.remotes.tracked(remote, HEADS, branch) is None:
        raise NotFound(f"{remote} has no branch {branch!r}: 'helios push' makes it")
    flags = [f"--{key}" for key in _MERGE_FLAGS if key in options]
    merged = yield from merge(request, find_verb("merge").parser().parse([*flags, name]))
    code = exit_code_of(merged) or _code(result)
    if "json" in options:
        return answer(str(merged), code)
    told = "" if "quiet" in options else _text(request, remote, result)
    return answer(told + _damage(remote, result) + merged, code)


def _fetched(
    request: Request,
    remote: str,
    branches: list[str],
    *,
    prunes: bool,
    extent: Extent = DOWN_TO_KNOWN,
) -> Steps[FetchResult]:
    repository = request.repository
    url = repository.remotes.url(remote)
    if repository.remotes.notes.is_git(remote):
        if extent.goes_below:
            told = "from which all history comes"
            if repository.history.edge:
                told = "which cannot bring the rest: name the storage that the history came from"
            raise UsageError(f"usage: {remote} is a git server, {told}")
        return (yield from fetch_from_git(repository, remote, branches, prunes=prunes))
    bucket = yield from read_far(partial(open_bucket, url))
    check_same(repository.remotes, remote, url)
    steps = fetch_refs(repository, bucket, remote, branches, prunes=prunes, extent=extent)
    return (yield from steps)


def _document(request: Request, remote: str, result: FetchResult) -> dict[str, object]:
    return {
        "remote": remote,
        "url": request.repository.remotes.url(remote),
        "moved": [_moved_document(each) for each in result.moved],
        "gone": [_moved_document(each) for each in result.gone],
        "damaged": [
            {"name": each.name, "kind": KIND_WORDS[each.kind], "error": each.text}
            for each in result.damaged
        ],
        "commit_count": result.commit_count,
        "object_count": result.object_count,
        "got_bytes": result.got_bytes,
        "promised_count": result.promised_count,
        "below": [{"name": name, "kind": KIND_WORDS[kind]} for kind, name in result.below],
        "shallow_count": result.shallow_count,
        "lost": result.lost,
    }


def _moved_document(ref: MovedRef) -> dict[str, object]:
    return {
        "name": ref.name,
        "kind": KIND_WORDS[ref.kind],
        "tag": ref.kind == TAGS,
        "before": ref.before.hex() if ref.before else None,
        "after": ref.after.hex() if ref.after else None,
        "forced": ref.is_forced,
    }


def _text(request: Request, remote: str, result: FetchResult) -> str:
    lines = [_line(remote, each) for each in result.moved]
    for each in result.gone:
        kept = request.repository.remotes.tracked(remote, each.kind, each.name) is not None
        hint = "gone there; --prune forgets it" if kept else "deleted"
        lines.append(f" - [{hint}] {remote}/{each.name}{kind_mark(each.kind)}\n")
    if not lines and not result.commit_count:
        return ""
    counts = f"{result.commit_count} commits, {result.object_count} objects, "
    told = f"{counts}{result.got_bytes} bytes received\n" if result.object_count else ""
    if result.promised_count:
        told += f"{result.promised_count} contents stay there until they are read\n"
    if result.below:
        told += (
            f"{len(result.below)} tags and experiments of a history that is not here are left out\n"
        )
    return f"From {request.repository.remotes.url(remote)}\n{''.join(lines)}{told}"


def _code(result: FetchResult) -> int:
    return 1 if result.damaged or result.lost else 0


def _damage(remote: str, result: FetchResult) -> str:
    lines = [
        f" ! [damaged] {remote}/{each.name} ({each.text}); it stays as it was seen\n"
        for each in result.damaged
    ]
    if result.lost:
        lines.append(
            f" ! [lost] branches were deleted or forced at {remote}, and of what is needed here, "
            f"{result.lost}\n"
        )
    return "".join(lines)


def _line(remote: str, ref: MovedRef) -> str:
    assert ref.after is not None
    names = f"{ref.name} -> {ref.name if ref.kind == TAGS else f'{remote}/{ref.name}'}"
    if ref.before is None:
        return f" * [new {KIND_WORDS[ref.kind]}] {names}\n"
    sign, dots = ("+", "...") if ref.is_forced else (" ", "..")
    moved = f"{short(ref.before)}{dots}{short(ref.after)} {names}"
    return f" {sign} {moved}{kind_mark(ref.kind)}\n"
