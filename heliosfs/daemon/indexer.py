"""Background task that completes the records by which `HEAD~n` jumps down a history.

Commits made or imported by this version bring their records.  A store of an earlier version has
none, and gets them once, in the first mount.
"""

from __future__ import annotations

import logging
import time

import trio

from heliosfs.daemon.driver import SLICE_NS
from heliosfs.errors import HeliosError
from heliosfs.repo.repository import Repository

log = logging.getLogger(__name__)


class Indexer:
    """Task that ends once every chain of first parents that a ref names has its milestones."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def run(self) -> None:
        """Work in slices until done, or cancelled."""
        if self._repository.has_milestones:
            return
        slice_end_ns = time.monotonic_ns() + SLICE_NS
        try:
            for _ in self._repository.index_first_parents():
                if time.monotonic_ns() >= slice_end_ns:
                    await trio.lowlevel.checkpoint()
                    slice_end_ns = time.monotonic_ns() + SLICE_NS
        except HeliosError as error:
            # Only speed is lost: what has no records is walked.  The next mount tries again.
            log.warning("the history is not indexed: %s", error)
