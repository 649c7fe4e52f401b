"""Lineup of the benchmarks: file systems, placements, what fills them; no mounts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, LONG, main
from benchmarks.filesystems import ALL, DISK, OURS, FileSystem, Missing
from benchmarks.git import GIT_ENVIRONMENT
from benchmarks.large import Content, read, write
from benchmarks.lineup import lineup
from benchmarks.measure import Plan
from benchmarks.placement import all_cpus_busy, on_one_cpu
from benchmarks.sources import sources
from benchmarks.table import Figure


def shown(name: str, error: Exception | None = None) -> FileSystem:
    """One that shows a directory as it is, or cannot be mounted."""

    @contextmanager
    def mount(_plan: Plan, source: Path) -> Iterator[Path]:
        if error is not None:
            raise error
        yield source

    return FileSystem(name, mount, note=f"about {name}")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path)


def test_the_names_of_the_file_systems_differ() -> None:
    assert len({each.name for each in ALL}) == len(ALL)


def test_what_cannot_be_mounted_says_why_and_the_others_are_measured(plan: Plan) -> None:
    absent = shown("absent", Missing("not installed"))
    broken = shown("broken", RuntimeError("nothing was mounted"))
    ours = FileSystem(OURS.name, shown("ours").mount)
    with lineup(plan, (ours, shown("good"), absent, broken)) as lined:
        with lined.mounted() as places:
            assert set(places) == {OURS.name, "good"}
        with pytest.raises(ValueError, match="no samples"):
            lined.row("files", "rename", {"good": [1.0]})


def test_a_row_has_the_others_in_order_with_limits_and_reasons(plan: Plan) -> None:
    absent = shown("absent", Missing("not installed"))
    with lineup(plan, (OURS, shown("good"), absent, shown("failed"))) as lined:
        lined.missing["absent"] = "not installed"
        row = lined.row(
            "files", "rename", {OURS.name: [2.0, 4.0, 6.0], "good": [8.0]}, limits={"good": 0.5}
        )
    good, missing, failed = row.peers
    assert row.figure == Figure(4.0, 6.0, 3)
    assert (good.name, good.figure, good.limit) == ("good", Figure(8.0, 8.0, 1), 0.5)
    assert good.note == "about good"
    assert (missing.figure, missing.note) == (None, "not installed")
    assert (failed.figure, failed.note) == (None, "not measured: it failed there")


def test_sources_stay_from_mount_to_mount_and_another_is_first_each_time(plan: Plan) -> None:
    with lineup(plan, (DISK, shown("good"))) as lined:
        with lined.mounted() as places:
            first = next(iter(places))
            (places[DISK.name] / "file").write_text("kept")
        with lined.mounted() as places:
            assert next(iter(places)) != first
            assert (places[DISK.name] / "file").read_text() == "kept"
        sources = list(lined.sources.values())
    assert not any(source.exists() for source in sources)


def test_a_placement_is_taken_back() -> None:
    before = os.sched_getaffinity(0)
    with on_one_cpu():
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_as_many_processes_spin_as_there_are_cpus_and_they_end() -> None:
    def children() -> int:
        tasks = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        return len(tasks.read_text().split())

    before = children()
    with all_cpus_busy():
        assert children() == before + len(os.sched_getaffinity(0))
    assert children() == before


def test_what_fills_a_large_file_comes_back_and_no_part_is_like_another(tmp_path: Path) -> None:
    content = Content("bytes", os.urandom(2 << 20))
    parts = {
        bytes(each.mebibyte(number)[at : at + 65536])
        for each in (content, content.in_turn(1))
        for number in range(8)
        for at in range(0, 1 << 20, 65536)
    }
    assert len(parts) == 2 * 8 * 16
    path = tmp_path / "large"
    assert write(path, content, 0, 2 << 20) > 0
    assert read(path, content, 0, 2 << 20) > 0
    with path.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"other")
    with pytest.raises(RuntimeError, match="does not hold what was written"):
        read(path, content, 0, 2 << 20)


def test_what_programs_work_on_can_be_worked_on(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    made = sources(plan, has_npm=False)
    told = subprocess.run(
        ["git", "status", "--short"], cwd=made.repository, capture_output=True, check=True
    )
    assert told.stdout == b""
    assert len(list(made.repository.rglob("*.py"))) > 100
    assert len(list(made.c_project.glob("*.c"))) == 61
    assert len(list(made.suite.glob("test_*.py"))) == 100


def test_the_list_names_all_and_says_which_take_long(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(BENCHMARKS)
    assert {line.split()[0] for line in lines if line.endswith("[long]")} == LONG
