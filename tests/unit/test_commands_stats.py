"""Measures, and how they are told."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliosfs.clock import FixedClock
from heliosfs.commands import dotfiles
from heliosfs.commands.measures import page as measures_page
from heliosfs.commands.measures.table import MEASURES
from heliosfs.repo.metrics import Histogram, Metrics, resident_bytes
from heliosfs.vfs.control import CommandChannel, ErrorLog, MessageChannel
from tests.tree_builder import Stage

ROOT = Path(__file__).parents[2]

GUIDE = [
    *(f"commit_latency_p{percent}" for percent in (50, 95, 99)),
    "cache_hit_ratio",
    "storage_utilization",
    "commits_per_hour",
    "active_snapshots",
    "memory_usage",
    "compression_ratio",
    "compaction_pending",
]
"""The names that the guide greps for."""


@given(st.integers(0, 2**63 - 1))
def test_a_duration_is_counted_within_two_percent(duration_ns: int) -> None:
    histogram = Histogram()
    histogram.record(duration_ns)
    for share in (0.0, 0.5, 1.0):
        found = histogram.quantile_ns(share)
        assert found is not None
        assert abs(found - duration_ns) <= duration_ns * 0.016


def test_quantiles_of_many() -> None:
    histogram = Histogram()
    durations = list(range(1000, 2_001_000, 2000))
    random.Random(1).shuffle(durations)
    for duration_ns in durations:
        histogram.record(duration_ns)
    assert histogram.count == len(durations)
    assert histogram.total_ns == sum(durations)
    for share in (0.5, 0.95, 0.99):
        assert histogram.quantile_ns(share) == pytest.approx(2_000_000 * share, rel=0.02)


def test_without_an_observation_there_is_no_quantile() -> None:
    assert Histogram().quantile_ns(0.5) is None


def test_commits_of_the_last_hour() -> None:
    clock = FixedClock(step_ns=0)
    metrics = Metrics(clock)
    assert metrics.commits_last_hour() == 0
    for minute in range(90):
        clock.time_ns = minute * 60 * 10**9
        metrics.observe_commit(1)
        metrics.observe_commit(1)
        assert metrics.commits_last_hour() == 2 * min(minute + 1, 60)
    clock.time_ns += 59 * 60 * 10**9
    assert metrics.commits_last_hour() == 2
    clock.time_ns += 60 * 10**9
    assert metrics.commits_last_hour() == 0
    assert metrics.commit_latency.count == 180


def test_the_resident_set_is_that_of_a_python() -> None:
    assert 5 * 1024**2 < resident_bytes() < 1024**4


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit(a=b"one" * 1000)
    return stage


def test_every_name_of_the_guide_is_a_line(stage: Stage) -> None:
    lines = stage.run("stats").splitlines()
    names = [line.partition(": ")[0] for line in lines]
    assert names == [measure.name for measure in MEASURES]
    assert len(set(names)) == len(names)
    assert set(GUIDE) <= set(names)
    assert dotfiles.FILES["stats"](stage.repository, stage.view).splitlines()[0] == lines[0]


def test_values_for_people(stage: Stage) -> None:
    stage.repository.metrics.observe_commit(412_345)
    lines = dict(line.split(": ") for line in stage.run("stats").splitlines())
    assert re.fullmatch(r"0\.4\d\dms", lines["commit_latency_p95"])
    assert re.fullmatch(r"\d+\.\dMB", lines["memory_usage"])
    assert lines["commit_count"] == lines["commits_per_hour"] == "1"
    assert lines["compression_ratio"] == "1.0000"
    assert lines["content_budget_bytes"] == str(1024**3)


def test_values_for_programs(stage: Stage) -> None:
    document = json.loads(stage.run("stats", "--json"))
    assert list(document) == [measure.name for measure in MEASURES]
    assert document["commit_latency_p50"] is None
    assert document["compaction_pending"] == document["pending_bytes"] == 0
    stage.repository.metrics.observe_commit(10**6)
    document = json.loads(stage.run("stats", "--json"))
    assert document["commit_latency_p50"] == pytest.approx(0.001, rel=0.02)


def test_the_text_for_prometheus(stage: Stage) -> None:
    def metrics() -> str:
        return dotfiles.FILES["metrics"](stage.repository, stage.view)

    assert 'heliosfs_commit_latency_seconds{quantile="0.5"} NaN\n' in metrics()
    assert metrics().endswith("\n")
    stage.repository.metrics.observe_commit(2 * 10**6)
    sample = re.compile(r'heliosfs_[a-z_0-9]+(\{quantile="0\.\d+"\})? (NaN|[-+.e0-9]+)')
    typed: dict[str, str] = {}
    for line in metrics().splitlines():
        if line.startswith("# HELP "):
            assert line.isascii()
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed
            typed[name] = kind
            continue
        assert sample.fullmatch(line), line
        name = re.split(r"[ {]", line)[0]
        assert name in typed or re.sub("_(sum|count)$", "", name) in typed, line
        assert name.endswith("_total") == (typed.get(name) == "counter")
    assert typed["heliosfs_commit_latency_seconds"] == "summary"
    assert "heliosfs_commit_latency_seconds_count 1\n" in metrics()
    assert "heliosfs_commit_latency_seconds_sum 0.002\n" in metrics()


def test_commit_requests_are_observed_and_others_are_not(stage: Stage) -> None:
    repository = stage.repository
    message = MessageChannel(ErrorLog(), repository, lambda: stage.view)
    message.write(b"a message")
    commands = CommandChannel(ErrorLog(), repository, lambda: stage.view, None, str)
    requests = [*message.finish(), *commands.write(b"commit -m x\nstatus\n")]
    assert len(requests) == 3
    for request in requests:
        request.answered()
    assert repository.metrics.commit_latency.count == 2
    assert 0 < repository.metrics.commit_latency.total_ns < 60 * 10**9


def test_the_page_is_made_from_the_table() -> None:
    assert (ROOT / "docs/reference/metrics.md").read_text() == measures_page.page()
