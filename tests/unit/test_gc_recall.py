"""Collections that rely on the one before: what they look at, and that they lose nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from heliosfs.clock import FixedClock
from heliosfs.commands.gc import collect
from heliosfs.commands.table import run
from heliosfs.errors import MissingObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.references import Reference
from heliosfs.objects.tree import Entry, encode_entry, join_leaf
from heliosfs.repo import keys
from heliosfs.repo.check import check_store
from heliosfs.repo.gc import recall
from heliosfs.repo.gc.collect import GcResult, collect_garbage
from heliosfs.repo.gc.handover import Handover, decode_handover
from heliosfs.repo.gc.retention import Retention
from heliosfs.repo.repository import Repository
from heliosfs.steps import run_to_end
from heliosfs.store.gc.marking import Marking
from heliosfs.store.gc.recollection import Recollection, decode_recollection
from heliosfs.store.gc.sweep import Sweep
from heliosfs.store.l2.marks import Marks
from heliosfs.store.local import LocalStore
from tests.stores import finish, give, open_local, settle
from tests.tree_builder import IDENTITY, TreeBuilder

KEPT = Retention(since_ns=0, operation_count=500)


class Life:
    """A repository on disk, and what its collections have looked at."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.mkdir(exist_ok=True)
        self.path = path
        self.open()
        self.entered = 0
        self.number = 0
        before = Marks.reach

        def counting(marks: Marks, number: int) -> bool:
            is_new = before(marks, number)
            self.entered += is_new
            return is_new

        monkeypatch.setattr(Marks, "reach", counting)

    def open(self) -> None:
        self.store = open_local(self.path)
        self.repository = Repository.open(self.store, FixedClock(), IDENTITY)

    def run(self, *argv: str) -> None:
        run(self.repository, self.repository.root, list(argv))

    def write(self, data: bytes, path: bytes = b"file") -> None:
        TreeBuilder(self.repository.root.workspace).write(path, data)

    def commit(self, count: int = 1) -> None:
        for _ in range(count):
            self.number += 1
            self.write(b"%d\n" % self.number * 200, b"d/%d" % (self.number % 7))
            self.run("commit", "-m", f"{self.number}")

    def save(self, data: bytes) -> None:
        self.write(data, b"draft")
        self.repository.checkpoint()
        settle(self.store)

    def collect(self, retention: Retention = KEPT, *, dry_run: bool = False) -> GcResult:
        self.entered = 0
        steps = collect(self.repository, retention, dry_run=dry_run)
        return run_to_end(steps, self.store)

    def assert_sound(self) -> None:
        checked = run_to_end(check_store(self.repository), self.store)
        assert checked.problems == []

    def blobs(self, *contents: bytes) -> list[bool]:
        return [self.store.contains(object_id(Kind.BLOB, data)) for data in contents]


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    return Life(tmp_path / "store", monkeypatch)


def test_only_what_came_since_is_looked_at(life: Life) -> None:
    life.commit(60)
    life.collect()
    assert life.entered > 100
    life.collect()
    assert life.entered <= 2
    life.commit(3)
    life.collect(dry_run=True)
    assert 6 <= life.entered <= 12
    life.collect()
    assert 6 <= life.entered <= 12
    life.repository.close()
    life.open()
    life.collect()
    assert life.entered <= 2
    life.assert_sound()


