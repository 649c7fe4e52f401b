"""`experiment`: start, record, list, show, best, resume, finish, abandon."""

from __future__ import annotations

from collections.abc import Callable
from shlex import quote

from heliosfs.clock import SECOND_NS
from heliosfs.commands.experiments.table import (
    Summary,
    list_document,
    list_text,
    show_document,
    show_text,
    sorted_summaries,
    summarize,
    summarize_far,
)
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, short
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, NotFound
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo import experimenting
from heliosfs.repo.branching import delete_branch
from heliosfs.repo.experiments import ABANDONED, FINISHED, METADATA_KEY, Experiment
from heliosfs.repo.revisions import resolve
from heliosfs.repo.scores import best_of, check_score
from heliosfs.repo.shared_experiments import far_experiments, find_far
from heliosfs.steps import TURN, Steps

_ALLOWED = {
    "start": {"from", "param", "minimize", "checkout", "quiet", "json"},
    "record": {"experiment", "commit", "add", "quiet", "json"},
    "list": {"sort", "reverse", "by", "json"},
    "show": {"sort", "reverse", "by", "json"},
    "best": {"by", "min", "max", "json"},
    "resume": {"quiet", "json"},
    "finish": {"quiet", "json"},
    "abandon": {"quiet", "json"},
}
_OPTIONS = sorted(set[str]().union(*_ALLOWED.values()))


def experiment(request: Request, options: Options) -> str | Steps[str]:
    """Carry out the subcommand that the first word names; without words, list in steps."""
    action, *words = options.words or ["list"]
    carry_out = _ACTIONS.get(action)
    if carry_out is None:
        raise options.misuse(f"the first word is {', '.join(_ACTIONS)}, not {action[:80]!r}")
    for key in _OPTIONS:
        if key in options and key not in _ALLOWED[action]:
            raise options.misuse(f"'experiment {action}' has no option --{key}")
    return carry_out(request, options, words)


def _start(request: Request, options: Options, words: list[str]) -> str:
    if len(words) != 1:
        raise options.misuse("give one name, as in 'experiment start NAME'")
    name, repository, view = words[0], request.repository, request.view
    wants_checkout = "checkout" in options
    if wants_checkout and view is not repository.root:
        raise options.misuse("--checkout works at the mount point, not in a live view")
    start = options.value("from")
    if start is None and view.head is None:
        raise NotFound("nothing was committed yet: commit first")
    base = resolve(repository, start or "HEAD", view.head)
    minimize = tuple(dict.fromkeys(options.values("minimize")))
    for metric in minimize:
        check_score(metric, "0")
    made = experimenting.start(repository, name, base, _parameters(options), minimize)
    if wants_checkout:
        repository.checkout_branch(name)
    if "json" in options:
        return json_reply(show_document(repository, summarize(repository, made)))
    if "quiet" in options:
        return ""
    lines = [f"Started experiment {name!r} at {short(base)}, on a branch of that name."]
    if wants_checkout:
        lines.append(f"Switched to branch '{name}'")
    else:
        lines.append(f"  cd {quote(f'.helios/branches/{name}')}   to work in it, beside this")
        lines.append(f"  helios checkout {quote(name)}   to have it at the mount point")
    return "".join(f"{line}\n" for line in lines)


def _parameters(options: Options) -> dict[str, str]:
    parameters = {}
    for pair in options.values("param"):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip() or not key.isprintable():
            raise options.misuse(f"a parameter is KEY=VALUE, not {pair[:80]!r}")
        parameters[key] = value
    return parameters


def _record(request: Request, options: Options, words: list[str]) -> str:
    repository = request.repository
    if not words:
        raise options.misuse("give a score, as in 'experiment record score=0.93 tests=41/42'")
    scores = {}
    for word in words:
        metric, _, text = word.partition("=")
        check_score(metric, text)
        scores[metric] = text
    if "add" in options and not ("experiment" in options and "commit" in options):
        raise options.misuse("--add needs -e NAME and --commit REV")
    oid, found = _recorded_commit(request, options)
    seconds = repository.clock.now_ns() // SECOND_NS
    with repository.transaction:
        if "add" in options and found is not None:
            repository.experiments.add_commit(found, oid)
        repository.experiments.record(oid, scores, dict.fromkeys(scores, seconds))
    if "json" in options:
        name = found.name if found else None
        held = dict(repository.experiments.scores(oid))
        return json_reply({"id": oid.hex(), "experiment": name, "scores": held})
    if "quiet" in options:
        return ""
    numbers = " ".join(f"{metric}={text}" for metric, text in scores.items())
    of = f" of experiment {found.name!r}" if found else ""
    return f"Recorded {numbers} for {short(oid)}{of}\n"


def _recorded_commit(request: Request, options: Options) -> tuple[CommitId, Experiment | None]:
    """Return the commit that gets the scores: a named one, or HEAD if the experiment made it.

    A branch that is no experiment, or a HEAD that came from elsewhere, is rather a mistake.
    """
    repository, view = request.repository, request.view
    name, revision = options.value("experiment"), options.value("commit")
    found = _local(request, name) if name else None
    if found is None:
        found = repository.experiments.of_slot(view.slot)
    if revision is not None:
        return resolve(repository, revision, view.head), found
    if found is None:
        place = f"branch {view.branch!r}" if view.branch else "a detached HEAD"
        raise NotFound(f"{place} is not an experiment: name one with -e, or a commit with --commit")
    branch = repository.refs.of_slot(found.slot)
    head = branch.head if branch else found.tip
    if head is not None and _name_in(repository.history.read(head)) == found.name:
        return head, found
    raise NotFound(
        f"experiment {found.name!r} has made no commit at its HEAD yet: "
        "commit first, or name a commit with --commit"
    )


