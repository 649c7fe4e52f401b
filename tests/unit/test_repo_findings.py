"""Findings in a repository that is not as it was left: settings, files, single operations."""

from __future__ import annotations

import pytest
from blake3 import blake3

from heliosfs.errors import CorruptObject
from heliosfs.repo import keys
from heliosfs.repo.check import check_store
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.repository import Repository
from heliosfs.steps import run_to_end
from heliosfs.store.sidefile import MemoryFile
from tests.tree_builder import IDENTITY, Stage

SETTINGS = b"performance:\n  l1_cache_size: 64MB\n"


def opened(stage: Stage, text: bytes | None) -> Repository:
    repository = Repository.open(stage.store, stage.clock, IDENTITY)
    repository.configure(Configuration(MemoryFile(text)))
    return repository


def test_settings_that_are_gone_are_told_of() -> None:
    """A file that is missing until there is one again, one that was emptied once."""
    stage = Stage()
    assert opened(stage, None).findings == []
    assert opened(stage, SETTINGS).findings == []
    assert opened(stage, SETTINGS).findings == []
    digest = blake3(SETTINGS).hexdigest()[:16]
    for _ in range(2):
        (found,) = opened(stage, None).findings
        assert found.startswith(f"helios.yaml is missing, and had settings (BLAKE3 {digest}…): ")
        assert "put it back from a copy" in found
    assert opened(stage, SETTINGS).findings == []
    (found,) = opened(stage, b"").findings
    assert found.startswith(f"helios.yaml is empty, and had settings (BLAKE3 {digest}…): ")
    for empty in (b"", None):
        assert opened(stage, empty).findings == []


def test_settings_that_are_set_again_are_not_missed() -> None:
    stage = Stage()
    opened(stage, SETTINGS)
    file = MemoryFile()
    repository = Repository.open(stage.store, stage.clock, IDENTITY)
    repository.configure(Configuration(file))
    assert len(repository.findings) == 1
    repository.configuration.set("performance.l1_cache_size", "64MB")
    assert opened(stage, file.data).findings == []


def test_settings_that_are_others_are_told_of() -> None:
    stage = Stage()
    opened(stage, SETTINGS)
    (found,) = opened(stage, SETTINGS.replace(b"64", b"65")).findings
    assert found.startswith("helios.yaml is not as it was last read")


def test_settings_that_were_set_here_are_as_they_were_read() -> None:
    stage = Stage()
    file = MemoryFile()
    repository = Repository.open(stage.store, stage.clock, IDENTITY)
    repository.configure(Configuration(file))
    repository.configuration.set("performance.l1_cache_size", "32MB")
    assert opened(stage, file.data).findings == []
    repository.configuration.unset("performance.l1_cache_size")
    assert opened(stage, file.data).findings == []


def test_findings_are_problems_of_a_check() -> None:
    stage = Stage()
    stage.repository.findings.append("pack-1 is missing")
    (problem,) = run_to_end(check_store(stage.repository), stage.store).problems
    assert problem == ("when it was opened", "pack-1 is missing")


def test_a_check_goes_on_behind_operations_that_are_missing() -> None:
    stage = Stage()
    for number in range(6):
        stage.commit(f"commit {number}", a=b"%d" % number)
    slot = stage.view.slot
    log, _, _ = keys.of_log(slot)
    for sequence in (2, 5):
        stage.store.put(log + keys.NUMBER.pack(sequence), None)
    stage.store.publish()
    with pytest.raises(CorruptObject):
        list(stage.view.log.operations())
    checked = run_to_end(check_store(stage.repository), stage.store)
    assert checked.operations == 4
    assert [problem.place for problem in checked.problems] == [
        "operation 5 of main",
        "operation 2 of main",
    ]
