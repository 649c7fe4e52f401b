"""Machines that share a bucket: repositories in memory with one remote, `origin`."""

from __future__ import annotations

from collections.abc import Iterable

from heliosfs.objects.ids import CommitId, Oid
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.fetch import FetchResult, fetch
from heliosfs.remote.layout import RefRecord, ref_key, trees_key
from heliosfs.remote.packfile import RemoteObject
from heliosfs.remote.packtable import PackTableWriter
from heliosfs.remote.push import PushResult, push
from heliosfs.remote.treesfile import TreesWriter
from heliosfs.repo.check import check_store
from heliosfs.repo.remotes import HEADS, TrackedRef
from heliosfs.steps import Steps, run_to_end
from heliosfs.store.memory import MemoryStore
from tests.tree_builder import Stage


class Machine(Stage):
    """A repository that pushes to a bucket and fetches from it."""

    def __init__(
        self, bucket: Bucket, store: MemoryStore | None = None, *, is_lazy: bool = False
    ) -> None:
        super().__init__(store)
        self.bucket = bucket
        with self.repository.transaction:
            self.repository.remotes.add("origin", "memory:")
            self.repository.remotes.notes.leave_contents("origin", is_lazy=is_lazy)

    @property
    def tracked(self) -> dict[tuple[str, str], TrackedRef]:
        return dict(self.repository.remotes.refs("origin"))

    @property
    def origin_main(self) -> str:
        seen = self.repository.remotes.tracked("origin", HEADS, "main")
        assert seen is not None
        return seen.commit.hex()

    def pushing(self, name: str = "main", *, with_lease: bool = False) -> Steps[PushResult]:
        head = self.repository.refs.branch(name).head
        assert head is not None
        return push(
            self.repository, self.bucket, "origin", HEADS, name, head, with_lease=with_lease
        )

    def push(self, name: str = "main", *, with_lease: bool = False) -> PushResult:
        return run_to_end(self.pushing(name, with_lease=with_lease), self.store)

    def fetch(self, *, prunes: bool = False) -> FetchResult:
        return run_to_end(fetch(self.repository, self.bucket, "origin", prunes=prunes), self.store)

    def pull(self) -> None:
        self.fetch()
        self.run("merge", "origin/main")

    def commits(self) -> set[str]:
        """All commits that HEAD reaches."""
        head = self.view.head
        return {oid.hex() for oid, _ in self.repository.history.walk(head)}

    def check(self) -> None:
        """Read everything that commits and refs of the remote reach."""
        checked = run_to_end(check_store(self.repository), self.store)
        assert checked.problems == []
        for seen in self.tracked.values():
            assert seen.commit in self.repository.history
            list(self.repository.history.walk(seen.commit))


def commit_id(text: str) -> CommitId:
    return CommitId(Oid(bytes.fromhex(text)))


def forged_bucket(objects: Iterable[RemoteObject], commit: CommitId) -> MemoryBucket:
    """Return a bucket whose `main` names a commit that someone made up of these objects."""
    bucket = MemoryBucket()
    writer = TreesWriter()
    for each in objects:
        writer.add(each)
    bucket.create(trees_key(commit), writer.finish([], PackTableWriter(lambda digest, data: None)))
    record = RefRecord(commit, commit, 1, "Eve", 0)
    bucket.create(ref_key(HEADS, "main"), record.encode())
    return bucket
