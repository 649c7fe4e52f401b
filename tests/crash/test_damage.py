"""No damage to a file of a store is told as data, ends the process, or keeps it busy for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.crash.damage import GOOD

COUNT = int(os.environ.get("HELIOS_DAMAGES", "150"))
"""How many damages; thousands are for whoever has the time."""


def test_damage_is_found_or_harmless() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crash.damage", str(COUNT)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60 + COUNT * 5,
        check=True,
    )
    *bad, last = ended.stdout.splitlines()
    counts = json.loads(last)
    assert sum(counts.values()) == COUNT
    assert set(counts) <= set(GOOD), "\n".join(bad)
    # Stores that cannot be wrong would prove nothing.
    assert counts["told"] and counts["refused"] and counts["right"]
