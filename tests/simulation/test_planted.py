"""The simulation finds faults: each of these is planted, and found within so many seeds."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from heliosfs.commands.exchange.from_directory import _Import
from heliosfs.daemon import verbs
from heliosfs.daemon.turns import Turns
from heliosfs.errors import PosixError
from heliosfs.repo.gc.retention import Retention
from heliosfs.store import drain
from heliosfs.store.drain import Sync
from heliosfs.store.formats import format2
from heliosfs.store.journal.journal import Journal
from heliosfs.store.sidefile import BesideFile
from heliosfs.vfs.control_request import BegunBarrier
from heliosfs.vfs.files import Files
from heliosfs.workspace import switch, unloading
from heliosfs.workspace.nodes import DirNode
from tests.simulation.kernel import CachingKernel
from tests.simulation.mount import SimulatedKernel
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
    assert "batch" in found()


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
    assert "batch" in found()


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


def test_a_save_that_leaves_the_pages_of_mappings_to_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def barrier(self: SimulatedKernel, begun: BegunBarrier | None = None) -> None: ...

    monkeypatch.setattr(SimulatedKernel, "barrier", barrier)
    assert "mapping" in found()


def test_a_verb_that_leaves_the_pages_of_mappings_to_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def capture(self: Turns, request: Any) -> None: ...

    monkeypatch.setattr(Turns, "capture", capture)
    assert "does not see what a mapping changed" in found()


def test_an_attribute_that_no_save_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliosfs.vfs.xattrs.set_xattr", set_without_touch)
    monkeypatch.setattr("heliosfs.daemon.rare_requests.set_xattr", set_without_touch)
    assert "Fault" in found()


def set_without_touch(filesystem: Any, node: Any, name: bytes, value: bytes | None) -> None:
    """Set an attribute behind the back of the next flush."""
    if value is not None:
        node.xattrs = {**(node.xattrs or {}), name: value}
    elif not node.xattrs or node.xattrs.pop(name, None) is None:
        raise PosixError(errno.ENODATA)


def test_settings_that_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BesideFile, "replace", lambda self, data: None)
    assert "settings" in found()


def test_a_collection_that_takes_what_can_be_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retention, "keeps", lambda self, operation, count: False)
    assert "nothing to" in found()


def test_a_long_verb_that_goes_on_when_its_caller_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs.Verbs, "release", lambda self, channel: None)
    assert "is taken for ever" in found()


def test_an_upgrade_that_forgets_a_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format2, "seal_of", lambda sealed: 1)
    # By the next open, or by an fsck before it.
    fault = found()
    assert "damage is told of" in fault or "the files of the store" in fault


def test_a_directory_that_is_taken_in_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(importing: _Import, *arguments: Any) -> Iterator[Any]:
        return islice(edits(importing, *arguments), 1)

    edits = _Import._edits
    monkeypatch.setattr(_Import, "_edits", first)
    assert "KeyError" in found()
