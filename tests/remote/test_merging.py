"""Merging of a remote: few objects in the place of many, and everybody reads them as before."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, object_id
from heliosfs.remote import mergeplan, packfile, upload
from heliosfs.remote.bucket import Changed
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.collection import CollectionResult, collect
from heliosfs.remote.contents import make_whole
from heliosfs.remote.fetch import fetch
from heliosfs.remote.hydration import Hydration
from heliosfs.remote.layout import decode_ref, ref_key, trees_key
from heliosfs.remote.merging import MERGES_PREFIX, merge
from heliosfs.remote.packfile import PackWriter, RemoteObject, content_rows, read_pack
from heliosfs.remote.packgroup import GROUP_BYTES, GROUPED
from heliosfs.remote.push import OutOfDate
from heliosfs.remote.repetition import repeated
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import Progress, Steps, Turn, perform, run_to_end
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine

_HOUR = 3_600.0


class _Storage:
    def __init__(self) -> None:
        self.now = 1_900_000_000.0
        self.bucket = MemoryBucket(lambda: self.now)

    def collect(self) -> CollectionResult:
        return run_to_end(collect(self.bucket), MemoryStore())

    def settle(self) -> None:
        """Collect until nothing is left to do."""
        for _ in range(3):
            self.now += 25 * _HOUR
            self.collect()

    def sizes(self, prefix: str = "") -> list[int]:
        return [each.size for each in self.bucket.list(prefix) if not each.key.startswith("gc/")]


@pytest.fixture
def storage() -> _Storage:
    return _Storage()


def _edited(data: bytes, number: int, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + b"edit %d\n" % number + data[at + 9 :]


def _with_history(storage: _Storage, pushes: int, files: int = 20) -> Machine:
    chance = random.Random(pushes)
    machine = Machine(storage.bucket)
    names = [b"d%d/f%d" % (number % 3, number) for number in range(files)]
    data = {name: chance.randbytes(2_000) for name in names}
    for number in range(pushes):
        name = chance.choice(names)
        data[name] = _edited(data[name], number, chance)
        for each in names if not number else [name]:
            machine.files.write(each, data[each])
        machine.commit("work")
        machine.push()
    return machine


def _read_all(storage: _Storage, machine: Machine) -> None:
    for is_lazy in (False, True):
        reader = Machine(storage.bucket, is_lazy=is_lazy)
        reader.pull()
        reader.check()
        assert reader.commits() == machine.commits()
        if not is_lazy:
            assert reader.files.tree() == machine.files.tree()


def test_a_history_of_many_pushes_is_read_by_few_requests(storage: _Storage) -> None:
    machine = _with_history(storage, 200)
    before = sum(storage.sizes())
    storage.settle()
    assert sum(storage.sizes()) < before / 3
    for is_lazy, most in ((False, 4), (True, 3)):
        storage.bucket.requests.clear()
        reader = Machine(storage.bucket, is_lazy=is_lazy)
        reader.fetch()
        assert storage.bucket.requests.total() <= most
    _read_all(storage, machine)


def test_who_lacks_the_last_pushes_does_not_read_all_again(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mergeplan, "RUN_BYTES", 30_000)
    machine = _with_history(storage, 60, files=60)
    reader = Machine(storage.bucket)
    reader.pull()
    chance = random.Random(1)
    for number in range(3):
        machine.commit("more", **{f"more{number}": chance.randbytes(3_000)})
        machine.push()
    storage.settle()
    assert 2 <= len(storage.sizes("trees/")) <= 5
    result = reader.fetch()
    assert result.commit_count == 3
    assert result.got_bytes < 60_000 < sum(storage.sizes())
    _read_all(storage, machine)


def test_pushes_go_on_after_a_merge_and_are_merged_again(storage: _Storage) -> None:
    machine = _with_history(storage, 20)
    for number in range(6):
        machine.commit("more", more=b"%d" % number)
        storage.bucket.requests.clear()
        machine.push()
        assert storage.bucket.requests.total() <= 5
        storage.settle()
        _read_all(storage, machine)
        assert len(storage.sizes("trees/")) == 1


def test_branches_share_what_was_merged(storage: _Storage) -> None:
    machine = _with_history(storage, 20)
    for number in range(5):
        machine.run("switch", "-q", "-c", f"fork{number}", f"main~{3 * number}")
        machine.commit("fork", fork=b"%d" % number)
        machine.push(f"fork{number}")
    machine.run("branch", "old", "main~7")
    machine.push("old")
    machine.run("tag", "-a", "-m", "said", "v1", "main~2")
    machine.run("switch", "-q", "main")
    machine.run("merge", "-q", "fork2")
    machine.push()
    storage.settle()
    # Each fork keeps its own commit, but for that which lies in main now.
    assert len(storage.sizes("trees/")) == 5
    reader = Machine(storage.bucket)
    reader.fetch()
    reader.check()
    assert {name for _, name in reader.tracked} == {
        "main",
        "old",
        *(f"fork{number}" for number in range(5)),
    }
    record = decode_ref("old", storage.bucket.get(ref_key(HEADS, "old")).data)
    assert record.trees != record.commit
    # Whoever has seen the ref before goes on, too.
    machine.run("switch", "-q", "fork2")
    machine.commit("fork", fork=b"more")
    machine.push("fork2")
    reader.fetch()
    reader.check()


def test_a_merge_does_not_disturb_who_is_quicker(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = _with_history(storage, 10)
    keys = {each.key for each in storage.bucket.list("refs/")}

    def hook(method: str, key: str) -> None:
        if method == "swap" and key.startswith("trees/"):
            raise Changed("somebody was quicker")

    storage.bucket.before = hook
    assert storage.collect().merged_count == 0
    storage.bucket.before = None
    assert {each.key for each in storage.bucket.list("refs/")} == keys
    _read_all(storage, machine)
    assert storage.collect().merged_count == 10


def test_what_a_dead_merge_has_kept_goes_after_a_week(storage: _Storage) -> None:
    machine = _with_history(storage, 10)

    class DiedError(BaseException):
        pass

    dead: list[str] = []

    def hook(method: str, key: str) -> None:
        if dead or (method == "swap" and key.startswith("trees/")):
            dead.append(key)
            raise DiedError

    storage.bucket.before = hook
    with pytest.raises(DiedError):
        storage.collect()
    storage.bucket.before = None
    assert len(list(storage.bucket.list(MERGES_PREFIX))) == 1
    storage.settle()
    _read_all(storage, machine)
    assert len(list(storage.bucket.list(MERGES_PREFIX))) == 1
    storage.now += 170 * _HOUR
    storage.settle()
    assert not list(storage.bucket.list(MERGES_PREFIX))
    _read_all(storage, machine)
    assert len(storage.sizes("trees/")) == 1


def test_large_packs_stay_as_they_are(storage: _Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)
    monkeypatch.setattr(mergeplan, "_SMALL_PACK_BYTES", 40_000)
    machine = Machine(storage.bucket)
    chance = random.Random(8)
    for number, size in enumerate((50_000, 35_000, 60_000, 35_000)):
        machine.commit("work", **{f"f{number}": chance.randbytes(size)})
        machine.push()
    large = {each.key for each in storage.bucket.list("packs/") if each.size > 40_000}
    assert len(large) == 2
    storage.settle()
    assert len(storage.sizes("trees/")) == 1
    assert large <= {each.key for each in storage.bucket.list("packs/")}
    assert len(storage.sizes("packs/")) == 3
    _read_all(storage, machine)


def test_contents_that_were_left_there_are_read_from_a_merged_pack(storage: _Storage) -> None:
    machine = _with_history(storage, 100)
    storage.settle()
    lazy = Machine(storage.bucket, is_lazy=True)
    lazy.fetch()
    promised = list(lazy.store.promises)
    assert any(each.codec == GROUPED for each in promised)
    for each in promised:
        data = storage.bucket.get(f"packs/{each.pack.hex()}", each.offset, each.stored_bytes).data
        found = packfile.decoded_object(Kind.BLOB, each.codec, data, each.size, each.oid)
        assert machine.store.read(found.oid, Kind.BLOB) == found.data


def test_a_lazy_clone_finds_what_a_merge_has_moved(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made before the merge, and has not fetched since; the old packs are deleted."""
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)
    machine = _with_history(storage, 100)
    whole, reading = (Machine(storage.bucket, is_lazy=True) for _ in range(2))
    for each in (whole, reading):
        each.pull()
    before = {each.pack for each in whole.store.promises}
    storage.settle()
    there = {each.key for each in storage.bucket.list("packs/")}
    assert before and not there & {f"packs/{pack.hex()}" for pack in before}
    run_to_end(make_whole(whole.repository, lambda url: storage.bucket), whole.store)
    whole.check()
    assert whole.files.tree() == machine.files.tree()
    hydration = Hydration(reading.repository, lambda url: storage.bucket)
    wanted = {each.oid for each in reading.store.promises}

    def read() -> list[bytes]:
        return [reading.store.read(oid, Kind.BLOB) for oid in wanted]

    assert len(repeated(reading.repository, read, hydration=hydration)) == len(wanted)


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_push_relies_on_contents_that_only_the_remote_has(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch, *, is_moved: bool
) -> None:
    """Taken over from a branch that goes, and perhaps in a pack that is gone by then."""
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)
    machine = _with_history(storage, 30)
    machine.run("branch", "idea")
    machine.run("checkout", "-q", "idea")
    ideas = {f"idea{each}": random.Random(each).randbytes(3_000) for each in range(5)}
    machine.commit("idea", **ideas)
    machine.push("idea")
    lazy = Machine(storage.bucket, is_lazy=True)
    lazy.pull()
    lazy.run("checkout", "-q", "origin/idea", "--", "idea3")
    lazy.run("commit", "-q", "-am", "taken over")
    if is_moved:
        storage.settle()
    hydration = Hydration(lazy.repository, lambda url: storage.bucket)
    repeated(lazy.repository, lazy.push, hydration=hydration)
    storage.bucket.delete(ref_key(HEADS, "idea"))
    storage.settle()
    for is_lazy in (False, True):
        reader = Machine(storage.bucket, is_lazy=is_lazy)
        reader.pull()
        run_to_end(make_whole(reader.repository, lambda url: storage.bucket), reader.store)
        reader.check()
        assert reader.files.read(b"idea3") == ideas["idea3"]


