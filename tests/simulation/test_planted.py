"""The simulation finds faults: each of these is planted, and found within so many seeds."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from heliosfs.store import drain
from heliosfs.store.drain import Sync
from heliosfs.store.journal.journal import Journal
from heliosfs.vfs.files import Files
from heliosfs.workspace import switch, unloading
from heliosfs.workspace.nodes import DirNode
from tests.simulation.kernel import CachingKernel
from tests.simulation.run import Failure, simulate

SEEDS_MAX = 400


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def found() -> str:
    """Return the kind of the failure that the first failing seed ends with."""
    for seed in range(SEEDS_MAX):
        try:
            simulate(seed)
        except Failure as failure:
            return failure.kind
    pytest.fail(f"not found in {SEEDS_MAX} seeds")


def test_a_name_that_the_kernel_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CachingKernel, "entry", lambda self, parent, name, child: None)
    assert "Fault" in found()


def test_attributes_that_the_kernel_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def update(*arguments: Any) -> bool:
        known: bool = kept(*arguments)
        arguments[-1].attributes.clear()
        return known

    kept = switch._update
    monkeypatch.setattr(switch, "_update", update)
    assert "attribute" in found()


def test_a_sync_that_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(self: Sync) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self.succeeded = True

    monkeypatch.setattr(Sync, "execute", execute)
    assert "was promised" in found()


def test_a_drain_that_leaves_state_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_batches(database: Any, objects: Any, state: Any, *rest: Any, **options: Any) -> Any:
        return kept(database, objects, dict(list(state.items())[1:]), *rest, **options)

    kept = getattr(drain, "write_batches")  # noqa: B009 (mypy: it is not exported)
    monkeypatch.setattr(drain, "write_batches", write_batches)
    assert "state" in found()


def test_a_segment_that_is_written_over_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def rotate(self: Journal) -> None:
        self._live[-1].end = 0

    monkeypatch.setattr(Journal, "rotate", rotate)
    assert "Fault" in found()


def test_a_file_that_is_cut_off_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def truncate(self: Files, node: Any, size: int) -> None:
        kept(self, node, size or min(node.file_size, 1))

    kept = Files.truncate
    monkeypatch.setattr(Files, "truncate", truncate)
    assert "Fault" in found()


def test_a_node_that_is_unloaded_while_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unload(workspace: Any, node: Any) -> list[DirNode]:
        kept_count, node.lookups = node.lookups, 0
        try:
            return kept(workspace, node)
        finally:
            node.lookups = kept_count

    kept = unloading.unload
    monkeypatch.setattr("heliosfs.vfs.filesystem.unload", unload)
    monkeypatch.setattr("heliosfs.workspace.inode.Inode.is_used", property(lambda self: False))
    assert found()
