"""Imports under way: the commits that they have written and nothing names yet."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.git.notes import Notes
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.repo import keys


class Unfinished:
    """The commits of imports that did not end, so that the next one need not begin anew.

    A garbage collection keeps them, and they are in no list of commits before all are there.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._taken: list[bytes] = []
        """Git's id and ours, concatenated, of commits for which there is no note yet."""
        self._taken_count: int | None = None

    def add(self, git_id: bytes, oid: CommitId) -> None:
        """Take a commit of an import under way."""
        self._taken.append(git_id + oid)

    def note(self) -> None:
        """Note the commits that were taken, all under one key."""
        if self._taken:
            id_bytes = len(self._taken[0]) - OID_BYTES
            self._notes.noted[self._next()] = bytes((id_bytes,)) + b"".join(self._taken)
            self._taken = []

    def commits(self) -> Iterator[tuple[bytes, CommitId]]:
        """Yield the published commits of unfinished imports, with git's ids."""
        for _, value in self._notes.stored(keys.GIT_TAKEN):
            id_bytes = value[0]
            size = id_bytes + OID_BYTES
            for at in range(1, len(value), size):
                pair = value[at : at + size]
                yield pair[:id_bytes], CommitId(Oid(pair[id_bytes:]))

    def clear(self) -> None:
        """Note that the import is finished."""
        for key, _ in self._notes.stored(keys.GIT_TAKEN):
            self._notes.noted[key] = None

    def _next(self) -> bytes:
        if self._taken_count is None:
            taken = [key for key, _ in self._notes.stored(keys.GIT_TAKEN)]
            self._taken_count = keys.number_in(keys.GIT_TAKEN, taken[-1]) + 1 if taken else 0
        key = keys.of_number(keys.GIT_TAKEN, self._taken_count)
        self._taken_count += 1
        return key
