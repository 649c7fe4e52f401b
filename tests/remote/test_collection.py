"""Garbage collection of a remote: what goes, what stays, and what pushers do about it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from heliosfs.errors import Busy, CorruptObject, MissingObject
from heliosfs.remote import boundary, collection
from heliosfs.remote.boundary import (
    BOUNDARY_KEY,
    CONDEMNED,
    IDLE,
    SWEEPING,
    Boundary,
    CondemnedObject,
    read_boundary,
    read_list,
    write_boundary,
    write_list,
)
from heliosfs.remote.bucket import Bucket, Changed, StoredObject, Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.collection import CONDEMNED_SECONDS, CollectionResult, collect
from heliosfs.remote.layout import ref_key, trees_key
from heliosfs.remote.push import OutOfDate, delete
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import Steps, run_to_end
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine

_HOUR = 3_600.0


class _Storage:
    """A bucket whose clock is set by hand, an hour ahead of everybody's."""

    def __init__(self) -> None:
        self.now = 1_900_000_000.0
        self.bucket = MemoryBucket(lambda: self.now)

    def collect(self, bucket: Bucket | None = None, *, is_dry: bool = False) -> CollectionResult:
        return run_to_end(collect(bucket or self.bucket, is_dry=is_dry), MemoryStore())

    def collect_after(self, hours: float) -> CollectionResult:
        self.now += hours * _HOUR
        return self.collect()

    def check(self) -> Machine:
        """Check that all which refs name can be fetched; return the machine that has."""
        reader = Machine(self.bucket)
        reader.fetch()
        reader.check()
        return reader

    def keys(self) -> set[str]:
        keys = {each.key for each in self.bucket.list("")}
        return {key for key in keys if not key.startswith("gc/")}


@pytest.fixture
def storage() -> _Storage:
    return _Storage()


def _data(seed: int, size: int = 100_000) -> bytes:
    return random.Random(seed).randbytes(size)


def _two_branches(storage: _Storage) -> Machine:
    """`main`, and `idea`, which has a pack of its own."""
    machine = Machine(storage.bucket)
    machine.commit(a=_data(1))
    machine.push()
    machine.run("switch", "-q", "-c", "idea")
    machine.commit(b=_data(2))
    machine.push("idea")
    return machine


def _delete(machine: Machine, name: str) -> None:
    run_to_end(delete(machine.repository, machine.bucket, "origin", name), machine.store)


def test_what_no_ref_needs_goes_a_day_after_it_was_condemned(storage: _Storage) -> None:
    machine = _two_branches(storage)
    before = storage.keys()
    assert storage.collect_after(2).condemned_count == 0
    _delete(machine, "idea")
    assert storage.collect().condemned_count == 2
    assert storage.collect_after(23).deleted_count == 0
    assert storage.keys() == before - {ref_key(HEADS, "idea")}
    done = storage.collect_after(1)
    assert (done.deleted_count, done.condemned_count) == (2, 0)
    assert done.deleted_bytes > 100_000
    assert len(storage.keys()) == len(before) - 3
    reader = Machine(storage.bucket)
    reader.pull()
    reader.check()


def test_a_dry_run_changes_nothing(storage: _Storage) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.now += 2 * _HOUR
    storage.bucket.requests.clear()
    done = run_to_end(collect(storage.bucket, is_dry=True, now=lambda: 0.0), MemoryStore())
    assert done.object_count == 4
    assert set(storage.bucket.requests) <= {"get", "list"}


def test_a_push_under_way_is_left_alone(storage: _Storage) -> None:
    _two_branches(storage)
    storage.bucket.create(f"packs/{'ab' * 32}", b"of a push that has not come to its ref")
    assert storage.collect_after(0.9).condemned_count == 0
    assert storage.collect_after(0.2).condemned_count == 1


def test_refs_of_a_later_version_are_kept_with_all_they_may_need(storage: _Storage) -> None:
    machine = _two_branches(storage)
    record = storage.bucket.get(ref_key(HEADS, "idea")).data
    pack = "cd" * 32
    storage.bucket.create(f"packs/{pack}", b"something")
    storage.bucket.create("refs/leases/x/y", record + pack.encode())
    _delete(machine, "idea")
    assert storage.collect_after(2).condemned_count == 0
    storage.bucket.delete("refs/leases/x/y")
    assert storage.collect().condemned_count == 3


