"""Saves: what is kept of the automatic saves, and for how long."""

from __future__ import annotations

import random

import pytest

from heliosfs.errors import StoreFull
from heliosfs.repo.saves import COUNT_MAX, HOUR_COUNT, MINUTE_COUNT, RECENT_COUNT, Saves
from heliosfs.store.memory import MemoryStore
from tests.tree_builder import Stage

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
START_NS = 1_700_000_000 * SECOND_NS


def times(saves: Saves) -> list[int]:
    """Seconds since the beginning."""
    return [(save.time_ns - START_NS) // SECOND_NS for save in saves.all()]


def fill(saves: Saves, seconds: list[int]) -> None:
    for each in seconds:
        saves.add(START_NS + each * SECOND_NS, b"state")


def test_the_last_ones_stay_and_of_before_one_a_minute_and_one_an_hour() -> None:
    store = MemoryStore()
    saves = Saves(store, 1)
    fill(saves, list(range(0, 4 * 3600, 5)))
    kept = times(saves)
    assert len(kept) <= COUNT_MAX
    assert kept[-RECENT_COUNT:] == list(range(4 * 3600 - 50, 4 * 3600, 5))
    for minutes in range(1, MINUTE_COUNT):
        moment = 4 * 3600 - minutes * 60
        assert any(moment - 60 <= each <= moment for each in kept), minutes
    for hours in range(1, 4):
        moment = 4 * 3600 - hours * 3600
        assert any(moment - 3600 <= each <= moment for each in kept), hours
    store.publish()
    assert Saves(store, 1).all() == saves.all()
    assert len(list(store.scan(b"save/"))) == len(kept)


def test_there_are_never_more_than_so_many() -> None:
    random_ = random.Random(1)
    saves = Saves(MemoryStore(), 1)
    moment = 0
    for _ in range(3_000):
        moment += random_.choice([1, 1, 1, 30, 90, 4_000, 100_000])
        fill(saves, [moment])
        assert len(saves.all()) <= COUNT_MAX == RECENT_COUNT + MINUTE_COUNT + HOUR_COUNT
        assert times(saves)[-1] == moment


def test_what_is_synced_at_once_is_one_save() -> None:
    saves = Saves(MemoryStore(), 1)
    for count in range(100):
        saves.add(START_NS + count * SECOND_NS // 100, b"state %d" % count)
    assert len(saves.all()) == 2
    assert saves.all()[-1].time_ns == START_NS + 99 * SECOND_NS // 100


def test_slots_have_their_own() -> None:
    store = MemoryStore()
    one, other = Saves(store, 1), Saves(store, 2)
    fill(one, [0, 10])
    assert other.all() == ()
    assert one.at(START_NS - 1) is None
    first = one.at(START_NS + 9 * SECOND_NS)
    assert first is not None
    assert first.time_ns == START_NS
    assert one.drop_before(START_NS + 1) == 1
    assert times(one) == [10]


def test_a_save_that_cannot_be_published_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.commit("first", a=b"1\n")
    stage.files.write(b"a", b"2\n")
    with monkeypatch.context() as patch:
        patch.setattr(stage.store, "publish", _fail)
        with pytest.raises(StoreFull):
            stage.repository.checkpoint()
    assert stage.view.saves.all() == ()
    stage.repository.checkpoint()
    assert len(stage.view.saves.all()) == 1
    stage.crash()
    assert len(stage.view.saves.all()) == 1
    assert stage.files.read(b"a") == b"2\n"


def _fail() -> None:
    raise StoreFull("the disk is full")
