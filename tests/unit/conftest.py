"""Directories of tests lie in memory: nothing here depends on the speed of a disk."""

from __future__ import annotations

from tests.in_memory import tmp_path

__all__ = ["tmp_path"]