def test_a_ref_that_may_need_anything_keeps_everything(storage: _Storage) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.bucket.create("refs/new/x", b"\0\1")
    storage.now += 2 * _HOUR
    with pytest.raises(CorruptObject, match="refs/new/x is of a kind that is not known"):
        storage.collect()


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_ref_that_is_damaged_keeps_everything(storage: _Storage, damage: str) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    head = machine.repository.refs.branch("main").head
    assert head is not None
    sound = storage.bucket.get(trees_key(head))
    if damage == "missing":
        storage.bucket.delete(trees_key(head))
    else:
        storage.bucket.swap(trees_key(head), sound.data[:-40] + bytes(40), sound.version)
    before = storage.keys()
    with pytest.raises((MissingObject, CorruptObject), match="refs/heads/main is damaged"):
        storage.collect_after(25)
    assert storage.keys() == before


def test_what_is_needed_again_is_spared(storage: _Storage) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    assert storage.collect_after(2).condemned_count == 2
    # All is there, and condemned.
    machine.push("idea")
    assert len(read_boundary(storage.bucket)[0].noted) == 1
    done = storage.collect_after(25)
    assert (done.deleted_count, done.spared_count) == (0, 2)
    storage.check()


def test_what_a_listing_does_not_show_yet_is_spared(storage: _Storage) -> None:
    """A branch that was made a moment before the sweep is in no listing: its note is read."""
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    storage.now += 25 * _HOUR
    machine.push("idea")
    late = _LateBucket(storage.bucket, hidden=ref_key(HEADS, "idea"))
    done = storage.collect(late)
    assert (done.deleted_count, done.spared_count) == (0, 2)


class _LateBucket:
    """A bucket whose listings do not show one object, as if it had been written just now."""

    def __init__(self, bucket: MemoryBucket, hidden: str) -> None:
        self._hidden = hidden
        self.get, self.create = bucket.get, bucket.create
        self.swap, self.delete = bucket.swap, bucket.delete
        self._list = bucket.list

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        return (each for each in self._list(prefix, after) if each.key != self._hidden)


def test_the_same_commit_is_pushed_anew_after_its_deletion(storage: _Storage) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    storage.collect_after(25)
    machine.push("idea")
    assert len(storage.check().tracked) == 2


def test_who_begins_at_what_was_deleted_sends_it_again(storage: _Storage) -> None:
    machine, other = _two_branches(storage), Machine(storage.bucket)
    other.fetch()
    _delete(machine, "idea")
    storage.collect_after(2)
    storage.collect_after(25)
    other.run("switch", "-q", "-c", "late", "origin/idea")
    other.commit(c=b"3")
    other.push("late")
    storage.check()


def test_who_begins_at_what_has_moved_is_told_to_fetch(storage: _Storage) -> None:
    machine, other = _two_branches(storage), Machine(storage.bucket)
    other.fetch()
    machine.commit("b", b=_data(3))
    machine.run("reset", "-q", "--hard", "main")
    machine.commit("instead", c=_data(4))
    machine.push("idea", with_lease=True)
    storage.collect_after(2)
    assert storage.collect_after(25).deleted_count == 2
    other.run("switch", "-q", "-c", "late", "origin/idea")
    other.commit(d=b"4")
    with pytest.raises(OutOfDate, match="'helios fetch origin', and push again"):
        other.push("late")
    other.fetch()
    other.push("late")
    storage.check()


def test_nothing_is_relied_on_that_is_being_deleted(storage: _Storage) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    now, version = read_boundary(storage.bucket)
    # A collection that begins its sweep, and dies.
    write_boundary(storage.bucket, now._replace(stage=now.stage + 1), version)
    with pytest.raises(Busy, match="'helios remote gc' ends it"):
        machine.push("idea")
    # Others are not kept from anything.
    machine.run("switch", "-q", "main")
    machine.commit(d=b"4")
    machine.push()
    storage.collect()
    machine.push("idea")
    for _ in range(3):
        storage.collect_after(25)
        storage.check()


