"""Scores: the numbers of a commit, one for each metric."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from heliosfs.errors import UsageError
from heliosfs.objects.ids import CommitId

METRIC_MAX_BYTES = 64
VALUE_MAX_CHARACTERS = 40
DEFAULT_METRIC = "score"

_METRIC = re.compile(r"[^\W\d][\w.-]*")
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_FRACTION = re.compile(r"([+-]?\d+)/(\d+)", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Scores = Mapping[str, str]
"""Number, as it was written, by metric."""


class ScoredCommit(NamedTuple):
    """A commit and one of its scores."""

    oid: CommitId
    text: str
    value: float


def check_score(metric: str, text: str) -> None:
    """Raise UsageError unless the metric is a valid name, and the text a finite number."""
    if not _METRIC.fullmatch(metric) or len(metric.encode()) > METRIC_MAX_BYTES:
        raise UsageError(
            f"usage: {metric[:80]!r} is not the name of a metric: "
            "a letter, then letters, digits, '_', '.', '-'"
        )
    if len(text) > VALUE_MAX_CHARACTERS or not math.isfinite(_parse(text)):
        raise UsageError(
            f"usage: {metric}={text[:80]!r} is not a finite number such as 3, 0.93, 1e-4 or 41/42"
        )


def value_of(text: str) -> float:
    """Return the value for comparisons; NaN if the text is no number.

    >>> value_of("41/42") > value_of("0.97")
    True
    """
    return _parse(text) if len(text) <= VALUE_MAX_CHARACTERS else math.nan


def best_of(scored: list[ScoredCommit], *, minimize: bool) -> ScoredCommit | None:
    """Return the best score, the first of equal ones; None without any."""
    if not scored:
        return None
    return (min if minimize else max)(scored, key=lambda each: each.value)


def main_metric(metrics: Mapping[str, object], minimized: tuple[str, ...]) -> str:
    """Return the metric to show by default: `score`, a declared one, or any."""
    if DEFAULT_METRIC in metrics:
        return DEFAULT_METRIC
    declared = [metric for metric in minimized if metric in metrics]
    return next(iter(declared or sorted(metrics)), DEFAULT_METRIC)


def _parse(text: str) -> float:
    if _INTEGER.fullmatch(text):
        return int(text)
    found = _FRACTION.fullmatch(text)
    if found:
        return int(found[1]) / int(found[2]) if int(found[2]) else math.nan
    return float(text) if _DECIMAL.fullmatch(text) else math.nan
