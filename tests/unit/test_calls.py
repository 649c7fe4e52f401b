"""Number of Python calls in the paths that are taken most."""

from __future__ import annotations

from pathlib import Path

from benchmarks.calls import MOST, measured
from benchmarks.measure import Plan


def test_no_path_that_is_taken_often_got_longer(tmp_path: Path) -> None:
    for what, counts in measured(Plan(tmp_path, quick=True)).items():
        assert max(counts) <= MOST[what], what
