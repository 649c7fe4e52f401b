"""`merge`: bring in what another branch did, or tell beforehand where it would collide."""

from __future__ import annotations

import json
from itertools import combinations

from heliosfs.commands.commit import conclude
from heliosfs.commands.diff.changes import compare
from heliosfs.commands.diff.patch import Patch
from heliosfs.commands.diff.stat import diffstat
from heliosfs.commands.message import checked_message, merge_message
from heliosfs.commands.options import Options
from heliosfs.commands.render import commit_line, head_line, json_reply, short
from heliosfs.commands.revision_words import named
from heliosfs.commands.status.conflicts import conflict_lines, conflicts_document
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, Conflicted, PromisedObject
from heliosfs.objects.ids import CommitId
from heliosfs.repo import view_merge
from heliosfs.repo.ancestry import find_merge_bases
from heliosfs.repo.merge import Favor, Labels
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import resolve
from heliosfs.repo.view import View
from heliosfs.repo.view_merge import Done, MergeConflict, MergeOptions
from heliosfs.steps import ALONE, TURN, Steps, run_to_end
from heliosfs.trees.attributes import Attributes

_COMPARED_MAX = 50


def merge(request: Request, options: Options) -> Steps[str]:
    """Merge a branch or commit into the view, abort a merge, or only look for conflicts.

    The walk through history goes beside all other requests.
    """
    check_strategy(options)
    options.only_one("ours", "theirs", "markers", "abort", "continue", "dry-run")
    options.only_one("ff-only", "no-ff", "squash")
    for key in ("markers", "abort", "continue", "dry-run", "no-ff"):
        options.only_one("squash", key)
    if "base" in options and "squash" not in options:
        raise options.misuse("--base needs --squash")
    if "abort" in options or "continue" in options:
        yield ALONE
        with request.repository.transaction:
            return _end(request, options)
    if not options.words:
        raise options.misuse("give a branch or a commit")
    if "dry-run" in options:
        return (yield from _dry_run(request, options))
    options.at_most(1)
    name = named(request, options.words[0])
    repository, view = request.repository, request.view
    theirs, before = resolve(repository, name, view.head, view), view.head
    bases = None
    if before is not None and "base" not in options:
        bases = yield from find_merge_bases(repository.history, before, theirs)
    yield ALONE
    check_shown(request)
    if (theirs, before) != (resolve(repository, name, view.head, view), view.head):
        theirs, before, bases = resolve(repository, name, view.head, view), view.head, None
    with repository.transaction:
        try:
            wish = _merge_options(request, options, name, theirs)
            if wish.base is not None:
                done = view_merge.merge_files(view, wish.base, theirs, wish)
            else:
                done = view_merge.merge_into(view, theirs, wish, bases)
        except MergeConflict as error:
            raise _refusal(error, options, name) from error
        # A reply that cannot be made must not follow a merge that was.
        return _reply_text(request, options, before, done)


def _reply_text(request: Request, options: Options, before: CommitId | None, done: Done) -> str:
    if "json" in options:
        document = _document(request.view, done)
        return json_reply(document | {"merged": False} if "squash" in options else document)
    if "quiet" in options:
        return ""
    if "squash" in options and done.is_news:
        return "Squashed: the changes are here, uncommitted, and HEAD is where it was.\n"
    return _reply(request.repository, before, done)


def check_shown(request: Request) -> None:
    """Check that the view of a request is still what is shown where it came from.  Raise Busy."""
    if request.view not in request.repository.views():
        raise Busy("another branch was checked out meanwhile: try again")


def _end(request: Request, options: Options) -> str:
    if "abort" in options:
        return abort(request, options, "merge")
    return conclude(request, options, "merge")


def check_strategy(options: Options) -> None:
    """Take -X ours and -X theirs for the options of that name.  UsageError for other strategies."""
    for word in options.values("strategy-option"):
        if word not in ("ours", "theirs"):
            raise options.misuse(f"-X is ours or theirs, not {word[:40]!r}")
        options.add(word)
    strategy = options.value("strategy")
    if strategy not in (None, "ort", "recursive", "resolve"):
        what = "-X ours decides conflicts for HEAD; " if strategy == "ours" else ""
        raise options.misuse(f"{what}-s takes only ort, not {strategy[:40]!r}")


def _merge_options(request: Request, options: Options, name: str, theirs: CommitId) -> MergeOptions:
    said = options.values("message")
    message = checked_message(said) if said else merge_message(*request[:2], theirs, name)
    favor = Favor.OURS if "ours" in options else Favor.NONE
    since = options.value("base")
    return MergeOptions(
        message,
        Labels("HEAD", since or "merged common ancestors", name),
        Favor.THEIRS if "theirs" in options else favor,
        markers="markers" in options,
        fast_forward="no-ff" not in options,
        only_fast_forward="ff-only" in options,
        commits="no-commit" not in options,
        unrelated="allow-unrelated-histories" in options,
        squash="squash" in options,
        base=resolve(request.repository, since, request.view.head) if since else None,
    )


