"""Text and JSON of experiments: `list` has a row for each of them, `show` one for each commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from heliosfs.clock import SECOND_NS
from heliosfs.commands.options import Options
from heliosfs.commands.render import iso_time, short
from heliosfs.objects.ids import CommitId
from heliosfs.repo.experiments import Experiment
from heliosfs.repo.remotes import HEADS
from heliosfs.repo.repository import Repository
from heliosfs.repo.scores import (
    DEFAULT_METRIC,
    ScoredCommit,
    Scores,
    best_of,
    main_metric,
    value_of,
)
from heliosfs.repo.shared_experiments import FarExperiment, as_experiment

_LIST_SORTS = ("score", "age", "commits", "name")
_SHOW_SORTS = ("score", "age", "name")
_AGES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Summary:
    """Experiment with the figures of its commits."""

    experiment: Experiment
    commits: list[CommitId]
    """Commits that still exist, the oldest first."""
    scores: dict[CommitId, Scores]
    """Scores of the commits that have any."""
    metrics: dict[str, int]
    """Number of commits that have each metric in use."""
    metric: str
    """Metric that is shown."""
    scored: list[ScoredCommit]
    """Commits that have the metric, the oldest first."""
    branch: str | None
    """Name of its branch; None if that was deleted."""
    head: CommitId | None
    """Last commit of its branch."""

    @property
    def minimize(self) -> bool:
        """True if less is better."""
        return self.metric in self.experiment.minimize

    @property
    def best(self) -> ScoredCommit | None:
        return best_of(self.scored, minimize=self.minimize)

    @property
    def last(self) -> ScoredCommit | None:
        return self.scored[-1] if self.scored else None


def summarize(repository: Repository, experiment: Experiment, by: str | None = None) -> Summary:
    """Gather an experiment: 3 us a commit.  `by` is the metric, if not the main one."""
    history, known = repository.history, repository.experiments
    commits = [oid for oid in known.commits(experiment) if oid in history]
    scores = {oid: found for oid in commits if (found := known.scores(oid))}
    branch = repository.refs.of_slot(experiment.slot)
    place = (branch.name, branch.head) if branch is not None else (None, experiment.tip)
    return _summary(experiment, commits, scores, by, place)


def summarize_far(repository: Repository, far: FarExperiment, by: str | None = None) -> Summary:
    """Gather an experiment of a remote, as `summarize` does one from here."""
    record, history = far.record, repository.history
    commits = [oid for oid in record.commits if oid in history]
    scores: dict[CommitId, Scores] = {oid: found for oid in commits if (found := far.texts_of(oid))}
    seen = repository.remotes.tracked(far.remote, HEADS, record.branch or "")
    place = (f"{far.remote}/{record.branch}", seen.commit) if seen else (None, record.tip)
    return _summary(as_experiment(far), commits, scores, by, place)


def _summary(
    experiment: Experiment,
    commits: list[CommitId],
    scores: dict[CommitId, Scores],
    by: str | None,
    place: tuple[str | None, CommitId | None],
) -> Summary:
    metrics: dict[str, int] = {}
    for found in scores.values():
        for metric in found:
            metrics[metric] = metrics.get(metric, 0) + 1
    metric = by or main_metric(metrics, experiment.minimize)
    scored = [
        ScoredCommit(oid, found[metric], value_of(found[metric]))
        for oid, found in scores.items()
        if metric in found
    ]
    return Summary(experiment, commits, scores, metrics, metric, scored, *place)


def sorted_summaries(rows: list[Summary], options: Options) -> list[Summary]:
    """Sort as the options ask for; by age, the youngest first, by default."""
    sort = _sort(options, _LIST_SORTS)
    if sort == "score":
        return _by_score(rows, lambda row: (row.best, row.minimize), options)
    keys: dict[str, Callable[[Summary], int | str]] = {
        "age": lambda row: -row.experiment.started_ns,
        "commits": lambda row: -len(row.commits),
        "name": lambda row: row.experiment.name,
    }
    return sorted(rows, key=keys[sort], reverse="reverse" in options)


def list_text(repository: Repository, rows: list[Summary]) -> str:
    """Return a table of experiments with a head; a hint when there are none."""
    if not rows:
        return "no experiments yet: helios experiment start NAME\n"
    now_ns = repository.clock.now_ns()
    cells = [("NAME", "BRANCH", "COMMITS", "BEST", "LAST", "AGE", "STATE")]
    for row in rows:
        each = row.experiment
        cells.append(
            (
                each.name,
                row.branch or "-",
                str(len(row.commits)),
                _number(row, row.best),
                _number(row, row.last),
                age((now_ns - each.started_ns) // SECOND_NS),
                each.state,
            )
        )
    return table(cells, right=(2, 3, 4, 5))


def list_document(row: Summary) -> dict[str, object]:
    """Return an experiment as a value for JSON."""
    each = row.experiment
    started = each.started_ns // SECOND_NS
    ended = each.ended_ns // SECOND_NS if each.ended_ns is not None else None
    return {
        "name": each.name,
        "state": each.state,
        "branch": row.branch,
        "head": row.head.hex() if row.head else None,
        "base": each.base.hex(),
        "started": iso_time(started),
        "started_seconds": started,
        "ended": None if ended is None else iso_time(ended),
        "ended_seconds": ended,
        "parameters": dict(each.parameters),
        "minimize": list(each.minimize),
        "commit_count": len(row.commits),
        "metric": row.metric,
        "best": _scored_document(row.best),
        "last": _scored_document(row.last),
    }


def show_text(repository: Repository, row: Summary, options: Options) -> str:
    """Return the record of an experiment, and a table of its commits."""
    each = row.experiment
    started = each.started_ns // SECOND_NS
    facts = [
        ("experiment", each.name),
        ("state", each.state),
        ("branch", row.branch or f"deleted (was {_short(each.tip)})"),
        ("base", f"{short(each.base)} {_subject(repository, each.base)}".rstrip()),
        ("started", iso_time(started, repository.clock.utc_offset_minutes())),
        *(("parameter", f"{key}={value}") for key, value in each.parameters.items()),
        *(("minimize", metric) for metric in each.minimize),
        ("commits", str(len(row.commits))),
    ]
    width = max(len(name) for name, _ in facts)
    lines = [f"{name + ':':<{width + 1}} {value}\n" for name, value in facts]
    if row.commits:
        lines += ["\n", _commit_table(repository, row, options)]
    return "".join(lines)


def show_document(
    repository: Repository, row: Summary, options: Options | None = None
) -> dict[str, object]:
    """Return an experiment and its commits as a value for JSON."""
    ordered = _sorted_commits(repository, row, options) if options else row.commits
    commits = []
    for oid in ordered:
        commit = repository.history.read(oid)
        commits.append(
            {
                "id": oid.hex(),
                "parents": [parent.hex() for parent in commit.parents],
                "time": iso_time(commit.committer.seconds, commit.committer.offset_minutes),
                "seconds": commit.committer.seconds,
                "subject": commit.subject,
                "scores": dict(row.scores.get(oid, {})),
            }
        )
    return list_document(row) | {"commits": commits}


def age(seconds: int) -> str:
    """Return a span of time in its largest unit.

    >>> age(59), age(7200), age(200_000)
    ('59 s', '2 h', '2 d')
    """
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "0 s"


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
    """Align columns two blanks apart; those in `right` are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:>{width}}" if at in right else f"{cell:<{width}}"
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _commit_table(repository: Repository, row: Summary, options: Options) -> str:
    others = sorted(metric for metric in row.metrics if metric != row.metric)
    metrics = [row.metric, *others] if row.metrics else []
    now = repository.clock.now_ns() // SECOND_NS
    best = row.best
    cells = [["", "COMMIT", *metrics, "AGE", "SUBJECT"]]
    for oid in _sorted_commits(repository, row, options):
        commit = repository.history.read(oid)
        scores = row.scores.get(oid, {})
        cells.append(
            [
                "*" if best is not None and best.oid == oid else "",
                short(oid),
                *(scores.get(metric, "-") for metric in metrics),
                age(max(now - commit.committer.seconds, 0)),
                commit.subject,
            ]
        )
    return table(cells, right=range(2, 3 + len(metrics)))


