"""Checks of a store, which find what is missing or damaged, and say what needs it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.repo.check import CheckResult, check_store
from heliosfs.steps import run_to_end
from heliosfs.store.memory import MemoryStore
from tests.tree_builder import Stage

LARGE = bytes(range(256)) * 12_000


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("first", a=b"in the first commit", b=b"in both")
    stage.commit("second", a=b"in the second commit")
    stage.files.write(b"d/large", LARGE)
    stage.commit("third")
    stage.files.write(b"d/draft", b"not committed")
    stage.repository.checkpoint()
    return stage


def check(stage: Stage) -> CheckResult:
    return run_to_end(check_store(stage.repository), stage.store)


def blob(data: bytes) -> Oid:
    return object_id(Kind.BLOB, data)


def test_a_sound_store(stage: Stage) -> None:
    checked = check(stage)
    assert checked.problems == []
    assert (checked.commits, checked.operations) == (3, 3)
    assert checked.objects == len(stage.store.objects)


Damage = Callable[[MemoryStore, Oid], None]


def lose(store: MemoryStore, oid: Oid) -> None:
    store.forget(oid)


def change(store: MemoryStore, oid: Oid) -> None:
    store.objects[oid] = store.objects[oid]._replace(data=b"other bytes")


@pytest.mark.parametrize(("damage", "text"), [(lose, "not in the store"), (change, "its bytes")])
@pytest.mark.parametrize(
    ("data", "places"),
    [
        (b"in the first commit", ["commit {0}"]),
        (b"in the second commit", ["commit {1}", "commit {2}"]),
        (LARGE[: 128 * 1024], ["commit {2}"]),
        (b"not committed", ["the working state of main"]),
    ],
)
def test_what_is_damaged_is_named_with_what_needs_it(
    stage: Stage, damage: Damage, text: str, data: bytes, places: list[str]
) -> None:
    damage(stage.store, blob(data))
    ids = [stage.run("rev-parse", f"HEAD~{back}")[:12] for back in (2, 1, 0)]
    (problem,) = check(stage).problems
    assert problem.place in [place.format(*ids) for place in places]
    assert problem.text.startswith(f"object {blob(data).hex()}")
    assert text in problem.text


def test_a_missing_commit_and_the_rest_goes_on(stage: Stage) -> None:
    middle = stage.repository.history.read(stage.view.head).parents[0]  # type: ignore[arg-type]
    stage.store.forget(middle)
    stage.store.forget(blob(b"not committed"))
    texts = [problem.text for problem in check(stage).problems]
    assert any(middle.hex() in text for text in texts)
    assert any(blob(b"not committed").hex() in text for text in texts)


def test_a_tree_that_cannot_be_read(stage: Stage) -> None:
    data = b"\0no tree"
    oid = object_id(Kind.TREE, data)
    stage.store.add(oid, Kind.TREE, data)
    root = stage.view.state().root._replace(oid=oid)
    stage.store.put(b"work/%016x" % 77, stage.view.state()._replace(root=root).encode())
    stage.run("branch", "broken")
    branch = stage.repository.refs.branch("broken")
    state = stage.view.state()._replace(slot=branch.slot, root=root)
    stage.store.put(b"work/%016x" % branch.slot, state.encode())
    (problem,) = check(stage).problems
    assert problem.place == "the working state of broken"
    assert "cannot be read" in problem.text
