"""The mounted workspaces of `tests/mount`, for real programs."""

from __future__ import annotations

from tests.mount.conftest import mounted, mounter

__all__ = ["mounted", "mounter"]