def _sorted_commits(repository: Repository, row: Summary, options: Options) -> list[CommitId]:
    sort = _sort(options, _SHOW_SORTS)
    newest_first = list(reversed(row.commits))
    if sort == "score":
        values = {each.oid: each for each in row.scored}
        return _by_score(row.commits, lambda oid: (values.get(oid), row.minimize), options)
    if sort == "name":
        return sorted(
            newest_first,
            key=lambda oid: _subject(repository, oid),
            reverse="reverse" in options,
        )
    return list(row.commits) if "reverse" in options else newest_first


def _sort(options: Options, known: tuple[str, ...]) -> str:
    sort = options.value("sort") or "age"
    if sort not in known:
        raise options.misuse(f"--sort takes {', '.join(known)}, not {sort[:80]!r}")
    return sort


def _by_score(
    rows: Sequence[_T], score: Callable[[_T], tuple[ScoredCommit | None, bool]], options: Options
) -> list[_T]:
    """Sort by score, the best first; rows without a score come last in both directions."""

    def goodness(row: _T) -> float:
        found, minimize = score(row)
        assert found is not None
        return found.value if minimize else -found.value

    having = [row for row in rows if score(row)[0] is not None]
    rest = [row for row in rows if score(row)[0] is None]
    return sorted(having, key=goodness, reverse="reverse" in options) + rest


def _number(row: Summary, scored: ScoredCommit | None) -> str:
    if scored is None:
        return "-"
    return scored.text if row.metric == DEFAULT_METRIC else f"{row.metric}={scored.text}"


def _scored_document(scored: ScoredCommit | None) -> dict[str, object] | None:
    if scored is None:
        return None
    return {"id": scored.oid.hex(), "text": scored.text, "value": scored.value}


def _subject(repository: Repository, oid: CommitId) -> str:
    """Return the subject of a commit; nothing if the commit was removed."""
    return repository.history.read(oid).subject if oid in repository.history else ""


def _short(oid: CommitId | None) -> str:
    return short(oid) if oid else "without a commit"