def test_contents_that_were_left_there_may_come_to_lie_beside_trees(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(upload, "SMALL_BYTES", 0)
        machine = _with_history(storage, 5)
    lazy = Machine(storage.bucket, is_lazy=True)
    lazy.pull()
    assert len(lazy.store.promises) > 20
    storage.settle()
    assert storage.sizes("packs/") == []
    run_to_end(make_whole(lazy.repository, lambda url: storage.bucket), lazy.store)
    assert lazy.files.tree() == machine.files.tree()


def test_a_damaged_pack_stays_and_keeps_nothing_else_from_being_merged(
    storage: _Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)
    _with_history(storage, 3)
    first = next(iter(storage.bucket.list("packs/")))
    storage.bucket.swap(first.key, bytes(first.size), first.version)
    other = Machine(storage.bucket)
    other.run("switch", "-q", "-c", "other")
    for number in range(3):
        other.commit("other", x=b"%d" % number)
        other.push("other")
    storage.settle()
    assert first.key in {each.key for each in storage.bucket.list("packs/")}
    assert len(storage.sizes("trees/")) == 3 + 1
    reader = Machine(storage.bucket)
    assert [each.name for each in reader.fetch().damaged] == ["main"]


def _contents(count: int, size: int) -> list[RemoteObject]:
    chance = random.Random(count)
    data = [chance.randbytes(size) for _ in range(count)]
    return [RemoteObject(Kind.BLOB, object_id(Kind.BLOB, each), each) for each in data]


def test_a_group_is_read_whole_and_in_part() -> None:
    pack, contents = PackWriter(), _contents(20, 1_000)
    pack.add(contents[0])
    pack.add_group(contents[1:10])
    pack.add_group(contents[10:])
    finished = pack.finish()
    found = list(read_pack(finished.name, finished.data))
    assert sorted(found) == sorted(contents)
    rows = content_rows("pack", finished.name, finished.rows)
    assert rows is not None
    assert len({row.offset for row in rows}) == 3


def _damaged(rows: bytes) -> Iterator[bytes]:
    size = packfile.ROW_BYTES
    yield rows[: size - 8] + b"\xff" * 8 + rows[size:]
    # Of another length at the same place.
    yield rows[:38] + bytes((rows[38] ^ 1,)) + rows[39:]
    # Another codec at the same place.
    yield rows[:33] + b"\0" + rows[34:]


def test_rows_that_lie_about_a_group_are_refused() -> None:
    pack, contents = PackWriter(), _contents(5, 1_000)
    pack.add_group(contents)
    finished = pack.finish()
    for rows in _damaged(finished.rows):
        with pytest.raises(CorruptObject):
            content_rows("pack", finished.name, rows)
    body = finished.data[16 : len(finished.data) - len(finished.rows) - 16]
    wanted = contents[0]
    for damaged in (b"", body[:-1], b"\x07" + body[1:], body[:1] + b"\xff" * 4 + body[5:]):
        with pytest.raises(CorruptObject):
            packfile.decoded_object(Kind.BLOB, GROUPED, damaged, 1_000, wanted.oid)
    for kind, size in ((Kind.TREE, 1_000), (Kind.BLOB, 999)):
        with pytest.raises(CorruptObject):
            packfile.decoded_object(kind, GROUPED, body, size, wanted.oid)
    assert GROUP_BYTES < packfile.OBJECT_MAX


def test_trees_of_the_first_form_are_merged(storage: _Storage) -> None:
    from tests.remote.trees_objects import make_old

    machine = _with_history(storage, 10)
    make_old(storage.bucket)
    storage.settle()
    assert len(storage.sizes("trees/")) == 1
    _read_all(storage, machine)


def test_a_commit_that_is_pushed_again_has_all_it_needs(storage: _Storage) -> None:
    """A push that was refused leaves trees under the commit's name, whose base may be gone."""
    machine, other = _with_history(storage, 2), Machine(storage.bucket)
    other.pull()
    other.commit("mine", mine=b"1")
    machine.run("reset", "--hard", "-q", "HEAD~1")
    machine.commit("instead", b=b"2")
    machine.push(with_lease=True)
    with pytest.raises(Exception, match="was moved by"):
        other.push()
    storage.settle()
    head = other.view.head
    assert head is not None
    other.run("branch", "mine")
    with pytest.raises(OutOfDate):
        other.push("mine")
    other.fetch()
    other.push("mine")
    reader = Machine(storage.bucket)
    reader.fetch()
    reader.check()
    assert len(reader.tracked) == 2
    assert storage.bucket.get(trees_key(head))


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("has_little", [False, True])
def test_a_branch_is_found_beneath_another_one_that_is_here(
    storage: _Storage, *, is_lazy: bool, has_little: bool
) -> None:
    """The fork has become the top of a run with what it began at, of which it is no descendant."""
    machine = _with_history(storage, 5)
    machine.run("switch", "-q", "-c", "whole")
    for number in range(6):
        machine.commit("whole", **{f"d{number % 3}/w{number}": b"%d" % number})
        machine.push("whole")
    machine.run("switch", "-q", "-c", "fork", "whole~3")
    machine.commit("fork", fork=b"1")
    machine.push("fork")
    reader = Machine(storage.bucket, is_lazy=is_lazy)
    run_to_end(fetch(reader.repository, reader.bucket, "origin", ["fork"]), reader.store)
    reader.run("gc")
    storage.settle()
    record = decode_ref("whole", storage.bucket.get(ref_key(HEADS, "whole")).data)
    assert record.trees == reader.tracked[HEADS, "fork"].commit
    reader.fetch()
    reader.check()
    # And what is pushed after it begins there.
    machine.run("switch", "-q", "whole")
    machine.fetch()
    machine.commit("more", **{"more": b"1"} if has_little else {"d0/more": b"1", "d1/more": b"1"})
    machine.push("whole")
    other = Machine(storage.bucket, is_lazy=is_lazy)
    run_to_end(fetch(other.repository, other.bucket, "origin", ["fork"]), other.store)
    other.run("gc")
    for each in (reader, other):
        assert not each.fetch().damaged
        each.check()
        assert machine.commits() <= {
            oid.hex() for oid, _ in each.repository.history.walk(machine.view.head)
        }


def test_merges_beside_each_other_lose_nothing() -> None:
    """Two merges take turns, of which each has read another one of two branches first."""
    for seed in range(60):
        chance, storage = random.Random(seed), _Storage()
        machine = Machine(storage.bucket)
        machine.run("switch", "-q", "-c", "begin")
        machine.commit("begin", **{f"d/f{number}": b"1" for number in range(5)})
        machine.push("begin")
        for name in ("x", "y"):
            machine.run("switch", "-q", "-c", name, "begin")
            machine.commit(name, **{f"d/{name}": b"1"})
            machine.push(name)
        storage.bucket.delete(ref_key(HEADS, "begin"))
        merges = [merge(storage.bucket)]
        # It has read the refs.
        for _ in range(3):
            _step(merges[0])
        machine.run("branch", "a", "y")
        machine.push("a")
        merges.append(merge(storage.bucket))
        while merges:
            at = chance.choice(merges)
            if not _step(at):
                merges.remove(at)
        storage.settle()
        reader = Machine(storage.bucket)
        assert not reader.fetch().damaged
        reader.check()
        assert {name for _, name in reader.tracked} == {"a", "x", "y"}


def _step(steps: Steps[object]) -> bool:
    """Drive a merge to its next request; return False if it has ended."""
    try:
        step = next(steps)
    except StopIteration:
        return False
    if not isinstance(step, Turn | Progress):
        perform(step)
    return True
