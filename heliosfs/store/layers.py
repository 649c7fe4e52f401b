"""The state of a store in the layers that it passes through: batch, published, draining, L2.

A value of an upper layer hides those of the same key below.  `_seen` merges all layers above L2
into one dictionary, because every read looks there first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from heliosfs.store.pending import KEY_MAX, SHAPED, Changes, check_key, overlay

_UNSET = object()

State = dict[bytes, bytes | None]
"""Keys and values; None removes a key that a lower layer has."""


class StateBelow(Protocol):
    """The state that L2 has."""

    def get_state(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""

    def scan_state(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the keys that begin with a prefix, and their values, in order."""


class StateLayers:
    """The state of a store: the values that were put, in layers by their progress to L2.

    Its `get`, `put`, `scan` and `abandon` are bound as those of the store: a commit calls them a
    dozen times, and methods that pass a call on would make it two.
    """

    def __init__(self, below: StateBelow) -> None:
        self._below = below
        self._seen: State = {}
        self.batch: State = {}
        """State put since the last publish."""
        self.published: State = {}
        """State in the journal that no drain has moved yet."""
        self._draining: Mapping[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        value = self._seen.get(key, _UNSET)
        if value is _UNSET:
            return self._below.get_state(key)
        return value  # type: ignore[return-value]

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set a key in the batch; None removes it.  Raise ValueError for a wrong key."""
        if not 0 < len(key) <= KEY_MAX or key[0] in SHAPED:
            check_key(key)
        self._seen[key] = self.batch[key] = value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return the state of all layers under a prefix, in order of the keys, as of the call."""
        return iter(overlay(self._below.scan_state(prefix), self._seen, prefix))

    def above(self, prefix: bytes) -> Iterator[tuple[bytes, bytes | None, str]]:
        """Return the state of a prefix above L2: key, value (None: removed) and layer."""
        for key, value in sorted(self._seen.items()):
            if key.startswith(prefix):
                is_published = key in self.published
                layer = "published" if is_published else "draining"
                yield key, value, "batch" if key in self.batch else layer

    def abandon(self) -> None:
        """Take back the state of the batch."""
        for key in self.batch:
            if key in self.published:
                self._seen[key] = self.published[key]
            elif key in self._draining:
                self._seen[key] = self._draining[key]
            else:
                del self._seen[key]
        self.batch = {}

    def publish(self) -> None:
        """Move the state of the batch, which the journal has now, to the published layer."""
        self.published.update(self.batch)
        self.batch = {}

    def take_over(self, state: Changes) -> None:
        """Add the state that a journal has, from batches of a run before this one."""
        self.published.update(state)
        self._seen.update(state)

    def begin_drain(self) -> State:
        """Move the published state to the draining layer, and return it."""
        # I32: one drain at a time, or its values would hide those of the one before.
        assert not self._draining
        state, self.published = self.published, {}
        self._draining = state
        return state

    def end_drain(self, *, succeeded: bool) -> None:
        """Drop the draining layer; after a failed drain, add it to the published layer."""
        state, self._draining = self._draining, {}
        if not succeeded:
            self.published = {**state, **self.published}
            return
        # I32: a newer value of the key hides what came to L2.
        for key in state:
            if key not in self.published and key not in self.batch:
                del self._seen[key]
