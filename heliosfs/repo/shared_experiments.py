"""Records of experiments as they travel: each is a commit whose parents lead to all that was made.

The message of such a commit is a JSON document with the record and the scores, and its tree is
empty.  So an experiment is sent, checked, kept and collected as any other commit, with variants
that no branch reaches, and a remote needs one ref for it: `refs/experiments/NAME`.

Two machines may have recorded different things of one experiment.  Of each score the later one
stays, of commits all, of the state the later change.  So the order in which machines push is of no
importance, and nothing that was measured is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from heliosfs.errors import CorruptObject, HeliosError, TooLarge
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo.core import Core
from heliosfs.repo.experiments import Experiment
from heliosfs.repo.foreign_fields import LINE_MAX, commit_in, line_in, number_in
from heliosfs.repo.ref_names import check_name
from heliosfs.repo.remotes import EXPERIMENTS
from heliosfs.repo.scores import check_score
from heliosfs.workspace.workspace import empty_root

RECORD_MAX_BYTES = 16 * 1024 * 1024
"""Largest record that is sent or read: some 200,000 commits."""
_SUBJECT = b"The record of an experiment\n\n"
_STATE = ("state", "changed_ns", "ended_ns", "branch", "tip")
_KNOWN = {"base", "started_ns", "parameters", "minimize", *_STATE, "commits", "scores"}
"""Fields that this version reads."""


class Measured(NamedTuple):
    """A score, and when it was recorded."""

    text: str
    at: int
    """Seconds since 1970; 0 if an early version recorded it."""


class SharedExperiment(NamedTuple):
    """An experiment as it is at a remote, or as it would be there."""

    base: CommitId
    started_ns: int
    parameters: Mapping[str, str]
    minimize: tuple[str, ...]
    state: str
    changed_ns: int
    """Time since which it is in this state."""
    ended_ns: int | None
    branch: str | None
    """Name of its branch; None if that was deleted."""
    tip: CommitId | None
    """Last commit of its branch."""
    commits: tuple[CommitId, ...]
    scores: Mapping[CommitId, Mapping[str, Measured]]
    rest: Mapping[str, object]
    """Fields that a later version has written."""

    def is_same(self, other: SharedExperiment) -> bool:
        """Return True if both are records of one experiment."""
        return (self.base, self.started_ns) == (other.base, other.started_ns)


def shared_of(core: Core, experiment: Experiment) -> SharedExperiment:
    """Return an experiment of this repository as a remote is to have it.  CorruptObject."""
    known, history = core.experiments, core.history
    branch = core.refs.of_slot(experiment.slot)
    commits = tuple(oid for oid in known.commits(experiment) if oid in history)
    scores = {}
    for oid in dict.fromkeys((experiment.base, *commits)):
        found = known.scores(oid)
        if found:
            at = known.score_times(oid)
            scores[oid] = {name: Measured(found[name], at.get(name, 0)) for name in sorted(found)}
    tip = branch.head if branch is not None else experiment.tip
    return SharedExperiment(
        experiment.base,
        experiment.started_ns,
        {_line(key): _line(value) for key, value in experiment.parameters.items()},
        experiment.minimize,
        experiment.state,
        experiment.changed_ns,
        experiment.ended_ns,
        branch.name if branch is not None else None,
        tip if tip is not None and tip in history else None,
        commits,
        scores,
        {},
    )


def merged(ours: SharedExperiment, theirs: SharedExperiment) -> SharedExperiment:
    """Return what both records of an experiment say; of what differs, the later."""
    last = ours if ours.changed_ns >= theirs.changed_ns else theirs
    return SharedExperiment(
        theirs.base,
        theirs.started_ns,
        {**ours.parameters, **theirs.parameters},
        tuple(dict.fromkeys((*theirs.minimize, *ours.minimize))),
        last.state,
        last.changed_ns,
        last.ended_ns,
        last.branch,
        last.tip,
        tuple(dict.fromkeys((*theirs.commits, *ours.commits))),
        later_scores(ours.scores, theirs.scores),
        theirs.rest,
    )


def later_scores(
    ours: Mapping[CommitId, Mapping[str, Measured]],
    theirs: Mapping[CommitId, Mapping[str, Measured]],
) -> dict[CommitId, dict[str, Measured]]:
    """Return all scores, and of each the later one; of two at the same time, the greater text."""
    scores = {oid: dict(found) for oid, found in theirs.items()}
    for oid, found in ours.items():
        held = scores.setdefault(oid, {})
        for metric, each in found.items():
            before = held.get(metric)
            if before is None or (before.at, before.text) < (each.at, each.text):
                held[metric] = each
    return scores


def carrier(core: Core, shared: SharedExperiment) -> Commit:
    """Return the commit that carries a record: it reaches all commits of the experiment.  TooLarge.

    Commits of the record that were removed here are left out.
    """
    document = {
        **shared.rest,
        "base": shared.base.hex(),
        "started_ns": shared.started_ns,
        "parameters": dict(shared.parameters),
        "minimize": list(shared.minimize),
        "state": shared.state,
        "changed_ns": shared.changed_ns,
        "ended_ns": shared.ended_ns,
        "branch": shared.branch,
        "tip": shared.tip.hex() if shared.tip is not None else None,
        "commits": [oid.hex() for oid in shared.commits],
        "scores": {oid.hex(): found for oid, found in shared.scores.items()},
    }
    message = _SUBJECT + json.dumps(document, separators=(",", ":")).encode() + b"\n"
    if len(message) > RECORD_MAX_BYTES:
        raise TooLarge(f"the record of an experiment has at most {RECORD_MAX_BYTES} bytes")
    history = core.history
    named = [shared.base, *([shared.tip] if shared.tip is not None else []), *shared.commits]
    there = dict.fromkeys(oid for oid in named if oid in history)
    inner = {parent for oid in there for parent in history.read(oid).parents}
    heads = tuple(oid for oid in there if oid not in inner)
    signature = core.identity.sign(core.clock)
    return Commit(empty_root(0, 0, 0), heads, signature, signature, message)


def decode_shared(name: str, commit: Commit) -> SharedExperiment:
    """Read the record that a commit carries.  CorruptObject."""
    body = commit.body
    try:
        if len(body) > RECORD_MAX_BYTES or not commit.message.startswith(_SUBJECT):
            raise ValueError("its commit carries none")
        document = json.loads(body)
        if not isinstance(document, dict):
            raise TypeError("not a JSON object")
        return SharedExperiment(
            commit_in(document["base"]),
            number_in(document["started_ns"]),
            {line_in(key): line_in(value) for key, value in _pairs(document["parameters"])},
            tuple(_metric(each) for each in _list(document["minimize"])),
            line_in(document["state"]),
            number_in(document["changed_ns"]),
            None if document["ended_ns"] is None else number_in(document["ended_ns"]),
            None if document["branch"] is None else check_name(line_in(document["branch"])),
            None if document["tip"] is None else commit_in(document["tip"]),
            tuple(commit_in(each) for each in _list(document["commits"])),
            scores_in(document["scores"]),
            {key: value for key, value in document.items() if key not in _KNOWN},
        )
    except (ValueError, TypeError, KeyError, RecursionError, HeliosError) as error:
        shown = "".join(each if each.isprintable() else "?" for each in str(error))[:200]
        raise CorruptObject(f"the record of experiment {name!r} cannot be read: {shown}") from error


class FarExperiment(NamedTuple):
    """An experiment of a remote, as it was last seen."""

    remote: str
    there: str
    """Name that it has there."""
    record: SharedExperiment

    @property
    def name(self) -> str:
        """Name that it has here, such as `origin/formula`."""
        return f"{self.remote}/{self.there}"

    @property
    def branch(self) -> str | None:
        """Name of its branch here, such as `origin/formula`; None if that was deleted."""
        return f"{self.remote}/{self.record.branch}" if self.record.branch else None

    def texts_of(self, oid: CommitId) -> dict[str, str]:
        """Return the scores of a commit as they were written, by metric."""
        return {metric: each.text for metric, each in self.record.scores.get(oid, {}).items()}


def far_experiments(core: Core) -> Iterator[FarExperiment]:
    """Yield the experiments of all remotes.  CorruptObject, MissingObject."""
    for remote in core.remotes.names:
        for (kind, name), seen in sorted(core.remotes.refs(remote).items()):
            if kind == EXPERIMENTS:
                yield _far(core, remote, name, seen.commit)


def find_far(core: Core, name: str) -> FarExperiment | None:
    """Return the experiment of a remote of such a name as `origin/formula`; None if there is none.

    CorruptObject, MissingObject.
    """
    remote, _, there = name.partition("/")
    seen = core.remotes.tracked(remote, EXPERIMENTS, there)
    return _far(core, remote, there, seen.commit) if seen is not None else None


def _far(core: Core, remote: str, there: str, oid: CommitId) -> FarExperiment:
    record = decode_shared(f"{remote}/{there}", core.history.read(oid))
    return FarExperiment(remote, there, record)


def as_experiment(far: FarExperiment) -> Experiment:
    """Return the record of a remote's experiment, which has no slot here."""
    record = far.record
    return Experiment(
        far.name,
        _NO_SLOT,
        record.base,
        record.started_ns,
        record.parameters,
        record.minimize,
        record.state,
        record.ended_ns,
        record.tip,
    )


_NO_SLOT = -1
"""Slot of what has no branch here."""


def _line(text: str) -> str:
    """Return a text as one line without control characters, for terminals of others."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)[
        :LINE_MAX
    ]


def _metric(value: object) -> str:
    metric = line_in(value)
    check_score(metric, "0")
    return metric


def _measured(metric: str, value: object) -> Measured:
    number, at = _list(value)
    text = line_in(number)
    check_score(metric, text)
    return Measured(text, number_in(at))


def scores_in(value: object) -> dict[CommitId, dict[str, Measured]]:
    """Return the scores of a document.  ValueError, TypeError, HeliosError."""
    return {
        commit_in(oid): {metric: _measured(metric, each) for metric, each in _pairs(found)}
        for oid, found in _pairs(value)
    }


def _pairs(value: object) -> Iterable[tuple[str, object]]:
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value.items()


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("not a JSON array")
    return value
