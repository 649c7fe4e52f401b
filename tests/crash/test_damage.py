"""No damage to a file of a store is told as data, ends the process, or keeps it busy for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.damage import GOOD

COUNT = int(os.environ.get("HELIOS_DAMAGES", "150"))
"""Number of damages; set it to thousands when there is time."""


AT_ONCE = min(COUNT, 30)
"""Damages of one test: a slow and busy machine ends a test that takes two minutes."""


@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_damage_is_found_or_harmless(first: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crash.damage", str(AT_ONCE), str(first)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    *bad, last = ended.stdout.splitlines()
    counts = json.loads(last)
    assert sum(counts.values()) == AT_ONCE
    assert set(counts) <= set(GOOD), "\n".join(bad)
    # Stores that cannot be wrong would prove nothing.
    assert counts["told"] and counts["refused"] and counts["right"]