def test_young_garbage_goes_as_in_a_whole_collection(
    life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.commit(30)
    life.collect()
    for number in range(40):
        life.save(b"draft %d " % number * 300)
    life.write(b"", b"draft")
    life.commit(2)
    settle(life.store)
    retention = Retention(since_ns=2**62, operation_count=1)
    life.repository.close()
    shutil.copytree(life.path, tmp_path / "copy")
    whole = Life(tmp_path / "copy", monkeypatch)
    whole.store.put(keys.GC_HANDOVER, None)
    life.open()
    life.repository.store.publish()
    would = life.collect(retention, dry_run=True)
    did = life.collect(retention)
    assert life.entered < 20
    assert (would.objects, would.stored_bytes) == (did.objects, did.stored_bytes)
    assert did.objects > 30
    all_of_it = whole.collect(retention)
    assert whole.entered > 60
    assert (did.objects, did.stored_bytes) == (all_of_it.objects, all_of_it.stored_bytes)
    assert life.store.stats().objects == whole.store.stats().objects
    life.assert_sound()


def test_lost_trees_stay_until_there_are_many(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "OBJECTS_FOR_A_LOST_TREE", 0)
    nothing = Retention(since_ns=2**62, operation_count=1)
    life.commit(9)
    life.save(b"a draft " * 99)
    life.collect()
    life.write(b"", b"draft")
    life.commit(2)
    assert life.collect(nothing).objects == 0
    assert life.entered < 20
    assert life.blobs(b"a draft " * 99) == [True]
    # It is still known that there is something: with the right measure, all is looked at.
    monkeypatch.setattr(recall, "OBJECTS_FOR_A_LOST_TREE", 1_000)
    assert life.collect(nothing).objects > 0
    assert life.blobs(b"a draft " * 99) == [False]
    life.assert_sound()


def test_a_lost_commit_lets_all_be_looked_at(life: Life) -> None:
    life.commit(20)
    life.run("branch", "idea")
    life.run("checkout", "idea")
    life.commit(3)
    life.run("checkout", "main")
    life.collect()
    life.run("branch", "-D", "idea")
    life.commit(1)
    gone = life.collect(Retention(since_ns=2**62, operation_count=0))
    assert gone.commits == 3
    assert life.entered > 30
    life.assert_sound()
    life.collect(Retention(since_ns=2**62, operation_count=0))
    assert life.entered <= 4


def test_what_names_an_object_leaves_the_disk_before_it(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the two would leave a commit in the list whose objects are gone."""
    life.commit(1)
    base = life.repository.root.head
    life.commit(3)
    lost = life.repository.root.head
    assert base is not None
    assert lost is not None
    life.run("reset", "--hard", base.hex())
    settle(life.store)
    listed = keys.COMMIT + lost
    steps = 0

    def is_known() -> bool:
        """Return True if L2 lists it, or does not have its removal yet."""
        return listed in [seen.key for seen in life.store.inspect().state(keys.COMMIT, 99)]

    def step(sweep: Sweep) -> None:
        nonlocal steps
        steps += 1
        assert not is_known()
        kept(sweep)

    kept = Sweep.step
    assert is_known()
    monkeypatch.setattr(Sweep, "step", step)
    # Without what the layers above keep: they let state leave L2, too.
    retention = Retention(since_ns=2**62, operation_count=0, keeps_unreached=False)
    gone = run_to_end(collect_garbage(life.repository, retention), life.store)
    assert gone.commits == 3
    assert steps > 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:40] + b"\xff" + data[41:],
        lambda data: b"",
        lambda data: bytes(len(data)),
    ],
)
def test_a_damaged_handover_is_none(life: Life, damage: Callable[[bytes], bytes]) -> None:
    life.commit(30)
    life.collect()
    data = life.store.get(keys.GC_HANDOVER)
    assert data is not None
    life.store.put(keys.GC_HANDOVER, damage(data))
    life.store.publish()
    life.collect()
    assert life.entered > 60
    life.assert_sound()


def test_a_handover_of_another_store_is_none() -> None:
    found = Recollection(4, b"\0\1\1\0\1", [3], [(Kind.TREE, Oid(b"t" * 32))])
    data = found.encode(b"our salt")
    assert data is not None
    assert decode_recollection(data, b"our salt", 5) == found
    assert decode_recollection(data, b"our salt", 4) is None
    assert decode_recollection(data, b"a  other", 5) is None
    many = found._replace(commits=list(range(20_000)))
    assert many.encode(b"our salt") is None
    handed = Handover({}, {Oid(b"t" * 32)}, 3, data)
    encoded = handed.encode()
    assert encoded is not None
    assert decode_handover(encoded) == handed


def test_damage_that_nothing_wants_any_more_lets_all_be_looked_at(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.commit(5)
    life.collect()
    life.commit(2)
    before = Marking.enter
    calls = 0

    def failing(
        marking: Marking, kind: Kind, oid: Oid, *, reads_blob: bool = False
    ) -> list[Reference] | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise MissingObject("an object is missing")
        return before(marking, kind, oid, reads_blob=reads_blob)

    monkeypatch.setattr(Marking, "enter", failing)
    life.collect()
    assert life.entered > 10
    life.assert_sound()


def versions(store: LocalStore, count: int) -> list[Oid]:
    """Trees of one file each, deltas to each other, whose files are as many blobs."""
    trees: list[Oid] = []
    raws = [
        encode_entry(Entry(b"%02d" % at, 0o100644, 0, 0, at, 9, oid))
        for at, oid in enumerate(give(store, *(b"other %d" % at * 9 for at in range(30))))
    ]
    for number in range(count):
        (oid,) = give(store, b"content %d" % number * 20)
        raws[0] = encode_entry(Entry(b"00", 0o100644, 0, 0, number, 9, oid))
        data = join_leaf(raws)
        trees.append(object_id(Kind.TREE, data))
        store.add(trees[-1], Kind.TREE, data, trees[-2] if len(trees) > 1 else None)
        store.publish()
        settle(store)
    return trees


def marked_and_swept(store: LocalStore, trees: list[Oid], data: bytes | None) -> bytes:
    collection = store.collect()
    if data is not None:
        assert collection.recall(data) == []
    finish(collection.plan_settle)
    with collection.snapshot():
        pending = [(Kind.TREE, oid) for oid in trees]
        while pending:
            kind, oid = pending.pop()
            pending += collection.enter(kind, oid) or []
    finish(collection.plan_sweep)
    left = collection.remember()
    assert left is not None
    collection.close()
    return left


def test_what_stayed_for_another_one_is_looked_at_again(tmp_path: Path) -> None:
    """A tree that stays as a base lost its file.  If both come again, the file must stay."""
    store = open_local(tmp_path)
    trees = versions(store, 6)
    left = marked_and_swept(store, trees[-1:], None)
    assert store.contains(trees[0])
    gone = object_id(Kind.BLOB, b"content 0" * 20)
    assert not store.contains(gone)
    assert give(store, b"content 0" * 20) == [gone]
    settle(store)
    marked_and_swept(store, [trees[0], trees[-1]], left)
    assert store.contains(gone)
    store.close()


def test_the_second_copy_of_a_damaged_object_stays(tmp_path: Path) -> None:
    """An old object needs the second copy, although no object that is looked at does."""
    store = open_local(tmp_path)
    trees = versions(store, 3)
    left = marked_and_swept(store, trees, None)
    oid = object_id(Kind.BLOB, b"content 1" * 20)
    number = store._l2.totals.next_number
    found = store.inspect().chain(oid)[0].number
    # A record of other bytes under the same short id, as damage may leave.
    with store._l2.writing:
        with store._l2.reading() as snapshot:
            record = snapshot.record(found)
        bad = record[:-3] + bytes(byte ^ 1 for byte in record[-3:])
        store._l2.change(lambda change: change.rewrite(found, bad))
    assert give(store, b"content 1" * 20) == [oid]
    (other,) = give(store, b"garbage" * 30)
    settle(store)
    assert store._l2.totals.next_number == number + 2
    marked_and_swept(store, trees, left)
    store.close()
    # Opened anew: L1 would have the object in any case.
    store = open_local(tmp_path)
    assert store.read(oid, Kind.BLOB) == b"content 1" * 20
    assert not store.contains(other)
    store.close()


def test_a_commit_that_comes_back_is_judged(life: Life) -> None:
    """It stayed for a later one, unlisted; with its old bytes it has its old number again."""
    life.commit(12)
    oids = [oid for oid, _ in life.repository.history.walk(life.repository.root.head)]
    settle(life.store)
    collection = life.store.collect()
    with collection.snapshot():
        data = collection.read(oids[4], Kind.COMMIT)
    collection.close()
    # The last ones alone stay, as objects: the commits before are forgotten one by one.
    collection = life.store.collect()
    with collection.snapshot():
        collection.mark(oids[0])
    for oid in oids[1:]:
        life.store.put(keys.COMMIT + oid, None)
    life.store.publish()
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    left = collection.remember()
    collection.close()
    assert left is not None
    assert life.store.contains(oids[4]), "the base of a later commit"
    life.store.add(oids[4], Kind.COMMIT, data)
    life.store.put(keys.COMMIT + oids[4], b"")
    life.store.publish()
    collection = life.store.collect()
    assert collection.recall(left) == []
    finish(collection.plan_settle)
    with collection.snapshot():
        assert oids[4] in collection.listed(keys.COMMIT)
        assert not collection.is_old(oids[4])
        assert collection.is_old(oids[0])
        assert oids[0] not in collection.listed(keys.COMMIT)
    collection.close()


def test_pending_objects_are_roots_of_the_next_collection(tmp_path: Path) -> None:
    """They have no number yet when they are reached, and what reached them is not asked again."""
    store = open_local(tmp_path)
    (oid,) = give(store, os.urandom(500))
    raw = encode_entry(Entry(b"file", 0o100644, 0, 0, 0, 500, oid))
    tree = object_id(Kind.TREE, join_leaf([raw]))
    store.add(tree, Kind.TREE, join_leaf([raw]))
    store.publish()
    collection = store.collect()
    with collection.snapshot():
        assert collection.enter(Kind.TREE, tree) == [(Kind.BLOB, oid)]
        assert collection.enter(Kind.BLOB, oid) == []
    finish(collection.plan_settle)
    finish(collection.plan_sweep)
    left = collection.remember()
    collection.close()
    assert left is not None
    collection = store.collect()
    further = collection.recall(left)
    assert further is not None
    assert set(further) == {(Kind.TREE, tree), (Kind.BLOB, oid)}
    collection.close()
    store.close()
