"""A journal that is copied fast, a thousand times."""

from __future__ import annotations

import pytest

from heliosfs.store import journal


@pytest.fixture(autouse=True)
def small_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_PREPARED_BYTES", 64 * 1024)
