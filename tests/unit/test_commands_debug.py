"""`debug`: what is dumped of objects, chains, state and the journal, and that nothing changes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from heliosfs.cli.main import main
from heliosfs.clock import FixedClock
from heliosfs.commands.table import run as run_verb
from heliosfs.errors import Ambiguous, NotFound, UsageError
from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from heliosfs.objects.ids import Kind, object_id
from heliosfs.objects.tree import INDEX_FROM
from heliosfs.repo.repository import Repository
from heliosfs.store.local import LocalStore
from tests.stores import open_local, run
from tests.tree_builder import IDENTITY, Stage, TreeBuilder


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit(a=b"first")
    stage.files.symlink(b"l", b"a b")
    stage.files.link(b"a", b"z")
    stage.commit(b=b"second")
    return stage


def rows(stage: Stage, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stage.run("debug", *words, "--json"))
    return found


def test_a_commit_a_tree_and_a_file(stage: Stage) -> None:
    head, root, *more = rows(stage, "object", "HEAD")
    assert (head["id"], head["kind"], head["in"]) == (stage.head, "commit", "memory")
    assert root["links_below"] == 1
    assert any("parent" in row for row in more)
    assert more[-1] == {"message": "work"}
    tree, *entries = rows(stage, "object", root["root"][:12])
    assert tree["kind"] == "tree"
    assert [entry["name"] for entry in entries] == ["a", "b", "l", "z"]
    assert entries[0]["link_group"] == entries[3]["link_group"]
    assert entries[2]["target"] == "a b"
    blob, text = rows(stage, "object", "HEAD:b")
    assert (blob["kind"], bytes.fromhex(text["bytes"])) == ("blob", b"second")
    assert 'target="a b"' in stage.run("debug", "object", root["root"])


def test_large_files_and_directories_are_bounded(stage: Stage) -> None:
    stage.files.write(b"large", bytes(WHOLE_MAX) + b"x" * PART_BYTES)
    for number in range(INDEX_FROM):
        stage.files.write(b"d/%03d" % number, b"")
    stage.commit()
    parts, size, last = rows(stage, "object", "HEAD:large")
    assert (parts["kind"], size["file_bytes"]) == ("parts", WHOLE_MAX + PART_BYTES)
    assert last["part"] == WHOLE_MAX // PART_BYTES
    found = rows(stage, "object", "HEAD:d", "--limit", "2")
    assert [*found[1]] == ["leaf", "first"]
    assert found[2:] == [{"more": "see --limit"}]


def test_what_no_name_leads_to_is_found_by_its_id(stage: Stage) -> None:
    oid = object_id(Kind.BLOB, b"nobody's")
    stage.store.add(oid, Kind.BLOB, b"nobody's")
    assert rows(stage, "object", oid.hex()[:9])[0]["id"] == oid.hex()
    assert rows(stage, "chain", oid.hex())[0]["codec"] == "raw"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("object",),
        ("chain", "a", "b"),
        ("journal", "x"),
        ("nothing", "x"),
        ("state", "--limit", "0"),
        ("state", "--limit", "1001"),
    ],
)
def test_wrong_words(stage: Stage, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        stage.run("debug", *words)


def test_objects_that_are_not_there(stage: Stage) -> None:
    for word in ("0000", "nothing", "HEAD:none", "f" * 64):
        with pytest.raises(NotFound, match=r"no object .* in the store"):
            stage.run("debug", "object", word)
    found = [object_id(Kind.BLOB, b"%d" % number).hex() for number in range(1000)]
    prefix = next(one[:4] for one in found if sum(other.startswith(one[:4]) for other in found) > 1)
    for number in range(1000):
        stage.store.add(object_id(Kind.BLOB, b"%d" % number), Kind.BLOB, b"%d" % number)
    with pytest.raises(Ambiguous, match=prefix):
        stage.run("debug", "object", prefix)


def build(store: LocalStore) -> tuple[Repository, TreeBuilder]:
    repository = Repository.open(store, FixedClock(), IDENTITY)
    files = TreeBuilder(repository.root.workspace)
    for number in range(3):
        files.write(b"notes", b"a line of text\n" * 200 + b"%d\n" % number)
        repository.root.commit("work")
    return repository, files


def test_chains_and_layers_of_a_store_on_a_disk(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    repository, files = build(store)

    def dump(*words: str) -> list[dict[str, Any]]:
        text = run_verb(repository, repository.root, ["debug", *words, "--json"])
        found: list[dict[str, Any]] = json.loads(text)
        return found

    assert dump("object", "HEAD")[0]["in"] == "pending"
    with pytest.raises(NotFound, match="not in L2 yet"):
        dump("chain", "HEAD:notes")
    batches = dump("journal")
    assert [row["batch"] for row in batches if "batch" in row] == [1, 2, 3, 4]
    ends = {row["file"]: row["sound_bytes"] for row in batches if "sound_bytes" in row}
    assert ends == {"journal-1": sum(row.get("bytes", 0) for row in batches), "journal-2": 0}
    assert "blob" in batches[1]["objects"] and "branch/main" in batches[1]["state"]
    run(store.plan_drain())
    assert dump("object", "HEAD")[0]["in"] == "L2"
    chain = dump("chain", "HEAD:notes")
    assert [row["position"] for row in chain] == [2, 1, 0]
    assert [row["base"] for row in chain] == [chain[1]["number"], chain[2]["number"], 0]
    assert chain[0]["stored_bytes"] < chain[2]["stored_bytes"] < chain[0]["size"]
    assert {row["in"] for row in dump("state", "branch/")} == {"L2"}
    files.write(b"notes", b"new")
    repository.root.commit("work")
    store.put(b"branch/gone", None)
    (removed, main_branch) = sorted(dump("state", "branch/"), key=lambda row: row["key"])
    assert (removed["in"], removed["removed"]) == ("batch", 1)
    assert (main_branch["in"], main_branch["size"]) == ("published", 40)
    assert len(dump("state", "--limit", "3")) == 4
    store.abandon()
    store.close()


def test_large_objects_lie_in_packs(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    repository, files = build(store)
    files.write(b"large", os.urandom(200_000))
    repository.root.commit("work")
    run(store.plan_drain())
    text = run_verb(repository, repository.root, ["debug", "chain", "HEAD:large"])
    assert 'place="pack-1 at 0"' in text and "codec=raw" in text
    store.close()


def test_the_journal_of_a_killed_daemon_is_read_and_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").mkdir()
    monkeypatch.chdir(tmp_path / "w")
    assert main(["init"]) == 0
    store = open_local(tmp_path / "w/.helios")
    build(store)
    monkeypatch.chdir(tmp_path / "w")
    assert main(["debug", "journal"]) == 1
    assert "in use" in capfd.readouterr().err
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "w", left)
    store.close()
    before = {path.name: path.read_bytes() for path in (left / ".helios").iterdir()}
    monkeypatch.chdir(left)
    assert main(["debug", "journal", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert sum("batch" in row for row in found) == 3
    assert {path.name: path.read_bytes() for path in (left / ".helios").iterdir()} == before
    assert main(["debug", "state", "branch/"]) == 0
    assert "key=branch/main" in capfd.readouterr().out
