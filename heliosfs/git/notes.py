"""Notes of imports and exports: state that waits to be published with the objects it names."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.store.base import StateMap


class Notes:
    """Keys and values that hide those of the store, until they are taken.

    They wait here and not in the store's batch: between two steps of an export, a publish by
    another verb may fail, and then the batch loses its state.
    """

    def __init__(self, store: StateMap) -> None:
        self._store = store
        self.noted: dict[bytes, bytes | None] = {}
        """New state by key; None removes a key.  What notes much adds to it without a call each."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, as noted or else as stored."""
        return self.noted[key] if key in self.noted else self._store.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys under a prefix and their values, as noted or else as stored."""
        held: dict[bytes, bytes | None] = dict(self._store.scan(prefix))
        held.update((key, value) for key, value in self.noted.items() if key.startswith(prefix))
        for key, value in held.items():
            if value is not None:
                yield key, value

    def stored(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return the stored keys under a prefix, and their values, in order; none that wait."""
        return self._store.scan(prefix)

    def take(self) -> dict[bytes, bytes | None]:
        """Return what was noted; the caller stores it."""
        noted, self.noted = self.noted, {}
        return noted
