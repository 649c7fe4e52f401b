"""Push and fetch over every storage, as two machines with connections of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.remote.buckets.probe import probe
from heliosfs.remote.layout import settle_format
from heliosfs.remote.refplace import NotFastForward
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
