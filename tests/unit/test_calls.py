"""Number of Python calls in the paths that are taken most."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.calls import MOST, measured
from benchmarks.measure import Plan
from benchmarks.worlds import World
from heliosfs.repo.remotes import HEADS, TrackedRef


def _add_remote(where: World) -> None:
    """Let a lazy remote have 200 branches, and promise nothing."""
    repository = where.repository
    head = repository.root.head
    assert head is not None
    with repository.transaction:
        repository.remotes.add("origin", "file:///nowhere")
        repository.remotes.notes.leave_contents("origin", is_lazy=True)
        for number in range(200):
            seen = TrackedRef(head, head, 1, f"{number}")
            repository.remotes.track("origin", HEADS, f"branch-{number}", seen, number)


@pytest.mark.parametrize("prepare", [lambda where: None, _add_remote])
def test_no_path_that_is_taken_often_got_longer(
    tmp_path: Path, prepare: Callable[[World], object]
) -> None:
    for what, counts in measured(Plan(tmp_path, quick=True), prepare).items():
        assert max(counts) <= MOST[what], what