class _KilledError(BaseException):
    pass


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [_KilledError, lambda: Unreachable("no answer")])
def test_a_collection_that_ends_at_any_request(
    when: str, error: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared() -> _Storage:
        storage = _Storage()
        machine = _two_branches(storage)
        _delete(machine, "idea")
        storage.collect_after(2)
        machine.run("switch", "-q", "-c", "other", "main")
        machine.commit(e=_data(5))
        machine.push("other")
        _delete(machine, "other")
        storage.now += 25 * _HOUR
        return storage

    undisturbed = prepared()
    undisturbed.bucket.requests.clear()
    assert undisturbed.collect().deleted_count == 2
    total = undisturbed.bucket.requests.total()
    for count in range(1, total + 1):
        storage = prepared()
        left = [count]

        def hook(method: str, key: str, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise error()

        setattr(storage.bucket, when, hook)
        try:
            storage.collect()
        except (_KilledError, Unreachable):
            pass
        storage.bucket.before = storage.bucket.after = None
        storage.check()
        for _ in range(3):
            storage.collect_after(25)
        assert len(storage.keys()) == 3
        reader = Machine(storage.bucket)
        reader.pull()
        reader.check()


def test_of_two_collections_one_is_told(storage: _Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.now += 2 * _HOUR
    before = boundary.write_list

    def meanwhile(bucket: Bucket, objects: Any) -> str:
        monkeypatch.setattr(collection, "write_list", before)
        storage.collect()
        return before(bucket, objects)

    monkeypatch.setattr(collection, "write_list", meanwhile)
    with pytest.raises(Busy, match="another collection"):
        storage.collect()
    assert storage.collect_after(25).deleted_count == 2
    # The list that nobody named goes, too.
    storage.collect_after(25)
    assert {each.key for each in storage.bucket.list("gc/")} == {BOUNDARY_KEY}


def test_a_sweep_that_slept_stops_where_another_has_ended_it(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    storage.now += 25 * _HOUR
    monkeypatch.setattr(collection, "_DELETED_AT_ONCE", 1)
    clock = iter(range(0, 100_000, 1_000))
    before = collection._Collection._delete

    def asleep(run: Any, victims: Any) -> None:
        monkeypatch.setattr(collection._Collection, "_delete", before)
        before(run, victims)
        storage.collect()
        machine.push("idea")

    monkeypatch.setattr(collection._Collection, "_delete", asleep)
    with pytest.raises(Busy, match="has done the rest"):
        run_to_end(collect(storage.bucket, now=lambda: float(next(clock))), MemoryStore())
    storage.check()


@pytest.mark.parametrize("compares", [True, False])
def test_a_sweep_that_slept_deletes_no_other_version(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch, compares: bool
) -> None:
    """It slept after its look at the boundary: only the version says that this is another one."""
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    storage.now += 25 * _HOUR
    before = collection._Collection._delete

    def asleep(run: Any, victims: Any) -> None:
        monkeypatch.setattr(collection._Collection, "_delete", before)
        storage.collect()
        machine.push("idea")
        before(run, victims)

    monkeypatch.setattr(collection._Collection, "_delete", asleep)
    if not compares:
        delete_any = storage.bucket.delete
        monkeypatch.setattr(storage.bucket, "delete", lambda key, expected=None: delete_any(key))
    with pytest.raises(Busy):
        run_to_end(collect(storage.bucket, now=lambda: 0.0), MemoryStore())
    reader = Machine(storage.bucket)
    if compares:
        reader.fetch()
        reader.check()
    else:
        assert [each.name for each in reader.fetch().damaged] == ["idea"]


def test_a_sweep_that_read_refs_for_long_stops_where_another_has_ended_it(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = _two_branches(storage)
    record = storage.bucket.get(ref_key(HEADS, "idea")).data
    _delete(machine, "idea")
    storage.collect_after(2)
    storage.now += 25 * _HOUR
    before = collection._Collection._reached

    def asleep(run: Any, *arguments: Any) -> Steps[set[str]]:
        monkeypatch.setattr(collection._Collection, "_reached", before)
        reached = yield from before(run, *arguments)
        # A pusher has slept between its last look and this, and the other sweep spares it.
        storage.bucket.create(ref_key(HEADS, "idea"), record)
        storage.collect()
        return reached

    monkeypatch.setattr(collection._Collection, "_reached", asleep)
    with pytest.raises(Busy, match="has done the rest"):
        storage.collect()
    assert len(storage.check().tracked) == 2


def test_trees_that_were_there_are_relied_on_with_all_that_they_need(storage: _Storage) -> None:
    """A refused push has left them, and what they need is condemned since."""
    machine = _two_branches(storage)
    other = Machine(storage.bucket)
    other.fetch()
    other.run("switch", "-q", "-c", "mine", "origin/idea")
    _delete(machine, "idea")
    _delete(machine, "main")
    other.fetch(prunes=True)
    storage.now += 2 * _HOUR
    head = other.view.head
    assert head is not None
    base = next(each for each in storage.bucket.list("trees/") if each.key != trees_key(head))
    digest = write_list(storage.bucket, [CondemnedObject(base.key, base.version, base.size)])
    write_boundary(storage.bucket, Boundary(CONDEMNED, digest), None)
    other.push("mine")
    noted = read_boundary(storage.bucket)[0].noted
    assert [trees_key(each) for each in noted] == [base.key]
    storage.collect_after(25)
    storage.check()


def test_a_sweep_that_slept_deletes_nothing_that_another_has_spared(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    storage.now += 25 * _HOUR
    before = collection._Collection._delete_all

    def asleep(run: Any, *arguments: Any) -> Steps[None]:
        monkeypatch.setattr(collection._Collection, "_delete_all", before)
        # It leaves trees that need what is being deleted.
        with pytest.raises(Busy):
            machine.push("idea")
        storage.collect()
        machine.push("idea")
        yield from before(run, *arguments)

    monkeypatch.setattr(collection._Collection, "_delete_all", asleep)
    with pytest.raises(Busy):
        run_to_end(collect(storage.bucket, now=lambda: 0.0), MemoryStore())
    assert len(storage.check().tracked) == 2


def test_a_list_that_others_changed_is_refused(storage: _Storage) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    now, _ = read_boundary(storage.bucket)
    assert now.state == CONDEMNED
    assert {each.key.partition("/")[0] for each in read_list(storage.bucket, now.condemned)} == {
        "trees",
        "packs",
    }
    key = boundary.list_key(now.condemned)
    sound = storage.bucket.get(key)
    for damaged in (b"", sound.data[:-1], sound.data + b"\0", b"helios-condemned 1\n"):
        storage.bucket.swap(key, damaged, storage.bucket.get(key).version)
        with pytest.raises(CorruptObject, match="cannot be read"):
            storage.collect_after(25)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"stage": -1, "condemned": "", "noted": []}',
        b'{"stage": true, "condemned": "", "noted": []}',
        b'{"stage": 1, "condemned": "", "noted": []}',
        b'{"stage": 3, "condemned": "%s", "noted": []}' % (b"ab" * 32),
        b'{"stage": 1, "condemned": "../boundary", "noted": []}',
        b'{"stage": 0, "condemned": "", "noted": [""]}',
        b"[" * 100_000,
    ],
)
def test_a_boundary_that_nobody_wrote_here(storage: _Storage, data: bytes) -> None:
    _two_branches(storage)
    storage.bucket.create(BOUNDARY_KEY, data)
    with pytest.raises(CorruptObject, match="cannot be read"):
        storage.collect_after(2)


def test_stages_of_a_collection() -> None:
    states = [Boundary(stage).state for stage in range(5)]
    assert states == [IDLE, CONDEMNED, SWEEPING, IDLE, CONDEMNED]
    assert [Boundary(stage).collection for stage in range(5)] == [0, 1, 1, 1, 2]


def test_what_a_push_costs_beside_collections(storage: _Storage) -> None:
    machine = _two_branches(storage)
    machine.run("switch", "-q", "-c", "gone", "main")
    machine.commit(e=_data(5))
    machine.push("gone")
    _delete(machine, "gone")
    machine.run("switch", "-q", "main")
    costs: list[int] = []
    for hours in (0, 2, 25):
        if hours:
            storage.collect_after(hours)
        for _ in range(2):
            machine.commit(d=b"%d" % len(costs))
            storage.bucket.requests.clear()
            machine.push()
            costs.append(storage.bucket.requests.total())
    # Trees, ref and boundary; once in a collection, the list, and whether all is there.
    assert costs == [3, 3, 5, 3, 5, 3]
    assert CONDEMNED_SECONDS == 24 * _HOUR


def test_a_note_survives_who_is_quicker(storage: _Storage) -> None:
    machine = _two_branches(storage)
    _delete(machine, "idea")
    storage.collect_after(2)
    left = [2]

    def hook(method: str, key: str) -> None:
        if method == "swap" and key == BOUNDARY_KEY and left[0]:
            left[0] -= 1
            raise Changed("somebody else was quicker")

    storage.bucket.before = hook
    machine.push("idea")
    assert len(read_boundary(storage.bucket)[0].noted) == 1
