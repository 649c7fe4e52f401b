"""`push`: send commits to a remote, and let its branches name them."""

from __future__ import annotations

from functools import partial

from heliosfs.commands.instead import FORCE
from heliosfs.commands.options import Options
from heliosfs.commands.remotes.git_push import push_refs
from heliosfs.commands.remotes.outcomes import (
    PushedRef,
    RefOutcome,
    document_of,
    exit_code,
    text_of,
)
from heliosfs.commands.remotes.place import BranchPlace, BucketBranches, GitBranches
from heliosfs.commands.remotes.remote import named_remote
from heliosfs.commands.remotes.work import clear_work, push_work
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request, answer
from heliosfs.errors import AlreadyExists, CorruptObject, NotFound, UsageError
from heliosfs.objects.ids import Kind
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.buckets.opening import open_bucket
from heliosfs.remote.contents import bring_all_of
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.experiments import push_experiment
from heliosfs.remote.layout import check_written_format
from heliosfs.remote.push import BesideRef, PushResult, delete
from heliosfs.remote.push import push as push_ref
from heliosfs.remote.refplace import NotFastForward
from heliosfs.remote.scores import delete_scores, push_scores
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.experiments import Experiment
from heliosfs.repo.ref_names import check_name
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, TAGS, check_same
from heliosfs.repo.revisions import resolve
from heliosfs.steps import TURN, Steps, read_far

_EXPERIMENTS = f"refs/{EXPERIMENTS}/"
_HEAD = ("HEAD", "@")
"""Words for the current branch."""


def push(request: Request, options: Options) -> Steps[str]:
    """Push branches, one after another; a refused one does not keep the others."""
    if "work" in options:
        return (yield from push_work(request, options))
    remote, chosen = _chosen(request, options)
    url = request.repository.remotes.url(remote)
    if request.repository.remotes.notes.is_git(remote):
        outcomes, lost = yield from push_refs(request, options, remote, chosen)
        place: BranchPlace = GitBranches(request.repository, remote)
    else:
        bucket = yield from read_far(partial(open_bucket, url))
        outcomes = yield from _push_to_bucket(request, options, remote, bucket, chosen)
        lost = ""
        place = BucketBranches(request.repository, remote, bucket)
    pushed = [ref.name for ref, result, *_ in outcomes if result and ref.commit]
    outcomes += yield from clear_work(request.repository, place, remote, pushed)
    code = exit_code(outcomes)
    if "json" in options:
        return answer(json_reply(document_of(remote, url, outcomes)), code)
    return answer("" if "quiet" in options else text_of(url, outcomes) + lost, code)


def _push_to_bucket(
    request: Request, options: Options, remote: str, bucket: Bucket, chosen: list[PushedRef]
) -> Steps[list[RefOutcome]]:
    url, refs = request.repository.remotes.url(remote), _with_experiments(request, chosen)
    outcomes: list[RefOutcome] = []
    for ref in refs:
        if any(each.ref is ref for each in outcomes):
            continue
        # It may have got another while we waited, of which the bucket knows nothing.
        check_same(request.repository.remotes, remote, url)
        try:
            if ref.experiment is not None:
                beside = _branch_of(request, refs, ref.experiment)
                outcomes += yield from _push_both(request, bucket, remote, ref, beside, options)
            else:
                outcomes.append((yield from _push_one(request, bucket, remote, ref, options)))
        except (NotFastForward, AlreadyExists) as error:
            if chosen == [ref]:
                raise
            outcomes.append(RefOutcome(ref, None, str(error)))
        except (DamagedRemote, CorruptObject):
            # It may be none that this version knows.
            yield from read_far(partial(check_written_format, bucket))
            raise
    for at, (ref, result, *_) in enumerate(outcomes):
        if ref.kind == HEADS and ref.commit is not None and result is not None:
            count = yield from push_scores(
                request.repository, bucket, remote, ref.there, ref.commit
            )
            outcomes[at] = outcomes[at]._replace(score_count=count)
    return outcomes


def _push_one(
    request: Request, bucket: Bucket, remote: str, ref: PushedRef, options: Options
) -> Steps[RefOutcome]:
    if ref.commit is None:
        kind = EXPERIMENTS if ref.kind == EXPERIMENTS else ""
        result = yield from delete(request.repository, bucket, remote, ref.there, kind)
        if not kind:
            yield from delete_scores(request.repository, bucket, remote, ref.there)
        return RefOutcome(ref, result, "")
    if not request.repository.remotes.refs(remote):
        history = request.repository.history
        for oid, _ in history.walk(ref.commit) if history.edge else ():
            history.edge.check_whole(oid, f"a push to {remote}, which has nothing yet,")
            yield TURN
        # Nothing is there, so that all of it will be read.
        yield from bring_all_of(request.repository, [(Kind.COMMIT, ref.commit)])
    steps = push_ref(
        request.repository,
        bucket,
        remote,
        ref.kind,
        ref.there,
        ref.commit,
        with_lease="force-with-lease" in options,
        note_of=ref.name,
    )
    return RefOutcome(ref, (yield from steps), "")


def _push_both(
    request: Request,
    bucket: Bucket,
    remote: str,
    ref: PushedRef,
    branch: PushedRef | None,
    options: Options,
) -> Steps[list[RefOutcome]]:
    """Push an experiment, and its branch with it if that is possible at once."""
    repository, with_lease = request.repository, "force-with-lease" in options
    assert ref.experiment is not None
    beside = seen = None
    if branch is not None and branch.commit is not None:
        beside = BesideRef(branch.there, branch.commit)
        seen = repository.remotes.tracked(remote, HEADS, branch.there)
    made = push_experiment(
        *(repository, bucket, remote, ref.experiment, ref.there, beside), with_lease=with_lease
    )
    head, result = yield from made
    outcomes = [RefOutcome(ref._replace(commit=head), result, "")]
    if result.has_moved_beside and branch is not None and branch.commit is not None:
        before = seen.commit if seen is not None else None
        is_forced = with_lease and before is not None
        if is_forced and before is not None:
            is_forced = not (yield from reaches(repository.history, [branch.commit], before))
        outcomes.append(RefOutcome(branch, PushResult(before, is_forced), ""))
    return outcomes


