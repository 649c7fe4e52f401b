"""Some hundred simulations; more with `python -m tests.simulation --long SECONDS`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = 300
AT_ONCE = 30
"""Seeds of one test: a slow and busy machine ends a test that takes two minutes."""
TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_nothing_is_lost_and_nothing_wrong_is_told(first: int) -> None:
    """The seeds run in a process of their own, so that names are hashed as in any other run."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", f"{first}..{first + AT_ONCE}"]
    done = subprocess.run(
        [*command, "--processes", "1"],
        cwd=TOP,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{AT_ONCE} seeds, "), done.stdout
