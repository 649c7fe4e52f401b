"""A bounded memory for what repeats."""

from __future__ import annotations

from typing import Generic, TypeVar

_REMEMBERED_COUNT = 100_000

_Value = TypeVar("_Value")


class Recent(Generic[_Value]):
    """A dict that forgets what was not asked for lately: two generations of `limit` keys."""

    def __init__(self, limit: int = _REMEMBERED_COUNT) -> None:
        self._limit = limit
        self.young: dict[bytes, _Value] = {}
        """Most of what is asked for is here: callers in a hurry may look on their own."""
        self._old: dict[bytes, _Value] = {}

    def get(self, key: bytes) -> _Value | None:
        """What is remembered under the key; None when it was forgotten."""
        value = self.young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: bytes, value: _Value) -> None:
        """Remember."""
        if len(self.young) >= self._limit:
            self._old, self.young = self.young, {}
        self.young[key] = value
