"""Notes on the scores that a remote has, as they were last seen, by branch."""

from __future__ import annotations

from heliosfs.repo import keys
from heliosfs.store.base import StateMap


class ScoreNotes:
    """The records of scores of one remote, as last seen.  Changes go into the store's batch."""

    def __init__(self, store: StateMap, remote: str) -> None:
        self._store = store
        self._prefix = keys.of_name(keys.REMOTE_SCORES, f"{remote}/")

    def find(self, branch: str) -> tuple[str, bytes] | None:
        """Return version and bytes of the record of a branch; None for none."""
        value = self._store.get(keys.of_name(self._prefix, branch))
        if value is None:
            return None
        version, _, data = value.partition(b"\0")
        return version.decode("utf-8", "replace"), data

    def versions(self) -> dict[str, str]:
        """Return the versions of all records, by branch."""
        return {
            keys.name_in(self._prefix, key): value.partition(b"\0")[0].decode("utf-8", "replace")
            for key, value in self._store.scan(self._prefix)
        }

    def note(self, branch: str, seen: tuple[str, bytes] | None) -> None:
        """Keep what was seen of the record of a branch; None for none."""
        value = seen[0].encode() + b"\0" + seen[1] if seen is not None else None
        self._store.put(keys.of_name(self._prefix, branch), value)

    def forget(self) -> None:
        """Forget all records."""
        for branch in self.versions():
            self.note(branch, None)
