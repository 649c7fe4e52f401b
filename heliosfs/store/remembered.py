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
            self._old, self.young = self.young, {}
        self.young[key] = value

    def put_all(self, values: Iterable[tuple[bytes, _Value]]) -> None:
        """Remember several values, which may exceed the limit once."""
        if len(self.young) >= self._limit:
            self._old, self.young = self.young, {}
        self.young.update(values)
