"""The second half of a collection: what is marked is encoded in less space, the rest goes."""

from __future__ import annotations

from heliosfs.steps import Work
from heliosfs.store.base import SweepResult
from heliosfs.store.gc.repack import Repack
from heliosfs.store.gc.sweep import Sweep
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.marks import Marks


class Removal:
    """Planner of repacking, counting and sweeping, a step at a time."""

    def __init__(self, database: ObjectDatabase, marks: Marks) -> None:
        self._database = database
        self._marks = marks
        self._repack: Repack | None = None
        self._sweep: Sweep | None = None

    def plan_pack(self) -> Work | None:
        """Return work as `Collection.plan_pack` does."""
        if self._repack is None:
            self._repack = Repack(self._database, self._marks)
        return None if self._repack.is_done else _Step(self._repack)

    @property
    def packed_bytes(self) -> int:
        """Number of bytes that repacking has saved; 0 if tables of blocks took more than that."""
        return max(0, self._repack.saved_bytes) if self._repack else 0

    def plan_count(self) -> Work | None:
        """Return work as `Collection.plan_count` does."""
        return self._plan(counts_only=True)

    def plan_sweep(self) -> Work | None:
        """Return work as `Collection.plan_sweep` does."""
        return self._plan(counts_only=False)

    @property
    def swept(self) -> SweepResult:
        """Totals of what was removed, or counted, so far."""
        return self._sweep.swept if self._sweep else SweepResult()

    def _plan(self, *, counts_only: bool) -> Work | None:
        if self._sweep is None:
            self._sweep = Sweep(self._database, self._marks, counts_only=counts_only)
        return None if self._sweep.is_done else _Step(self._sweep)


class _Step:
    """The next piece of a sweep or repack, as work."""

    def __init__(self, work: Sweep | Repack) -> None:
        self._work = work

    def execute(self) -> None:
        self._work.step()

    def apply(self) -> None:
        if isinstance(self._work, Sweep):
            self._work.applied()