def _refusal(error: MergeConflict, options: Options, name: str) -> Conflicted:
    """Return the error in the form asked for: one line of JSON, or a line for each path."""
    ways = [f"merge {way} {name}" for way in ("--markers", "--ours", "--theirs")]
    since = options.value("base")
    if since is not None:
        ways = [f"merge --squash --base {since} {way} {name}" for way in ("--ours", "--theirs")]
    if "json" in options:
        document = {
            "error": str(error),
            "conflicts": conflicts_document(error.conflicts),
            "ways": ways,
        }
        return Conflicted(json.dumps(document))
    told = "\n  ".join(["ways to continue:", *(f"helios {way}" for way in ways)])
    if since is None:
        told = _ways_to_resolve(name)
    return Conflicted(f"{error}\n{conflict_lines(error.conflicts)}{told}")


def _ways_to_resolve(name: str) -> str:
    """Return the lines about the ways to continue after a merge that was refused."""
    return (
        "ways to continue:\n"
        f"  helios merge --markers {name}   write both versions into the files; edit them, then\n"
        "                 merge --continue, or merge --abort for the state before\n"
        f"  helios merge --ours {name}      decide every conflict for HEAD\n"
        f"  helios merge --theirs {name}    decide every conflict for {name}"
    )


_OPEN = (
    "The merge is open. Edit these files and 'merge --continue'; 'checkout --ours PATH' or\n"
    "'checkout --theirs PATH' takes a whole side; 'merge --abort' goes back to the state before.\n"
)


def _reply(repository: Repository, before: CommitId | None, done: Done) -> str:
    if not done.is_news:
        return "Already up to date.\n"
    if done.conflicts:
        return conflict_lines(done.conflicts) + _OPEN
    if done.is_open:
        return "The merge went well and is open: 'merge --continue' commits it.\n"
    history = repository.history
    old = history.read(before).root if before is not None else None
    store = repository.store
    new = history.read(done.head).root
    try:
        maker = Patch(store, attributes=Attributes(store, new, (b"diff",)))
        stat = run_to_end(diffstat(maker, compare(store, old, new)), store)
    except PromisedObject:
        # Nobody has asked for the contents yet, and they are not fetched to count their lines.
        count = len(compare(store, old, new, with_renames=False))
        stat = f" {count} file{'s' * (count != 1)} changed\n"
    if done.is_fast_forward:
        start = short(before) if before is not None else "nothing"
        return f"Updating {start}..{short(done.head)}\nFast-forward\n{stat}"
    return f"Merge made: {commit_line(repository, done.head)}\n{stat}"


def _document(view: View, done: Done) -> dict[str, object]:
    return {
        "branch": view.branch,
        "head": done.head.hex(),
        "merged": done.is_news and not done.is_open,
        "fast_forward": done.is_fast_forward,
        "open": done.is_open,
        "conflicts": conflicts_document(done.conflicts),
    }


def abort(request: Request, options: Options, verb: str) -> str:
    """Go back to the state before an interrupted verb."""
    options.at_most(0)
    view_merge.abort(request.view, verb)
    if "json" in options:
        head = request.view.head
        return json_reply({"branch": request.view.branch, "head": head.hex() if head else None})
    return "" if "quiet" in options else head_line(request.repository, request.view)


def _dry_run(request: Request, options: Options) -> Steps[str]:
    """Check every pair of HEAD and the named ones for conflicts that a merge would have."""
    if len(options.words) > _COMPARED_MAX:
        raise options.misuse(f"at most {_COMPARED_MAX} branches at a time")
    repository, head = request.repository, request.view.head
    names = list(dict.fromkeys(["HEAD", *options.words]))
    ids = {name: resolve(repository, name, head) for name in names}
    found = []
    for one, other in combinations(names, 2):
        bases = yield from find_merge_bases(repository.history, ids[one], ids[other])
        conflicts = view_merge.conflicts_between(repository, ids[one], ids[other], bases)
        found.append((one, other, conflicts))
        yield TURN
    if "json" in options:
        return json_reply(
            {
                "clean": not any(conflicts for _, _, conflicts in found),
                "pairs": [
                    {"between": [one, other], "conflicts": conflicts_document(conflicts)}
                    for one, other, conflicts in found
                ],
            }
        )
    lines = []
    for one, other, conflicts in found:
        lines.append(f"{one} {other}: {'conflict' if conflicts else 'clean'}\n")
        lines += [f"  {line}\n" for line in conflict_lines(conflicts).splitlines()]
    return "".join(lines)
