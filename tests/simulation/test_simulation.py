"""Some hundred simulations; more with `python -m tests.simulation --long SECONDS`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SEEDS = 300
TOP = Path(__file__).parents[2]


def test_nothing_is_lost_and_nothing_wrong_is_told() -> None:
    """In a process of its own: names are hashed as in any run of these seeds."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", f"0..{SEEDS}"]
    done = subprocess.run(
        [*command, "--processes", "1"],
        cwd=TOP,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{SEEDS} seeds, "), done.stdout
