"""The start, the taking over and the end of an experiment, each as one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from heliosfs.errors import AlreadyExists, NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.repo.core import Core
from heliosfs.repo.experiments import RUNNING, Experiment
from heliosfs.repo.remotes import HEADS
from heliosfs.repo.shared_experiments import FarExperiment, SharedExperiment, merged, shared_of


def start(
    core: Core,
    name: str,
    base: CommitId,
    parameters: Mapping[str, str],
    minimize: tuple[str, ...],
) -> Experiment:
    """Create the branch and the record.  Raise UsageError, AlreadyExists or StoreError."""
    with core.transaction:
        core.experiments.check_free(name)
        slot = core.refs.create(name, base).slot
        now_ns = core.clock.now_ns()
        made = Experiment(name, slot, base, now_ns, parameters, minimize)
        core.experiments.put(made)
        return made


def end(core: Core, experiment: Experiment, state: str) -> Experiment:
    """Finish or abandon an experiment: its branch becomes an ordinary one.  Raise StoreError."""
    ended_ns = core.clock.now_ns()
    ended = replace(experiment, state=state, ended_ns=ended_ns)
    with core.transaction:
        core.experiments.put(ended)
    return ended


def resume(core: Core, far: FarExperiment, name: str) -> Experiment:
    """Go on with an experiment of a remote, on a branch here; take its commits and scores over.

    If it was taken over before, take what has come since.  AlreadyExists if `name` is that of
    another experiment, NotFound if the remote's branch has no commit here.
    """
    record = far.record
    known = core.experiments.get(name) if name in core.experiments else None
    with core.transaction:
        if known is not None:
            ours = shared_of(core, known)
            if not ours.is_same(record):
                raise AlreadyExists(f"the experiment {name!r} here is another one: give a new name")
            record = merged(ours, record)
        slot = known.slot if known is not None else _slot_for(core, far, name)
        made = Experiment(
            name,
            slot,
            record.base,
            record.started_ns,
            record.parameters,
            record.minimize,
            RUNNING,
            resumed_ns=core.clock.now_ns(),
        )
        core.experiments.put(made)
        _take_over(core, made, record)
    return made


def _take_over(core: Core, made: Experiment, whole: SharedExperiment) -> None:
    """Put the commits and scores of a record into the batch."""
    known = set(core.experiments.commits(made))
    for oid in whole.commits:
        if oid not in known and oid in core.history:
            core.experiments.add_commit(made, oid)
    for oid, scores in whole.scores.items():
        if oid in core.history:
            texts = {metric: each.text for metric, each in scores.items()}
            times = {metric: each.at for metric, each in scores.items()}
            core.experiments.record(oid, texts, times)


def _slot_for(core: Core, far: FarExperiment, name: str) -> int:
    """Return the slot of a branch, new or not, that has no experiment yet."""
    branch = core.refs.find(name)
    if branch is None:
        of_branch = core.remotes.tracked(far.remote, HEADS, far.record.branch or "")
        head = of_branch.commit if of_branch is not None else far.record.tip or far.record.base
        if head not in core.history:
            raise NotFound(f"{far.name} has no commit to go on from: 'helios fetch {far.remote}'")
        branch = core.refs.create(name, head)
    elif core.experiments.of_slot(branch.slot) is not None:
        raise AlreadyExists(f"branch {name!r} is that of an experiment: give a new name")
    return branch.slot
