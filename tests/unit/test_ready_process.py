"""The process that forks for each command: what comes of it is what an interpreter makes of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import ready_process

SECONDS = 60


@pytest.mark.parametrize(
    "argv",
    [
        ["--version"],
        ["status"],
        ["no-such-verb"],
        ["commit", "--no-such-option"],
        ["mount", "--help"],
        ["-C", "down", "log"],
        ["\udcff", "ä"],
    ],
    ids=" ".join,
)
def test_it_is_the_same_as_a_new_interpreter(tmp_path: Path, argv: list[str]) -> None:
    (tmp_path / "down").mkdir()
    command = [sys.executable, "-m", "heliosfs.cli", *argv]
    new = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    ready = ready_process.run(argv, cwd=tmp_path, timeout=SECONDS)
    assert (ready.returncode, ready.stdout, ready.stderr) == (
        new.returncode,
        new.stdout,
        new.stderr,
    )


def test_directory_and_umask(tmp_path: Path) -> None:
    """The directory and the umask are those of the call, not of the start."""
    ready_process.run(["--version"], cwd=tmp_path, timeout=SECONDS)
    (tmp_path / ".git").mkdir()
    before = os.umask(0o077)
    try:
        words = ["agent", "init", "--client", "none"]
        done = ready_process.run(words, cwd=tmp_path, timeout=SECONDS)
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "AGENTS.md").stat().st_mode) == 0o600


def test_several_at_once(tmp_path: Path) -> None:
    codes: list[int] = []

    def one(number: int) -> None:
        word = "--version" if number % 2 else "no-such-verb"
        codes.append(ready_process.run([word], cwd=tmp_path, timeout=SECONDS).returncode)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0, 0, 0, 2, 2, 2]


def test_it_leaves_no_descriptor(tmp_path: Path) -> None:
    ready_process.run(["--version"], cwd=tmp_path, timeout=SECONDS)
    before = os.listdir("/proc/self/fd")
    ready_process.run(["--version"], cwd=tmp_path, timeout=SECONDS)
    assert os.listdir("/proc/self/fd") == before


def test_one_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    ready_process.run(["--version"], cwd=tmp_path, timeout=SECONDS)
    # It waits for a writer, so that it does not end before anybody looks.
    os.mkfifo(tmp_path / "message")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(subprocess.TimeoutExpired):
        ready_process.run(["commit", "-F", "message"], cwd=tmp_path, timeout=0.1)
    assert os.listdir("/proc/self/fd") == before
