"""A journal that is copied fast, a thousand times, and what a thousand deaths leave open."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from heliosfs.store.journal import journal
from tests.in_memory import tmp_path

__all__ = ["tmp_path"]


@pytest.fixture(autouse=True)
def small_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_PREPARED_BYTES", 64 * 1024)


@pytest.fixture(autouse=True)
def nothing_stays_open(tmp_path: Path) -> Iterator[None]:
    """Stores that died leave descriptors open, a thousand in all."""
    yield
    gc.collect()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            path = os.readlink(f"/proc/self/fd/{name}")
            # LMDB closes its own when its environment goes.
            if path.startswith(f"{tmp_path}/") and not path.endswith((".lmdb", ".lmdb-lock")):
                os.close(int(name))
