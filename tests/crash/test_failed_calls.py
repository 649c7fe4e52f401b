"""A system call of a store fails that only looks at files: it is told as an error of the store.

The calls that change files fail in the other tests of this level, by way of `FaultyDirectory`.
Whoever uses a store expects StoreError; an OSError would be taken for a bug, and end more than the
verb.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heliosfs.errors import StoreError
from heliosfs.objects.ids import Kind, object_id
from heliosfs.steps import Work, perform
from heliosfs.store.directory import Directory
from heliosfs.store.inspection import read_journal
from heliosfs.store.local import LocalStore
from heliosfs.store.rescue import DamagedStore
from tests.crash.scenario import Scenario
from tests.stores import open_local

CALLS = ("dup", "fstat", "fstatvfs", "listdir", "open", "posix_fadvise", "pread", "stat")


class Calls:
    """The calls to the system that Python code makes, of which one fails."""

    def __init__(self) -> None:
        self.count = 0
        self.fail_at = 0
        self.error = errno.EMFILE
        self.failed = ""

    @contextmanager
    def failing(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self._counted(name, getattr(os, name)))
            yield

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.fail_at:
                self.failed = name
                raise OSError(self.error, os.strerror(self.error))
            return call(*arguments, **options)

        return counted


def attempt(act: Callable[[], object]) -> None:
    """Do something, which may fail with an error of the store, but with no other."""
    try:
        act()
    except StoreError:
        pass


def publish(store: LocalStore, number: int) -> Callable[[], None]:
    def act() -> None:
        scenario = Scenario()
        scenario.publish(store, number)

    return act


def carry_out(plan: Callable[[], Work | None]) -> bool:
    """Carry out what is planned; return False if there is nothing to do."""
    work = plan()
    if work is not None:
        perform(work)
    return work is not None


def collect(store: LocalStore) -> None:
    collection = store.collect()
    try:
        while carry_out(collection.plan_settle):
            pass
        blob = Scenario.blob(1)
        with collection.snapshot():
            collection.enter(Kind.BLOB, object_id(Kind.BLOB, blob))
        while carry_out(collection.plan_sweep):
            pass
    finally:
        collection.close()


def life(fd: int) -> None:
    """Everything that a store can be asked for, twice."""
    for number in (1, 4):
        try:
            store = LocalStore(Directory(fd), create=True, cache_bytes=1 << 20)
        except StoreError:
            continue
        large = Scenario.large(number)
        for act in (
            publish(store, number),
            lambda store=store: carry_out(store.plan_sync),
            publish(store, number + 1),
            lambda store=store: carry_out(store.plan_drain),
            publish(store, number + 2),
            store.stats,
            store.disk,
            store.inspect().problems,
            lambda store=store: list(store.inspect().journal()),
            lambda store=store, large=large: store.read(object_id(Kind.BLOB, large), Kind.BLOB),
            lambda store=store: collect(store),
            store.close,
        ):
            attempt(act)
    for look in (lambda: list(read_journal(fd)), lambda: DamagedStore(fd).close()):
        attempt(look)


def test_every_failed_call_is_an_error_of_the_store(tmp_path: Path) -> None:
    step = 0
    while True:
        step += 1
        path = tmp_path / f"{step}"
        path.mkdir()
        calls = Calls()
        calls.fail_at = step
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        with calls.failing():
            life(fd)
        os.close(fd)
        if not calls.failed:
            break
        # Whatever it was, the next process finds a store.
        open_local(path).close()
    assert step > 100
