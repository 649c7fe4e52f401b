"""Findings in a repository that is not as it was left: settings, files, single operations."""

from __future__ import annotations

import pytest
from blake3 import blake3

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.ids import Oid
from heliosfs.repo import keys
from heliosfs.repo.check import check_store
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.operation import decode_place
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


def test_a_branch_whose_head_is_lost_keeps_its_files_and_lets_the_others_be_used() -> None:
    stage = Stage()
    sound = stage.commit("one", a=b"1")
    stage.run("branch", "other")
    lost = stage.commit("two", a=b"2")
    stage.files.write(b"b", b"uncommitted")
    stage.reopen()
    del stage.store.objects[Oid(bytes.fromhex(lost))]
    stage.crash()
    (found,) = stage.repository.findings
    assert found.startswith(
        f"{lost[:12]}, the HEAD of branch 'main', cannot be read (object {lost}"
    )
    assert "'helios reset REV' leads it to another commit" in found
    with pytest.raises(CorruptObject, match=r"when it was opened: .*the HEAD of branch 'main'"):
        stage.run("fsck")
    for line in (
        "status",
        "diff",
        "commit -m x",
        f"reset --hard {sound}",
        "log",
        "undo",
        "show",
        "stash",
        "rev-parse HEAD~1",
        "blame a",
    ):
        with pytest.raises(MissingObject, match=f"{lost[:12]}, the HEAD of .*'helios reset REV'"):
            stage.run(*line.split())
    newest, older = stage.run("oplog").splitlines()[:2]
    assert newest == f"   2 (cannot be read: object {lost} is not in the store)"
    assert f"-> {sound[:12]} one" in older
    assert stage.run("branch", "-v") == (
        f"* main  {lost[:12]} (cannot be read: 'helios fsck' tells more)\n"
        f"  other {sound[:12]} one\n"
    )
    for line in ("for-each-ref", "branch --merged main"):
        with pytest.raises(MissingObject, match=f"{lost[:12]} of branch 'main' .*'helios fsck --r"):
            stage.run(*line.split(), branch="other")
    assert stage.files.read(b"a") == b"2"
    stage.live("other").write(b"c", b"3")
    stage.run("commit", "-m", "three", branch="other")
    stage.run("checkout", "other")
    assert stage.run("status", "-s") == ""
    stage.run("checkout", "main")
    stage.run("reset", sound)
    assert (stage.files.read(b"a"), stage.files.read(b"b")) == (b"2", b"uncommitted")
    assert stage.run("status", "-s") == " M a\n A b\n"
    stage.commit("two again")
    stage.reopen()
    assert stage.repository.findings == []


def test_the_place_of_an_operation_is_read_without_its_commit() -> None:
    stage = Stage()
    stage.commit("one", a=b"1")
    stage.commit("two", a=b"2")
    stage.run("undo")
    stage.run("tag", "v1")
    stage.run("reset", "HEAD")
    stage.files.write(b"b", b"3")
    stage.run("commit", "--work", "-m", "three")
    log = stage.view.log
    newest = log.last
    assert newest is not None
    stage.reopen()
    assert stage.view.log.last == newest
    for operation in log.operations():
        data = stage.store.get(
            keys.of_operation(keys.OPERATION, stage.view.slot, operation.sequence)
        )
        assert data is not None
        assert decode_place(operation.sequence, data) == (
            operation.sequence,
            operation.time_ns,
            operation.undoes,
            operation.redoes,
        )
        with pytest.raises(CorruptObject, match=f"operation {operation.sequence} cannot be read"):
            decode_place(operation.sequence, data[:33])
