"""Long work in steps, driven where nobody else waits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs import steps as module
from heliosfs.errors import StoreFull
from heliosfs.objects.ids import Kind, object_id
from heliosfs.steps import ALONE, TURN, Progress, Steps, on_thread, run_to_end
from heliosfs.store.base import Store
from heliosfs.store.local import LocalStore
from heliosfs.store.memory import MemoryStore


class Task:
    """Work that fails when told to."""

    def __init__(self, said: list[str], error: Exception | None = None) -> None:
        self._said = said
        self._error = error

    def execute(self) -> None:
        self._said.append("execute")
        if self._error is not None:
            raise self._error

    def apply(self) -> None:
        self._said.append("apply")


def test_the_result_is_that_of_the_generator_and_progress_is_told() -> None:
    def work() -> Steps[int]:
        yield TURN
        yield Progress(1, 2, "commits")
        number = yield from on_thread(lambda: 41)
        yield ALONE
        return number + 1

    told: list[Progress] = []
    assert run_to_end(work(), MemoryStore(), told.append) == 42
    assert told == [Progress(1, 2, "commits")]


def test_work_that_failed_is_applied_and_raises_where_it_was_planned() -> None:
    said: list[str] = []

    def work() -> Steps[str]:
        try:
            yield Task(said, StoreFull("no room"))
        except StoreFull as error:
            said.append(f"caught {error}")
        yield Task(said)
        return "went on"

    assert run_to_end(work(), MemoryStore()) == "went on"
    assert said == ["execute", "apply", "caught no room", "execute", "apply"]


def test_an_error_ends_it_and_what_it_held_is_freed() -> None:
    said: list[str] = []

    def work() -> Steps[None]:
        try:
            yield Task(said, StoreFull("no room"))
        finally:
            said.append("freed")

    with pytest.raises(StoreFull):
        run_to_end(work(), MemoryStore())
    assert said == ["execute", "apply", "freed"]


def test_who_reports_may_stop_it() -> None:
    said: list[str] = []

    def work() -> Steps[None]:
        try:
            yield Progress(1, 2, "files")
        finally:
            said.append("freed")

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_to_end(work(), MemoryStore(), stop)
    assert said == ["freed"]


def test_the_store_is_drained_as_it_fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKLOG_BYTES", 4096)
    dir_fd = os.open(tmp_path, os.O_RDONLY)
    store = LocalStore.open(dir_fd, create=True)
    os.close(dir_fd)
    seen: list[int] = []

    def work(store: Store) -> Steps[None]:
        for number in range(8):
            data = bytes([number]) * 2048
            store.add(object_id(Kind.BLOB, data), Kind.BLOB, data)
            store.publish()
            seen.append(store.pending_bytes)
            yield TURN

    run_to_end(work(store), store)
    store.close()
    assert max(seen) <= 4096 + 2048