def _name_in(commit: Commit) -> str | None:
    return commit.metadata.get(METADATA_KEY)


def _list(request: Request, options: Options, words: list[str]) -> Steps[str]:
    if words:
        raise options.misuse("'experiment list' takes no name: 'experiment show NAME'")
    repository = request.repository
    by = options.value("by")
    summaries = []
    for each in list(repository.experiments):
        summaries.append(summarize(repository, each, by))
        yield TURN
    for far in list(far_experiments(repository)):
        summaries.append(summarize_far(repository, far, by))
        yield TURN
    rows = sorted_summaries(summaries, options)
    if "json" in options:
        return json_reply([list_document(each) for each in rows])
    return list_text(repository, rows)


def _show(request: Request, options: Options, words: list[str]) -> str:
    summary = _summary(request, options, words)
    if "json" in options:
        return json_reply(show_document(request.repository, summary, options))
    return show_text(request.repository, summary, options)


def _best(request: Request, options: Options, words: list[str]) -> str:
    options.only_one("min", "max")
    summary = _summary(request, options, words)
    name = summary.experiment.name
    if not summary.commits:
        raise NotFound(f"experiment {name!r} has no commits yet")
    minimize = "min" in options or (summary.minimize and "max" not in options)
    best = best_of(summary.scored, minimize=minimize)
    if best is None:
        what = options.value("by") or "number"
        known = ", ".join(sorted(summary.metrics))
        rest = f": there are {known}" if known else ": experiment record score=0.93"
        raise NotFound(f"no {what[:80]} was recorded in experiment {name!r}{rest}")
    if "json" in options:
        document = {"id": best.oid.hex(), "metric": summary.metric, "text": best.text}
        return json_reply(document | {"value": best.value})
    return f"{best.oid.hex()}\n"


def _resume(request: Request, options: Options, words: list[str]) -> str:
    """Go on here with what another machine began."""
    if len(words) not in (1, 2):
        raise options.misuse("name one of a remote, as in 'experiment resume origin/NAME'")
    repository = request.repository
    far = find_far(repository, words[0])
    if far is None:
        raise NotFound(f"no experiment {words[0][:80]!r} was seen: 'helios fetch' looks")
    made = experimenting.resume(repository, far, words[1] if len(words) == 2 else far.there)
    summary = summarize(repository, made)
    if "json" in options:
        return json_reply(show_document(repository, summary))
    if "quiet" in options:
        return ""
    assert summary.branch is not None
    return (
        f"Resumed experiment {made.name!r} with {len(summary.commits)} commits of {far.name}, "
        f"on branch {summary.branch!r}.\n"
    )


def _finish(request: Request, options: Options, words: list[str]) -> str:
    found = _named(request, options, words)
    ended = experimenting.end(request.repository, found, FINISHED)
    return _ended(request, options, ended, "")


def _abandon(request: Request, options: Options, words: list[str]) -> str:
    """End an experiment without success; its branch is deleted unless it is in use."""
    repository = request.repository
    found = _named(request, options, words)
    ended = experimenting.end(repository, found, ABANDONED)
    branch = repository.refs.of_slot(found.slot)
    if branch is None:
        return _ended(request, options, ended, "")
    try:
        if request.view.slot == branch.slot:
            raise Busy("you are on it")
        head, rest, ignored = delete_branch(repository, branch.name, force=True)
    except Busy as error:
        remark = f" Its branch stays ({error}): 'helios branch -D {branch.name}' drops it."
        return _ended(request, options, ended, remark)
    remark = f" Deleted branch {branch.name} (was {short(head) if head else 'without a commit'})."
    if rest is not None:
        remark += f" Its uncommitted changes are in commit {short(rest)}."
    if ignored is not None:
        remark += f" Its ignored files are in commit {short(ignored)}."
    return _ended(request, options, ended, remark)


def _ended(request: Request, options: Options, ended: Experiment, remark: str) -> str:
    if "json" in options:
        repository = request.repository
        now = repository.experiments.get(ended.name)
        return json_reply(list_document(summarize(repository, now)))
    if "quiet" in options:
        return ""
    word = "Finished" if ended.state == FINISHED else "Abandoned"
    return f"{word} experiment {ended.name!r}.{remark}\n"


def _summary(request: Request, options: Options, words: list[str]) -> Summary:
    """Gather the experiment that the words name; one of a remote is `origin/NAME`."""
    repository, by = request.repository, options.value("by")
    if len(words) == 1 and words[0] not in repository.experiments:
        far = find_far(repository, words[0])
        if far is not None:
            return summarize_far(repository, far, by)
    return summarize(repository, _named(request, options, words), by)


def _named(request: Request, options: Options, words: list[str]) -> Experiment:
    """Return the experiment that the words name; without words, that of the view's branch."""
    if len(words) > 1:
        raise options.misuse(f"one argument too many: {words[1][:80]!r}")
    if words:
        return _local(request, words[0])
    found = request.repository.experiments.of_slot(request.view.slot)
    if found is None:
        raise options.misuse("the current branch is not an experiment: name one with -e")
    return found


def _local(request: Request, name: str) -> Experiment:
    """Return the experiment of that name here.  NotFound."""
    known = request.repository.experiments
    if name not in known and find_far(request.repository, name) is not None:
        raise NotFound(f"{name!r} is at a remote: 'experiment resume {name}' goes on with it here")
    return known.get(name)


_ACTIONS: dict[str, Callable[[Request, Options, list[str]], str | Steps[str]]] = {
    "start": _start,
    "record": _record,
    "list": _list,
    "show": _show,
    "best": _best,
    "resume": _resume,
    "finish": _finish,
    "abandon": _abandon,
}
