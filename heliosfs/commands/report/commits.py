"""Commits in the report: those of experiments, and the newest of what refs reach."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from heliosfs.commands.render import short, text_of
from heliosfs.errors import MissingObject
from heliosfs.objects.ids import CommitId
from heliosfs.repo.experiments import Experiment
from heliosfs.repo.repository import Repository
from heliosfs.repo.scores import ScoredCommit, Scores, best_of, main_metric, value_of
from heliosfs.repo.shared_experiments import FarExperiment, as_experiment, far_experiments
from heliosfs.steps import TURN, Steps

COMMITS_MAX = 20_000
OTHERS_MAX = 500
"""Number of commits without scores that are of interest: a diff of real history takes 1 ms."""
_SUBJECT_MAX_CHARACTERS = 200


class Row(NamedTuple):
    """A commit as far as the page lists it."""

    oid: CommitId
    seconds: int
    parents: tuple[CommitId, ...]
    subject: str
    author: str
    scores: Scores

    @property
    def shown_id(self) -> str:
        """Digits of the id that the page uses."""
        return short(self.oid)


@dataclass(slots=True)
class ListedExperiment:
    """Experiment of this repository or of a remote, and those of its commits that still exist."""

    experiment: Experiment
    far: FarExperiment | None = None
    """Record at the remote, if it is one of a remote."""
    commits: list[CommitId] = field(default_factory=list)


class ReportData:
    """The commits, experiments and refs of a repository at one time, more or less.

    Commits may come while this is gathered: some of them are in it then.  None of it is wrong.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.experiments = [ListedExperiment(each) for each in repository.experiments]
        for far in far_experiments(repository):
            self.experiments.append(ListedExperiment(as_experiment(far), far))
        self.experiments.sort(key=lambda own: own.experiment.started_ns)
        self.refs: list[tuple[str, str, CommitId | None]] = [
            *(("branch", each.name, each.head) for each in repository.refs),
            *(("tag", name, oid) for name, oid in sorted(repository.refs.tags.items())),
        ]
        self._scored = repository.experiments.scored()
        self._far_scores: dict[CommitId, dict[str, str]] = {}
        """Scores that remotes have of commits, beside those from here."""
        self._heads = [oid for _, _, oid in self.refs if oid is not None]
        self._heads += [own.experiment.base for own in self.experiments]
        if repository.root.head is not None:
            self._heads.append(repository.root.head)
        self.rows: dict[CommitId, Row] = {}
        self.left_out = False
        """True if there are more commits than the page has."""

    def gather(self) -> Steps[None]:
        """Read the commits."""
        known = self._repository.experiments
        for own in self.experiments:
            for oid in own.far.record.commits if own.far else known.commits(own.experiment):
                if own.far is not None:
                    self._far_scores.setdefault(oid, {}).update(own.far.texts_of(oid))
                if self._read(oid) is not None:
                    own.commits.append(oid)
                yield TURN
        yield from self._walk()
        if len(self.rows) > COMMITS_MAX:
            self.left_out = True
            newest = heapq.nlargest(COMMITS_MAX, self.rows.values(), key=lambda row: row.seconds)
            self.rows = {row.oid: row for row in newest}
            yield TURN

    def by_interest(self) -> Iterator[Row]:
        """Yield best and last of each experiment, then other scored commits, then the newest."""
        first: dict[CommitId, None] = {}
        for own in self.experiments:
            first |= dict.fromkeys(self._outstanding(own))
        newest = list(reversed(self.rows.values()))
        newest.sort(key=lambda row: -row.seconds)
        first |= {row.oid: None for row in newest if row.scores}
        others = (row for row in newest if row.oid not in first)
        first |= {row.oid: None for row in islice(others, OTHERS_MAX)}
        return (self.rows[oid] for oid in first)

    def _outstanding(self, own: ListedExperiment) -> list[CommitId]:
        rows = [self.rows[oid] for oid in own.commits if oid in self.rows]
        minimized = own.experiment.minimize
        metric = main_metric({name: 0 for row in rows for name in row.scores}, minimized)
        scored = [
            ScoredCommit(row.oid, row.scores[metric], value_of(row.scores[metric]))
            for row in rows
            if metric in row.scores
        ]
        best = best_of(scored, minimize=metric in minimized)
        return ([best.oid] if best else []) + [row.oid for row in rows[-1:]]

    def _walk(self) -> Steps[None]:
        """Follow the refs and the bases of experiments, the newest commits first."""
        seen: set[CommitId] = set()
        ready: list[tuple[int, CommitId]] = []
        pending = self._heads
        # Parents of a commit that is there are there, too; what refs named may be gone.
        is_parent = False
        while pending or ready:
            for oid in pending:
                row = None if oid in seen else self._read(oid, is_listed=is_parent)
                seen.add(oid)
                if row is not None:
                    heapq.heappush(ready, (-row.seconds, oid))
                yield TURN
            if not ready:
                return
            if len(self.rows) >= COMMITS_MAX:
                self.left_out = True
                return
            pending = list(self.rows[heapq.heappop(ready)[1]].parents)
            is_parent = True

    def _scores_of(self, oid: CommitId) -> Scores:
        own = self._repository.experiments.scores(oid) if oid in self._scored else {}
        far = self._far_scores.get(oid)
        return {**far, **own} if far else own

    def _read(self, oid: CommitId, *, is_listed: bool = False) -> Row | None:
        """Read a commit; None if it was removed.  30 us if it is known to be listed."""
        if oid in self.rows:
            return self.rows[oid]
        history = self._repository.history
        try:
            if not is_listed and oid not in history:
                return None
            heading = history.heading(oid)
        except MissingObject:
            return None
        row = self.rows[oid] = Row(
            oid,
            heading.seconds,
            heading.parents,
            heading.subject[:_SUBJECT_MAX_CHARACTERS],
            text_of(heading.author),
            self._scores_of(oid),
        )
        return row
