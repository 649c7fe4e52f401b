"""`cherry-pick` and `revert`: bring in what single commits changed, or take it back."""

from __future__ import annotations

import json
from collections.abc import Sequence

from heliosfs.commands.commit import conclude
from heliosfs.commands.merge import (
    abort,
    check_shown,
    check_strategy,
)
from heliosfs.commands.options import Options
from heliosfs.commands.picked import picked_reply
from heliosfs.commands.render import json_reply
from heliosfs.commands.revision_words import named, range_of
from heliosfs.commands.status.conflicts import conflict_lines, conflicts_document
from heliosfs.commands.verb import Request
from heliosfs.errors import Conflicted, NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.repo import view_pick
from heliosfs.repo.ancestry import find_merge_bases
from heliosfs.repo.merge import Conflict, Favor
from heliosfs.repo.pick_note import CHERRY_PICK, REVERT, PickOptions
from heliosfs.repo.revisions import resolve
from heliosfs.repo.walks import Visit, excluded_commits, topological
from heliosfs.steps import ALONE, TURN, Steps

_PICKED_MAX = 10_000
_EMPTY = {"stop", "drop", "keep"}


def cherry_pick(request: Request, options: Options) -> Steps[str]:
    """Make the changes of commits once more, on top of HEAD."""
    return (yield from _run(request, options, CHERRY_PICK))


def revert(request: Request, options: Options) -> Steps[str]:
    """Take the changes of commits back, by new commits."""
    return (yield from _run(request, options, REVERT))


def _run(request: Request, options: Options, verb: str) -> Steps[str]:
    check_strategy(options)
    options.only_one("ours", "theirs", "markers", "abort", "continue", "skip")
    for key in ("abort", "continue", "skip"):
        options.only_one("no-commit", key)
        if key in options:
            yield ALONE
            with request.repository.transaction:
                return _go_on(request, options, verb)
    if not options.words:
        raise options.misuse("give a commit")
    wish = _pick_options(options, verb)
    sources = yield from _sources(request, options, newest_first=verb == REVERT)
    yield ALONE
    check_shown(request)
    with request.repository.transaction:
        try:
            if "no-commit" in options:
                conflicts = view_pick.pick_uncommitted(
                    request.view, sources, wish, _conflict_handling(options)
                )
                return _uncommitted(options, conflicts)
            return picked_reply(
                request,
                options,
                verb,
                view_pick.pick(request.view, sources, wish, _conflict_handling(options)),
            )
        except view_pick.PickConflict as error:
            raise _refusal(error, options, verb) from error


def _go_on(request: Request, options: Options, verb: str) -> str:
    if "abort" in options:
        return abort(request, options, verb)
    if "skip" in options:
        options.at_most(0)
        return picked_reply(request, options, verb, view_pick.skip(request.view, verb))
    return conclude(request, options, verb)


def _pick_options(options: Options, verb: str) -> PickOptions:
    options.only_one("empty", "allow-empty")
    empty = "keep" if "allow-empty" in options else options.value("empty") or "stop"
    if empty not in _EMPTY:
        raise options.misuse(f"--empty is stop, drop or keep, not {empty[:80]!r}")
    mainline = options.number("mainline")
    if mainline == 0:
        raise options.misuse("-m takes the number of a parent, from 1")
    return PickOptions(
        verb,
        mainline or 0,
        "x" in options,
        keeps_empty=empty == "keep",
        drops_empty=empty == "drop",
    )


def _conflict_handling(options: Options) -> view_pick.ConflictHandling:
    favor = Favor.OURS if "ours" in options else Favor.NONE
    if "theirs" in options:
        favor = Favor.THEIRS
    return view_pick.ConflictHandling(favor, markers="markers" in options)


def _sources(request: Request, options: Options, *, newest_first: bool) -> Steps[list[CommitId]]:
    """Return the commits that the words name, in the order in which they are picked."""
    repository, head = request.repository, request.view.head
    found: list[CommitId] = []
    for word in options.words:
        pair = range_of(word)
        if pair is None:
            found.append(resolve(repository, named(request, word), head, request.view))
            continue
        old, new = (resolve(repository, each, head, request.view) for each in (pair.old, pair.new))
        inside = yield from _between(request, old, new, is_symmetric=pair.is_symmetric)
        found += inside if newest_first else reversed(inside)
        if not inside:
            raise NotFound(f"{word[:80]!r} has no commits")
    if len(found) > _PICKED_MAX:
        raise options.misuse(f"at most {_PICKED_MAX} commits at a time")
    return found


def _between(
    request: Request, old: CommitId, new: CommitId, *, is_symmetric: bool
) -> Steps[list[CommitId]]:
    """Return the commits of a range, the newest first."""
    history = request.repository.history
    tips, excluded = [new], [old]
    if is_symmetric:
        tips, excluded = [old, new], (yield from find_merge_bases(history, old, new))
    hidden = yield from excluded_commits(history, tips, excluded)
    found = []
    for visit in topological(history, tips, hidden):
        if isinstance(visit, Visit):
            found.append(visit.oid)
        yield TURN
    return found


def _refusal(error: view_pick.PickConflict, options: Options, verb: str) -> Conflicted:
    words = " ".join(options.words)
    ways = [f"{verb} {way} {words}" for way in ("--markers", "--ours", "--theirs")]
    commit = error.source.hex()
    if "json" in options:
        document = {
            "error": str(error),
            "commit": commit,
            "conflicts": conflicts_document(error.conflicts),
            "ways": ways,
        }
        return Conflicted(json.dumps(document))
    lines = [
        f"{commit[:12]}: {error}",
        conflict_lines(error.conflicts) + "ways to continue:",
        f"  helios {ways[0]}   write both versions into the files; edit them, then",
        f"         {verb} --continue, or {verb} --abort for the state before",
        f"  helios {ways[1]}      decide every conflict for HEAD",
        f"  helios {ways[2]}    decide every conflict for the change",
    ]
    return Conflicted("\n".join(lines))


def _uncommitted(options: Options, conflicts: Sequence[Conflict]) -> str:
    if "json" in options:
        document: dict[str, object] = {"made": [], "dropped": [], "open": None}
        return json_reply(document | {"conflicts": conflicts_document(list(conflicts))})
    if "quiet" in options:
        return ""
    return conflict_lines(list(conflicts)) + (
        "The changes are here, uncommitted, and HEAD is where it was.\n"
    )
