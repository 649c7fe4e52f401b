"""The start and the end of an experiment, each as one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from heliosfs.objects.ids import CommitId
from heliosfs.repo.core import Core
from heliosfs.repo.experiments import Experiment


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
