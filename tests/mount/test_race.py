"""`helios race`: forks side by side, the winner, and the end of all others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.conftest import SECONDS, Mounted

HELIOS = [sys.executable, "-m", "heliosfs.cli"]
MARK = "HELIOS_TEST_OF_RACES"
"""Variable in the environment of all that a race starts here, by which it is found again."""


@pytest.fixture
def ws(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> Mounted:
    monkeypatch.setenv(MARK, str(mounted.path))
    (mounted.path / ".heliosignore").write_text("*.o\n")
    (mounted.path / "file").write_text("1\n2\n3\n4\n5\n")
    mounted.commit("base")
    return mounted


def branches(ws: Mounted) -> list[str]:
    return ws.helios("branch", "--list").replace("*", " ").split()


def running(ws: Mounted) -> list[str]:
    """Return the processes that a race of this test has started and that still run."""
    found = []
    mark = f"{MARK}={ws.path}".encode()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (os.getpid(), ws.pid):
            try:
                if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(Path(f"/proc/{name}/cmdline").read_text())
            except OSError:
                continue
    return found


def test_the_first_success_is_merged_and_the_others_end(ws: Mounted) -> None:
    """The losers have a process in a session of its own, and one that ignores SIGTERM."""
    (ws.path / "built.o").write_text("ignored\n")
    command = (
        'cat built.o; echo "$HELIOS_RACE_INDEX {i}" > won; pwd >> won; echo "told {i}" >&2; '
        "[ {i} = 2 ] && sleep 1 || { setsid sleep 95 & (trap '' TERM; sleep 95) & sleep 95; }"
    )
    begun = time.monotonic()
    done = ws.command("race", "3", "--", "sh", "-c", command)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < SECONDS / 2
    assert running(ws) == []
    assert (ws.path / "won").read_text() == f"2 2\n{ws.path}\n"
    assert sorted(done.stdout.splitlines()) == [f"[{number}] ignored" for number in (1, 2, 3)]
    assert {"[1] told 1", "[2] told 2", "[3] told 3"}.issubset(done.stderr.splitlines())
    assert " won | 2 ++\n" in done.stderr
    assert done.stderr.endswith("helios: merged race-1-2 into branch 'main': a fast-forward\n")
    assert branches(ws) == ["main"]
    shown = json.loads(ws.helios("experiment", "show", "race-1", "--json"))
    assert (shown["state"], shown["parameters"]["forks"]) == ("finished", "3")
    assert shown["best"]["id"] == ws.helios("rev-parse", "HEAD").strip()
    scores = {each["subject"][:8]: each["scores"] for each in shown["commits"]}
    assert {name: each["score"] for name, each in scores.items()} == {
        "race-1 1": "0",
        "race-1 2": "1",
        "race-1 3": "0",
    }
    assert [scores[f"race-1 {number}"]["exit"] for number in (1, 2, 3)] == ["143", "0", "143"]


@pytest.mark.parametrize(("flags", "best"), [([], "3"), (["--minimize"], "1")])
def test_the_best_score_is_merged(ws: Mounted, flags: list[str], best: str) -> None:
    """Fork 4 fails, and fork 5 has no score; what the score command writes is not merged."""
    score = 'echo measured > by-score; echo "about {i}"; [ {i} != 5 ] && cat n'
    command = "echo 0.{i} > n; [ {i} != 4 ]"
    words = ["race", "5", "--score", score, *flags, "--", "sh", "-c", command]
    done = ws.command(*words)
    assert done.returncode == 0, done.stderr
    assert (ws.path / "n").read_text() == f"0.{best}\n"
    assert not (ws.path / "by-score").exists()
    assert f"*  {best}  " in done.stderr and "exit code 4" not in done.stderr
    assert "no score for attempt 5: the score command ended with exit code 1" in done.stderr
    head = ws.helios("rev-parse", "HEAD")
    assert ws.helios("experiment", "best", "race-1") == head
    assert branches(ws) == ["main"]
    assert ws.helios("status", "--short") == ""


def test_uncommitted_work_and_a_base_that_moves(ws: Mounted) -> None:
    (ws.path / "file").write_text("1\n2\n3\n4\nmine\n")
    process = subprocess.Popen(
        [*HELIOS, "race", "2", "-q", "--", "sh", "-c", "until [ -e go ]; do sleep 0.05; done"],
        cwd=ws.path,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(lambda: len(running(ws)) > 4)
    assert branches(ws) == ["main", "race-1", "race-1-1", "race-1-2"]
    (ws.path / "other").write_text("other\n")
    fork = ws.path / ".helios/live/race-1-2"
    (fork / "file").write_text("one\n2\n3\n4\nmine\n")
    (fork / "go").touch()
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, told
    assert (ws.path / "file").read_text() == "one\n2\n3\n4\nmine\n"
    assert sorted(ws.helios("status", "--short").splitlines()) == [" A go", " A other", " M file"]


def test_nobody_wins(ws: Mounted) -> None:
    done = ws.command("race", "2", "--", "sh", "-c", "echo {i} > n; exit {i}")
    assert done.returncode == 1
    assert "no attempt succeeded" in done.stderr
    assert branches(ws) == ["main"]
    shown = json.loads(ws.helios("experiment", "show", "race-1", "--json"))
    assert sorted(each["scores"]["exit"] for each in shown["commits"]) == ["1", "2"]
    assert ws.helios("show", f"{shown['commits'][0]['id']}:n") in ("1\n", "2\n")


def test_a_timeout_ends_what_runs(ws: Mounted) -> None:
    command = "echo {i} > n; [ {i} = 1 ] || sleep 94"
    words = ["race", "2", "--timeout", "2", "--score", "cat n", "--", "sh", "-c", command]
    done = ws.command(*words)
    assert done.returncode == 0, done.stderr
    assert "2 s are over" in done.stderr and "ended early" in done.stderr
    assert (ws.path / "n").read_text() == "1\n"
    assert running(ws) == []


def test_a_conflict_leaves_the_winner(ws: Mounted) -> None:
    process = subprocess.Popen(
        [*HELIOS, "race", "1", "--", "sh", "-c", "until [ -e go ]; do sleep 0.05; done"],
        cwd=ws.path,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(lambda: len(running(ws)) > 2)
    (ws.path / "file").write_text("ours\n2\n3\n4\n5\n")
    ws.commit("ours")
    fork = ws.path / ".helios/live/race-1-1"
    (fork / "file").write_text("theirs\n2\n3\n4\n5\n")
    (fork / "go").touch()
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "conflict in 1 path: nothing was changed\ncontent: file" in told
    assert "fork race-1-1 is left" in told
    assert branches(ws) == ["main", "race-1-1"]
    assert (ws.path / "file").read_text() == "ours\n2\n3\n4\n5\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_all(ws: Mounted, number: signal.Signals) -> None:
    """Nothing runs afterwards; after all but SIGKILL no fork is left, either."""
    command = "echo n > n; setsid sleep 93 & (trap '' TERM; sleep 93) & sleep 93"
    process = subprocess.Popen(
        [*HELIOS, "race", "3", "--", "sh", "-c", command],
        cwd=ws.path,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(lambda: sum("sleep" in each for each in running(ws)) >= 9)
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    if number == signal.SIGKILL:
        _until(lambda: running(ws) == [])
        return
    assert process.returncode == 128 + number
    assert running(ws) == []
    assert branches(ws) == ["main"]
    assert json.loads(ws.helios("experiment", "--json"))[0]["state"] == "abandoned"
    assert ws.helios("status", "--short") == ""


def test_a_branch_of_that_name_is_not_touched(ws: Mounted) -> None:
    ws.helios("branch", "idea-2")
    done = ws.command("race", "3", "-b", "idea", "--", "true")
    assert done.returncode == 1
    assert branches(ws) == ["idea-2", "main"], done.stderr
    ws.helios("branch", "race-1-7")
    done = ws.command("race", "1", "--", "true")
    assert done.returncode == 0
    assert done.stderr.endswith("helios: race-2-1 won, and changed nothing\n")
    assert branches(ws) == ["idea-2", "main", "race-1-7"]


def test_output_in_files_and_wrong_words(ws: Mounted, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    words = ["--output", str(logs), "--", "sh", "-c", "printf 'out {i}'; echo err >&2; sleep 1"]
    done = ws.command("race", "2", *words)
    assert (done.returncode, done.stdout) == (0, "")
    for number in (1, 2):
        lines = (logs / f"{number}.log").read_text().splitlines()
        assert sorted(lines) == ["err", f"out {number}"]
    for wrong in (["0", "true"], ["65", "true"], ["x", "true"], ["2"], []):
        assert ws.command("race", *wrong).returncode == 2
    assert ws.command("race", "2", "--minimize", "--", "true").returncode == 2
    assert branches(ws) == ["main"]


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
