"""Machines that have the last commits of each branch, and what must be true of them."""

from __future__ import annotations

from collections.abc import Iterable

from heliosfs.objects.commit import decode_commit
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.fetch import FetchResult, fetch
from heliosfs.remote.shallow import Extent
from heliosfs.repo.check import CheckResult, check_store
from heliosfs.repo.gc.collect import GcResult, collect_garbage
from heliosfs.repo.gc.retention import Retention
from heliosfs.repo.repository import Repository
from heliosfs.steps import run_to_end
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine

WHOLE = Extent(is_whole=True)


class ShallowMachine(Machine):
    """A machine whose fetches may have a depth."""

    def __init__(
        self,
        bucket: Bucket,
        depth: int,
        store: MemoryStore | None = None,
        *,
        is_lazy: bool = True,
    ) -> None:
        """Fetch the last commits of each branch, and show `main`."""
        super().__init__(bucket, store, is_lazy=is_lazy)
        self.fetched = self.fetch_extent(Extent(depth))
        """The result of the first fetch."""
        if ("heads", "main") in self.tracked:
            self.run("merge", "-q", "origin/main")

    def fetch_extent(self, extent: Extent) -> FetchResult:
        """Fetch a part of the history."""
        steps = fetch(self.repository, self.bucket, "origin", extent=extent)
        return run_to_end(steps, self.store)

    def collect(self, *, dry_run: bool = False) -> GcResult:
        """Keep what refs and working states name, and nothing else."""
        retention = Retention(self.clock.now_ns() + 10**18, 0, keeps_unreached=False)
        return run_to_end(collect_garbage(self.repository, retention, dry_run=dry_run), self.store)

    @property
    def edge(self) -> set[str]:
        """The commits at which the history ends."""
        return {oid.hex() for oid in self.repository.history.edge}

    @property
    def listed(self) -> set[str]:
        """All commits that are here."""
        return {oid.hex() for oid in self.repository.history.ids()}


def named_parents(repository: Repository, oid: CommitId) -> tuple[CommitId, ...]:
    """Return the parents that the bytes of a commit name."""
    return decode_commit(repository.store.read(oid, Kind.COMMIT)).parents


def check_whole_or_cut(repository: Repository) -> CheckResult:
    """Check that each commit has its parents, or is on the edge, and that nothing is missing."""
    history = repository.history
    for oid in history.ids():
        parents = named_parents(repository, oid)
        if oid in history.edge:
            assert history.read(oid).parents == ()
            assert history.edge.parents(oid) == parents
        else:
            assert history.read(oid).parents == parents
            assert all(each in history for each in parents), oid.hex()
    for seen in repository.remotes.commits():
        list(history.walk(seen))
    checked = run_to_end(check_store(repository), repository.store)
    assert checked.problems == []
    assert checked.shallow == sum(oid in history.edge for oid in history.ids())
    return checked


def last_commits(writer: Machine, tips: Iterable[str], depth: int) -> set[str]:
    """Return the commits that `git clone --depth` has of some branches."""
    history, found = writer.repository.history, set[str]()
    level = {writer.repository.refs.branch(name).head for name in tips}
    for _ in range(depth):
        found.update(each.hex() for each in level if each is not None)
        level = {each for oid in level if oid for each in history.read(oid).parents}
    return found
