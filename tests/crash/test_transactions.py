"""A verb is one transaction: whatever fails in it, nothing has changed, and it can be repeated."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import heliosfs
from heliosfs.clock import FixedClock
from heliosfs.errors import Busy, StoreError, StoreFull
from heliosfs.repo.repository import Repository
from tests.failing_store import Died, FailingStore
from tests.tree_builder import IDENTITY, Stage, TreeBuilder
from tests.verb_scenarios import (
    SCENARIOS,
    Scenario,
    build,
    carry_out,
    missing_verbs,
    picture,
    prepare,
)


def opened(scenario: Scenario) -> tuple[FailingStore, Repository]:
    store = FailingStore()
    repository = Repository.open(store, FixedClock(), IDENTITY)
    build(repository)
    prepare(repository, scenario)
    return store, repository


def reopened(store: FailingStore) -> Repository:
    store.arm(0, Died)
    store.drop_unpublished()
    return Repository.open(store, FixedClock(start_ns=10**18), IDENTITY)


def test_every_verb_has_its_place() -> None:
    assert missing_verbs() == set()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_nothing_is_half_done(scenario: Scenario) -> None:
    store, repository = opened(scenario)
    store.arm(0, Died)
    before = picture(repository)
    carry_out(repository, scenario)
    assert store.publish_count == 1
    assert picture(repository) != before
    count, step = store.count, 1
    failures: tuple[Callable[[], BaseException], ...] = (
        lambda: StoreFull("no space is left"),
        lambda: StoreError("the disk failed"),
        Died,
    )
    while step <= count:
        store, repository = opened(scenario)
        before = picture(repository)
        store.arm(step, failures[step % 3])
        try:
            carry_out(repository, scenario)
        except (StoreError, Died):
            assert picture(repository) == before, f"in memory, after step {step}"
            store.arm(0, Died)
            carry_out(repository, scenario)
            assert picture(repository) != before
        store.arm(0, Died)
        after = picture(repository)
        again = reopened(store)
        assert picture(again) == after, f"in the store, after step {step}"
        step += 1
    _dies_before_and_after_the_publish(scenario)


def _dies_before_and_after_the_publish(scenario: Scenario) -> None:
    store, repository = opened(scenario)
    before = picture(repository)
    publish = store.publish

    def die() -> None:
        raise Died

    store.publish = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        carry_out(repository, scenario)
    store.publish = publish  # type: ignore[method-assign]
    assert picture(reopened(store)) == before


def test_a_verb_that_is_refused_midway_takes_back_what_it_did() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    for name in ("one", "two"):
        stage.run("branch", name)
    stage.live("two").write(b"b", b"uncommitted")
    stage.repository.checkpoint()
    before = picture(stage.repository)
    with pytest.raises(Busy, match="uncommitted changes"):
        stage.run("branch", "-d", "one", "two")
    assert picture(stage.repository) == before
    stage.crash()
    assert picture(stage.repository) == before


def test_an_inner_failure_that_is_swallowed_is_a_bug() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    before = picture(stage.repository)
    repository = stage.repository

    def swallow() -> None:
        with repository.transaction, contextlib.suppress(Busy), repository.transaction:
            repository.refs.create("x", None)
            raise Busy("refused")

    with pytest.raises(RuntimeError, match="a nested transaction failed"):
        swallow()
    assert picture(repository) == before


def test_what_spills_during_a_transaction_is_not_published_early() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    repository = stage.repository
    with pytest.raises(Busy), repository.transaction:
        repository.refs.create("x", None)
        TreeBuilder(stage.view.workspace).write(b"large", bytes(100_000))
        repository.working_set.reduce(0)
        raise Busy("refused")
    stage.crash()
    assert "x" not in stage.repository.refs


PUBLISHERS = {
    "repo/transaction.py": "the end of a transaction",
    "repo/core.py": "what is spilled outside of a transaction",
    "repo/first_parents.py": "records that a store of an earlier version lacks",
    "repo/repository.py": "a new repository",
    "repo/rescue.py": "a new store of what a damaged one has",
    "repo/gc/collect.py": "steps that remove what nobody names",
    "repo/gc/forgetting.py": "steps that remove what nobody names",
    "git/adopt.py": "commits that are announced before the refs",
    "git/boundary.py": "ids of objects that git has",
    "git/conversion.py": "ids of objects that git has",
    "git/ids.py": "ids of objects that git has",
    "git/retained.py": "ids of objects that are gone",
    "gitserver/taking.py": "annotated tags, before the refs",
    "remote/contents.py": "objects that are here, before what they replace is forgotten",
    "remote/hydration.py": "contents that have come",
    "remote/download.py": "commits that are announced before the refs",
    "remote/places.py": "contents that were promised, and lie beside trees now",
    "commands/exchange/from_directory.py": "objects of a large directory, before they are named",
    "daemon/keeper.py": "objects that wait",
}


def test_only_these_modules_publish() -> None:
    """A verb that published by itself would be two transactions."""
    package = Path(heliosfs.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\bpublish\(\)", path.read_text()) and "store/" not in str(path)
    }
    assert found == set(PUBLISHERS)
