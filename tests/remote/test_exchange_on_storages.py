"""Push and fetch over every storage, as two machines with connections of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.remote.buckets.probe import probe
from heliosfs.remote.collection import collect
from heliosfs.remote.layout import settle_format
from heliosfs.remote.push import delete
from heliosfs.remote.refplace import NotFastForward
from heliosfs.steps import run_to_end
from tests.remote.machines import Machine
from tests.remote.storages import STORAGES, Opener


@pytest.fixture(params=list(STORAGES))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with STORAGES[request.param](tmp_path) as opener:
        yield opener


def test_two_machines_share_a_history(opener: Opener) -> None:
    bucket = opener()
    probe(bucket)
    settle_format(bucket)
    settle_format(opener())
    one, two = Machine(opener()), Machine(opener())
    one.commit("first", a=b"1" * 5_000)
    one.push()
    two.pull()
    for number in range(8):
        two.commit(f"{number}", **{f"f{number}": b"%d" % number})
        two.push()
    one.commit("mine", mine=b"2")
    with pytest.raises(NotFastForward):
        one.push()
    one.pull()
    one.push()
    one.run("branch", "größe/a%2Fb")
    one.push("größe/a%2Fb")
    three = Machine(opener())
    three.fetch()
    three.run("merge", "origin/größe/a%2Fb")
    assert three.head == one.head
    assert three.files.tree() == one.files.tree()
    three.check()
    two.pull()
    assert two.head == one.head
    assert two.fetch().moved == []


def test_a_collection_merges_and_deletes(opener: Opener) -> None:
    bucket = opener()
    settle_format(bucket)
    one = Machine(opener())
    for number in range(5):
        one.commit("work", **{f"f{number}": b"%d" % number * 30_000})
        one.push()
    one.run("switch", "-q", "-c", "idea")
    one.commit("idea", idea=b"1" * 100)
    one.push("idea")
    run_to_end(delete(one.repository, opener(), "origin", "idea"), one.store)
    assert len(list(bucket.list("trees/"))) == 6
    deleted = 0
    for _ in range(10):
        # Nobody else is there whom it would have to wait for, but a clock may count seconds only.
        deleted += run_to_end(collect(opener(), grace_seconds=0.0), one.store).deleted_count
        if len(list(bucket.list("trees/"))) == 1:
            break
        time.sleep(0.5)
    assert deleted >= 5
    assert len(list(bucket.list("trees/"))) == 1
    assert {each.key for each in bucket.list("gc/")} >= {"gc/boundary"}
    two = Machine(opener())
    two.pull()
    two.check()
    one.run("switch", "-q", "main")
    assert two.files.tree() == one.files.tree()
    one.commit("more", more=b"1")
    one.push()
    two.pull()
    assert two.head == one.head
