"""A bounded dict for values that are asked for repeatedly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

_REMEMBERED_COUNT = 100_000

_Value = TypeVar("_Value")


class TwoGenerationCache(Generic[_Value]):
    """A dict that forgets what was not asked for lately: two generations of `limit` keys each."""

    def __init__(self, limit: int = _REMEMBERED_COUNT) -> None:
        self._limit = limit
        self.young: dict[bytes, _Value] = {}
        """The younger generation, which has most of what is asked for; hot paths may read it
        directly."""
        self._old: dict[bytes, _Value] = {}
        self._forgotten: dict[bytes, _Value] = {}
        """The generation before, which goes an entry at a time: all at once would keep the
        interpreter for 10 ms."""

    def get(self, key: bytes) -> _Value | None:
        """Return the value of a key; None if it was never put, or is forgotten."""
        value = self.young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def __contains__(self, key: bytes) -> bool:
        return key in self.young or key in self._old

    def put(self, key: bytes, value: _Value) -> None:
        """Remember a value; when the young generation is full, forget the old one."""
        if len(self.young) >= self._limit:
            self._age()
        self.young[key] = value
        if self._forgotten:
            self._forgotten.popitem()

    def put_all(self, values: Iterable[tuple[bytes, _Value]]) -> None:
        """Remember several values, which may exceed the limit once."""
        if len(self.young) >= self._limit:
            self._age()
        before = len(self.young)
        self.young.update(values)
        for _ in range(min(len(self.young) - before, len(self._forgotten))):
            self._forgotten.popitem()

    def _age(self) -> None:
        self._forgotten, self._old, self.young = self._old, self.young, {}

    def containers(self) -> tuple[dict[bytes, _Value], ...]:
        """Return what holds the values, for whoever empties it."""
        return self.young, self._old, self._forgotten
