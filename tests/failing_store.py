"""A store in memory of which any call can be let fail, or be the last of its process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heliosfs.store.memory import MemoryStore


class Died(BaseException):
    """The process ends here."""


class FailingStore(MemoryStore):
    """A store of which the call numbered `fail_at` fails, from when it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.fail_at = 0
        self.count = 0
        self.failure: Callable[[], BaseException] = Died
        self.publish_count = 0

    def arm(self, fail_at: int, failure: Callable[[], BaseException]) -> None:
        self.fail_at, self.failure, self.count, self.publish_count = fail_at, failure, 0, 0

    def _step(self) -> None:
        self.count += 1
        if self.count == self.fail_at:
            raise self.failure()

    def read(self, *arguments: Any) -> bytes:
        self._step()
        return super().read(*arguments)

    def get(self, key: bytes) -> bytes | None:
        self._step()
        return super().get(key)

    def add(self, *arguments: Any, **options: Any) -> None:
        self._step()
        super().add(*arguments, **options)

    def put(self, key: bytes, value: bytes | None) -> None:
        self._step()
        super().put(key, value)

    def publish(self) -> None:
        self._step()
        self.publish_count += 1
        super().publish()
