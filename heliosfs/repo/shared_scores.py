"""Scores of commits as they travel beside a branch: those that belong to no experiment.

Of each score the later one stays, and of two at the same time the one that sorts last, so that the
order in which machines push is of no importance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from heliosfs.errors import CorruptObject, HeliosError
from heliosfs.objects.ids import CommitId
from heliosfs.repo.core import Core
from heliosfs.repo.shared_experiments import Measured, scores_in
from heliosfs.repo.walks import excluded_commits
from heliosfs.steps import TURN, Steps

SCORES_MAX_BYTES = 120_000
"""Largest record that is written: some 1,000 commits, those that were scored last."""

SharedScores = Mapping[CommitId, Mapping[str, Measured]]
"""Score and when it was recorded, by commit and metric."""


def encode_scores(scores: SharedScores) -> bytes:
    """Return the record, without what is too old to have room in it."""

    def age(oid: CommitId) -> tuple[int, CommitId]:
        return -max(each.at for each in scores[oid].values()), oid

    rows, room = {}, SCORES_MAX_BYTES
    for oid in sorted(scores, key=age):
        row = {metric: list(scores[oid][metric]) for metric in sorted(scores[oid])}
        room -= len(json.dumps(row)) + 2 * len(oid) + 8
        if room < 0:
            break
        rows[oid.hex()] = row
    return json.dumps({"scores": rows}).encode() + b"\n"


def decode_scores(name: str, data: bytes) -> dict[CommitId, dict[str, Measured]]:
    """Read the record of a branch; other fields are passed over.  CorruptObject."""
    try:
        return scores_in(json.loads(data)["scores"])
    except (ValueError, TypeError, KeyError, RecursionError, HeliosError) as error:
        shown = "".join(each if each.isprintable() else "?" for each in str(error))[:200]
        raise CorruptObject(f"the scores of {name!r} cannot be read: {shown}") from error


def scores_to_share(core: Core, head: CommitId, known: SharedScores) -> Steps[SharedScores]:
    """Return the scores of commits that a head reaches and no experiment has, but those in `known`.

    Cost: nothing without scores; the commits as young as those that are scored.  CorruptObject.
    """
    experiments, history = core.experiments, core.history
    scored = experiments.scored()
    for each in experiments if scored else ():
        scored.difference_update(experiments.commits(each))
        yield TURN
    found = {}
    for oid in sorted(scored):
        held = measured_here(core, oid)
        if oid in history and any(_is_later(known, oid, *item) for item in held.items()):
            found[oid] = held
        yield TURN
    if not found:
        return {}
    reached = yield from excluded_commits(history, list(found), [head])
    return {oid: held for oid, held in found.items() if oid in reached}


def measured_here(core: Core, oid: CommitId) -> dict[str, Measured]:
    """Return the scores that a commit has here.  CorruptObject."""
    at = core.experiments.score_times(oid)
    texts = core.experiments.scores(oid).items()
    return {metric: Measured(text, at.get(metric, 0)) for metric, text in texts}


def take_scores(core: Core, scores: SharedScores) -> None:
    """Record the scores of commits that are here, where they are later than those here."""
    for oid, held in scores.items():
        if oid not in core.history:
            continue
        here = {oid: measured_here(core, oid)}
        later = {
            metric: each for metric, each in held.items() if _is_later(here, oid, metric, each)
        }
        if later:
            texts = {metric: each.text for metric, each in later.items()}
            core.experiments.record(oid, texts, {name: each.at for name, each in later.items()})


def _is_later(known: SharedScores, oid: CommitId, metric: str, measured: Measured) -> bool:
    before = known.get(oid, {}).get(metric)
    return before is None or (before.at, before.text) < (measured.at, measured.text)