def _branch_of(request: Request, refs: list[PushedRef], experiment: Experiment) -> PushedRef | None:
    """Return the branch of an experiment among those that are pushed."""
    branch = request.repository.refs.of_slot(experiment.slot)
    found = (ref for ref in refs if ref.kind == HEADS and ref.commit is not None)
    return next((ref for ref in found if branch is not None and ref.name == branch.name), None)


def _with_experiments(request: Request, chosen: list[PushedRef]) -> list[PushedRef]:
    """Put the experiment of each branch before it: of what both need, the branch sends nothing."""
    repository = request.repository
    refs: list[PushedRef] = []
    for ref in chosen:
        branch = repository.refs.find(ref.name) if ref.kind == HEADS and ref.commit else None
        found = repository.experiments.of_slot(branch.slot) if branch is not None else None
        if found is not None:
            refs.append(PushedRef(EXPERIMENTS, found.name, found.name, None, found))
        refs.append(ref)
    return _once(refs)


def _once(refs: list[PushedRef]) -> list[PushedRef]:
    return list({(each.kind, each.there, each.commit): each for each in refs}.values())


def _chosen(request: Request, options: Options) -> tuple[str, list[PushedRef]]:
    """Return the remote and the refs that the words mean."""
    repository, words = request.repository, list(options.words)
    if "all" in options and len(words) > 1:
        raise options.misuse("--all pushes every branch: name none")
    if "delete" in options:
        return _chosen_to_delete(request, options)
    branch = request.view.branch
    word = None
    if words and (words[0] in repository.remotes.names or not _is_ref(request, words[0])):
        word = words.pop(0)
    remote = named_remote(request, word, branch)
    refs = [_ref(request, each) for each in words]
    if "all" in options:
        heads = sorted((each.name, each.head) for each in repository.refs if each.head is not None)
        refs = [
            PushedRef(EXPERIMENTS, each.name, each.name, None, each)
            for each in repository.experiments
        ]
        refs += [PushedRef(HEADS, name, name, oid) for name, oid in heads]
    elif not words and "tags" not in options:
        refs.append(_ref(request, request.view.require_branch()))
    if "tags" in options:
        tags = sorted(repository.refs.tags.items())
        refs += [PushedRef(TAGS, name, name, oid) for name, oid in tags]
    if not refs:
        raise NotFound("nothing to push: there is no commit yet, or no tag")
    return remote, _once(refs)


def _chosen_to_delete(request: Request, options: Options) -> tuple[str, list[PushedRef]]:
    words, remotes = list(options.words), request.repository.remotes
    if "all" in options or "tags" in options:
        raise options.misuse("--delete goes without --all and --tags: name each branch")
    word = words.pop(0) if words and (words[0] in remotes.names or len(words) > 1) else None
    if not words:
        raise options.misuse("name the branch to delete, as in 'push --delete origin idea'")
    remote = named_remote(request, word, words[0])
    return remote, [_deletion(each) for each in dict.fromkeys(words)]


def _deletion(word: str) -> PushedRef:
    if word.startswith(_EXPERIMENTS):
        name = check_name(word.removeprefix(_EXPERIMENTS))
        return PushedRef(EXPERIMENTS, name, name, None)
    name = check_name(word.removeprefix("refs/heads/").removeprefix("refs/tags/"))
    return PushedRef(HEADS, name, name, None)


def _is_ref(request: Request, word: str) -> bool:
    refs, name = request.repository.refs, word.partition(":")[0]
    is_name = name in _HEAD or name in refs or name in refs.tags or name.startswith(_EXPERIMENTS)
    is_name = is_name or name in request.repository.experiments
    return is_name or word.startswith("+") or (":" in word and "://" not in word)


def _ref(request: Request, word: str) -> PushedRef:
    """Return the ref of a word: `main`, `HEAD`, `main:name-there`, `REV:branch-there`, `:name`.

    `refs/experiments/NAME` is an experiment without its branch, and NAME, if there is no branch.

    NotFound; UsageError.
    """
    if word.startswith("+"):
        raise UsageError(f"usage: {word[:80]!r} forces: {FORCE}")
    refs = request.repository.refs
    name, _, there = word.removeprefix("refs/heads/").partition(":")
    if not name and there:
        return _deletion(there)
    if name in _HEAD:
        name = request.view.require_branch()
    branch, tag = refs.find(name), refs.tags.get(name)
    experiments, own = request.repository.experiments, name.removeprefix(_EXPERIMENTS)
    if own != name or (branch is None and tag is None and own in experiments):
        there = check_name(there.removeprefix(_EXPERIMENTS) or own)
        return PushedRef(EXPERIMENTS, own, there, None, experiments.get(own))
    if there and branch is None and tag is None:
        there = check_name(there.removeprefix("refs/heads/"))
        oid = resolve(request.repository, name, request.view.head, request.view)
        return PushedRef(HEADS, name, there, oid)
    there = check_name(there.removeprefix("refs/heads/") or name)
    if branch is None and tag is not None:
        return PushedRef(TAGS, name, there, tag)
    branch = refs.branch(name)
    if branch.head is None:
        raise NotFound(f"branch {name!r} has no commit yet")
    return PushedRef(HEADS, name, there, branch.head)
