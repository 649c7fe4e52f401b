"""The objects that a mirror has, and those that a push adds to them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from heliosfs.errors import HeliosError
from heliosfs.git.pack import Pack
from heliosfs.git.served import Served
from heliosfs.git.target import ObjectIds
from heliosfs.gitserver.mirror import BrokenMirror, Mirror
from heliosfs.objects.ids import CommitId
from heliosfs.repo.remotes import HEADS, TrackedRef
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, on_thread


class Holdings:
    """The objects of a mirror, read when the first commit is to be converted."""

    def __init__(self, repository: Repository, mirror: Mirror) -> None:
        self._repository = repository
        self._mirror = mirror
        self._ids: ObjectIds | None = None
        self._pack: Pack | None = None
        self._served: Served | None = None
        self._commit_count = 0

    def close(self) -> None:
        """Free memory.  Idempotent."""
        for each in (self._ids, self._pack):
            if each is not None:
                each.close()

    def git_id(
        self, kind: str, commit: CommitId | None, tag: str, seen: TrackedRef | None
    ) -> Steps[bytes | None]:
        """Return git's id of what a ref is to name, written into the mirror; None to delete it.

        Raise BrokenMirror, StoreError, or another HeliosError if git cannot have the commit.
        """
        if commit is None:
            return None
        if kind == HEADS and seen is not None and seen.commit == commit:
            return bytes.fromhex(seen.version)
        if self._served is None:
            yield from on_thread(self._open)
            git = self._mirror.git
            self._served = Served(self._repository, git.hash_name, self._has, self._add)
        return (yield from self._served.send_ref(commit, tag))

    def lost_counts(self) -> tuple[int, int]:
        """Return the numbers of empty directories and special files that git does not get."""
        return self._served.lost_counts() if self._served is not None else (0, 0)

    def settle(self) -> Steps[tuple[int, int, int]]:
        """Let the mirror have all of it, and note the ids.

        Return the numbers of commits, objects and bytes.  BrokenMirror.
        """
        if self._pack is None or self._served is None:
            return 0, 0, 0
        before = yield from on_thread(self._mirror.pack_bytes)
        try:
            yield from on_thread(self._pack.index)
        except HeliosError as error:
            raise BrokenMirror(str(error)) from error
        yield from self._served.remember()
        after = yield from on_thread(self._mirror.pack_bytes)
        return self._commit_count, self._pack.count, max(after - before, 0)

    def _open(self) -> None:
        try:
            self._ids = ObjectIds(self._mirror.git)
            self._pack = Pack(self._mirror.git, beside=True)
        except (HeliosError, OSError) as error:
            raise BrokenMirror(str(error)) from error

    def _has(self, git_id: bytes) -> bool:
        assert self._ids is not None
        at = bisect_left(self._ids, git_id)
        return at < len(self._ids) and self._ids[at] == git_id

    def _add(self, kind: bytes, size: int, pieces: Iterable[bytes]) -> Iterator[None]:
        assert self._pack is not None
        self._commit_count += kind == b"commit"
        yield from self._pack.add(kind, size, pieces)
