"""`push --work`: uncommitted work as a branch of the remote, which another machine can take over.

The branch is `machines/MACHINE/BRANCH`.  It belongs to this machine: each push replaces the one
before, whatever it has, and one that finds nothing uncommitted deletes it.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliosfs.commands.options import Options
from heliosfs.commands.remotes.outcomes import (
    PushedRef,
    RefOutcome,
    document_of,
    exit_code,
    text_of,
)
from heliosfs.commands.remotes.place import BranchPlace, open_place
from heliosfs.commands.remotes.remote import named_remote
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request, answer
from heliosfs.errors import Stale
from heliosfs.objects.commit import Commit
from heliosfs.remote.push import PushResult
from heliosfs.remote.refplace import DeletedThere, NotFastForward
from heliosfs.repo import keys
from heliosfs.repo.machine import machine_name, work_branch
from heliosfs.repo.remotes import HEADS, check_same
from heliosfs.repo.repository import Repository
from heliosfs.repo.work_commit import WORK_KEY, is_same_work, work_of
from heliosfs.steps import TURN, Steps
from heliosfs.workspace.flush import file_slices

_SHOWN = "uncommitted work"
_FLUSHED_BYTES = 4 * 1024 * 1024
_NOT_BESIDE = ("tags", "delete", "force-with-lease")


def push_work(request: Request, options: Options) -> Steps[str]:
    """Push the uncommitted changes of the view's branch, or of all branches, and nothing else."""
    for other in _NOT_BESIDE:
        options.only_one("work", other)
    options.at_most(1)
    repository = request.repository
    names = [request.view.require_branch()] if "all" not in options else _all(repository)
    remote = named_remote(request, options.words[0] if options.words else None, names[0])
    url = repository.remotes.url(remote)
    for _ in file_slices(request.view.workspace, _FLUSHED_BYTES):
        yield TURN
    with repository.transaction:
        machine = machine_name(repository)
    works = []
    for name in names:
        branch = repository.refs.find(name)
        work = work_of(repository, branch, machine) if branch is not None else None
        if work is not None:
            works.append((name, work))
        yield TURN
    place = yield from open_place(repository, remote)
    outcomes = []
    for name, work in works:
        check_same(repository.remotes, remote, url)
        there = work_branch(machine, name)
        try:
            outcomes.append((yield from _push_work(repository, place, remote, there, work)))
        except Stale as error:
            if len(names) == 1:
                raise
            ref = PushedRef(HEADS, _SHOWN, there, None)
            outcomes.append(RefOutcome(ref, None, str(error)))
    if "all" in options:
        names += _gone(repository, remote, machine)
    outcomes += yield from clear_work(repository, place, remote, names)
    code = exit_code(outcomes)
    if "json" in options:
        return answer(json_reply(document_of(remote, url, outcomes)), code)
    return answer("" if "quiet" in options else text_of(url, outcomes), code)


def _all(repository: Repository) -> list[str]:
    return sorted(branch.name for branch in repository.refs)


def _gone(repository: Repository, remote: str, machine: str) -> list[str]:
    """Return the branches that are not here any more, of which this machine has pushed work."""
    prefix = work_branch(machine, "")
    refs = [name for kind, name in repository.remotes.refs(remote) if kind == HEADS]
    pushed = [name.removeprefix(prefix) for name in refs if name.startswith(prefix)]
    return sorted(name for name in pushed if name not in repository.refs)


def _push_work(
    repository: Repository, place: BranchPlace, remote: str, there: str, work: Commit
) -> Steps[RefOutcome]:
    """Let the branch of this machine name a commit, if it has nothing of another one.  Stale."""
    seen = repository.remotes.tracked(remote, HEADS, there)
    if seen is not None:
        before = repository.history.read(seen.commit)
        # The lease is what this machine has pushed, not what it has seen.
        if before.metadata.get(WORK_KEY) != work.metadata[WORK_KEY]:
            raise Stale(
                f"{remote}/{there} has something that this machine has not pushed: "
                f"'helios push --delete {remote} {there}' drops it"
            )
        if is_same_work(work, before):
            ref = PushedRef(HEADS, _SHOWN, there, seen.commit)
            return RefOutcome(ref, PushResult(seen.commit, is_forced=False), "")
    with repository.transaction:
        head = repository.history.write(work)
    try:
        result = yield from place.push(there, head)
    except DeletedThere:
        # Another machine has taken it over, and this one has gone on.
        with repository.transaction:
            repository.remotes.track(remote, HEADS, there, None, repository.clock.now_ns())
        result = yield from place.push(there, head)
    # It replaces what this machine has pushed: nobody loses anything by it.
    result = result._replace(is_forced=False)
    return RefOutcome(PushedRef(HEADS, _SHOWN, there, head), result, "")


def clear_work(
    repository: Repository, place: BranchPlace, remote: str, names: Iterable[str]
) -> Steps[list[RefOutcome]]:
    """Delete what this machine has pushed of branches, where these have no changes any more."""
    outcomes: list[RefOutcome] = []
    if repository.store.get(keys.MACHINE) is None:
        return outcomes
    with repository.transaction:
        machine = machine_name(repository)
    for name in names:
        there, branch = work_branch(machine, name), repository.refs.find(name)
        seen = repository.remotes.tracked(remote, HEADS, there)
        if seen is None:
            continue
        if branch is not None and work_of(repository, branch, machine) is not None:
            continue
        if repository.history.read(seen.commit).metadata.get(WORK_KEY) != machine:
            continue
        ref = PushedRef(HEADS, there, there, None)
        try:
            result = yield from place.delete(there)
            outcomes.append(RefOutcome(ref, result, ""))
        except NotFastForward as error:
            outcomes.append(RefOutcome(ref, None, str(error)))
    return outcomes
