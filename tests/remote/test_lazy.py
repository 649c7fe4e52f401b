"""Fetches that leave contents at the remote, and everything that must know of that."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from heliosfs.errors import CorruptObject, HeliosError, MissingObject, PromisedObject
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.objects.references import references
from heliosfs.remote import packfile, push, upload
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.fetch import fetch
from heliosfs.repo.check import CheckResult, check_store
from heliosfs.repo.gc.collect import collect_garbage
from heliosfs.repo.gc.retention import Retention
from heliosfs.steps import run_to_end
from heliosfs.store.memory import MemoryStore
from heliosfs.store.promises import PackRows
from tests.remote.machines import Machine
from tests.stores import blob, give, open_local, settle


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packfile, "PACK_FULL_BYTES", 30_000)
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)


def _filled(bucket: MemoryBucket) -> Machine:
    """Push commits of small files, and of a large one."""
    rng = random.Random(3)
    machine = Machine(bucket)
    for number in range(8):
        names = {f"d{at}/f{number}": rng.randbytes(2_000) for at in range(5)}
        machine.commit("work", **names)
    machine.commit("large", large=rng.randbytes(3_000_000))
    machine.push()
    return machine


def _contents(machine: Machine) -> set[Oid]:
    """Return the ids of all contents that HEAD reaches."""
    found, pending = set(), [(Kind.COMMIT, Oid(bytes.fromhex(machine.head)))]
    while pending:
        kind, oid = pending.pop()
        if kind is Kind.BLOB:
            found.add(oid)
        else:
            pending += references(kind, machine.store.read(oid, kind))
    return found


@pytest.fixture(params=["memory", "local"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose remote is lazy."""
    store = MemoryStore() if request.param == "memory" else open_local(tmp_path)
    yield Machine(MemoryBucket(), cast("MemoryStore", store), is_lazy=True)
    store.close()


def _fetch(reader: Machine, bucket: MemoryBucket) -> None:
    reader.bucket = bucket
    reader.fetch()


def _checked(machine: Machine) -> CheckResult:
    return run_to_end(check_store(machine.repository), machine.store)


def _collect(machine: Machine) -> None:
    """Keep what refs and working states name, and nothing else."""
    retention = Retention(machine.clock.now_ns() + 10**18, 0, keeps_unreached=False)
    run_to_end(collect_garbage(machine.repository, retention), machine.store)


def test_nothing_but_trees_is_read(reader: Machine) -> None:
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    bucket.requests.clear()
    before = bucket.received_bytes
    _fetch(reader, bucket)
    # The refs, the one that is there, and the trees.
    assert bucket.requests == {"list": 1, "get": 2}
    assert bucket.received_bytes - before < 100_000
    reader.run("merge", "-q", "origin/main")
    wanted = _contents(pusher)
    assert len(wanted) == 8 * 5 + 3_000_000 // 131_072 + 1
    assert {each.oid for each in reader.store.promises} == wanted
    for oid in wanted:
        assert not reader.store.contains(oid)
        with pytest.raises(PromisedObject):
            reader.store.read(oid, Kind.BLOB)
    # Names, sizes and history are all here.
    assert reader.commits() == pusher.commits()
    names = reader.files.workspace.names(reader.files.directory(b"d1"))
    assert set(names) == {b"f%d" % each for each in range(8)}
    assert reader.run("status") == pusher.run("status")
    assert bucket.requests == {"list": 1, "get": 2}


def test_a_check_counts_promises_apart(reader: Machine) -> None:
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    _fetch(reader, bucket)
    reader.run("merge", "-q", "origin/main")
    count = len(_contents(pusher))
    checked = _checked(reader)
    assert (checked.problems, checked.promised) == ([], count)
    assert f"all sound, and {count} contents are still at a remote" in reader.run("fsck")
    some = next(iter(_contents(pusher)))
    reader.store.add(some, Kind.BLOB, pusher.store.read(some, Kind.BLOB))
    reader.store.publish()
    assert _checked(reader).promised == count - 1
    # Without its promise an object is missing.
    marks = reader.store.promises.marks()
    gone = next(oid for oid in sorted(_contents(pusher)) if oid != some)
    for oid in _contents(pusher) - {gone}:
        marks.mark(oid)
    reader.store.promises.drop(marks)
    with pytest.raises(CorruptObject, match=gone.hex()):
        reader.run("fsck")


def test_a_collection_keeps_what_is_reached(reader: Machine) -> None:
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    pusher.run("branch", "side")
    pusher.run("checkout", "-q", "side")
    pusher.commit("aside", aside=b"x" * 5_000)
    pusher.push("side")
    pusher.run("checkout", "-q", "main")
    _fetch(reader, bucket)
    reader.run("merge", "-q", "origin/main")
    reader.store.publish()
    count = len(_contents(pusher))
    assert _checked(reader).promised == count + 1
    _collect(reader)
    assert len(reader.store.promises) == count + 1
    assert (_checked(reader).problems, _checked(reader).promised) == ([], count + 1)
    pusher.run("checkout", "-q", "main")
    with pusher.repository.transaction:
        bucket.delete("refs/heads/side")
    reader.fetch(prunes=True)
    assert len(reader.store.promises) == count + 1
    # The second one looks at all, since a commit was lost; the next ones recall.
    for _ in range(3):
        _collect(reader)
        assert {each.oid for each in reader.store.promises} == _contents(pusher)
        assert _checked(reader).problems == []
    pusher.commit("later", later=b"y" * 5_000)
    pusher.push()
    reader.fetch()
    _collect(reader)
    assert len(reader.store.promises) == count + 1
    assert _checked(reader).problems == []


def test_a_collection_drops_promises_of_what_is_here(reader: Machine) -> None:
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    _fetch(reader, bucket)
    reader.run("merge", "-q", "origin/main")
    here = sorted(_contents(pusher))[::2]
    for oid in here:
        reader.store.add(oid, Kind.BLOB, pusher.store.read(oid, Kind.BLOB))
    reader.store.publish()
    for _ in range(2):
        _collect(reader)
        settle(reader.store)
    if not isinstance(reader.store, MemoryStore):
        assert {each.oid for each in reader.store.promises} == _contents(pusher) - set(here)
    assert _checked(reader).problems == []
    for oid in here:
        assert reader.store.contains(oid)


def test_a_promised_object_is_no_base(reader: Machine) -> None:
    """The next version of a file that is not here is stored whole."""
    bucket = MemoryBucket()
    pusher = Machine(bucket)
    text = b"".join(b"line %d of many that stay\n" % each for each in range(400))
    pusher.commit("one", a=text)
    pusher.push()
    _fetch(reader, bucket)
    reader.run("merge", "-q", "origin/main")
    new = text + b"and one more\n"
    oid = give(reader.store, new, base=text)[0]
    settle(reader.store)
    assert reader.store.read(oid, Kind.BLOB) == new
    chain = reader.store.inspect().chain(oid)
    assert len(chain) == 1 and chain[0].base is None


def test_a_push_to_its_own_remote_sends_nothing_promised(reader: Machine) -> None:
    bucket = MemoryBucket()
    _filled(bucket)
    _fetch(reader, bucket)
    reader.run("merge", "-q", "origin/main")
    # An old version of a file comes back: it is not here, and beyond what the parent has.
    reader.run("reset", "--hard", "-q", "HEAD~3")
    reader.run("branch", "old")
    reader.run("reset", "--hard", "-q", "origin/main")
    reader.commit("new", mine=b"z" * 5_000)
    before = bucket.sent_bytes
    result = reader.push()
    assert result.sent_bytes < 10_000
    assert bucket.sent_bytes - before < 10_000
    full = Machine(bucket)
    full.pull()
    full.check()
    assert full.commits() == reader.commits()


def test_what_was_once_there_need_not_be_sent_again(reader: Machine) -> None:
    bucket = MemoryBucket()
    pusher = Machine(bucket)
    old = random.Random(4).randbytes(50_000)
    pusher.commit("with", a=old)
    pusher.run("rm", "-q", "a")
    pusher.commit("without", b=b"1")
    pusher.push()
    _fetch(reader, bucket)
    reader.run("merge", "-q", "origin/main")
    # The file is put back without reading it.
    reader.run("reset", "--hard", "-q", "HEAD~1")
    reader.run("reset", "--soft", "-q", "origin/main")
    reader.run("commit", "-q", "-am", "back")
    assert not reader.store.contains(object_id(Kind.BLOB, old))
    assert reader.push().sent_bytes < 5_000
    full = Machine(bucket)
    full.pull()
    full.check()
    assert full.files.read(b"a") == old


def test_a_push_elsewhere_asks_for_contents(reader: Machine) -> None:
    bucket, other = MemoryBucket(), MemoryBucket()
    _filled(bucket)
    _fetch(reader, bucket)
    reader.run("merge", "-q", "origin/main")
    with reader.repository.transaction:
        reader.repository.remotes.add("other", "memory:")
    head = reader.view.head
    assert head is not None
    steps = push.push(reader.repository, other, "other", "heads", "main", head)
    with pytest.raises(PromisedObject):
        run_to_end(steps, reader.store)
    assert list(other.list("refs/")) == []


def test_later_fetches_stay_lazy_and_full_ones_full() -> None:
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    lazy, full = Machine(bucket, is_lazy=True), Machine(bucket)
    for machine in (lazy, full):
        machine.pull()
    pusher.commit("more", more=b"m" * 5_000)
    pusher.push()
    for machine in (lazy, full):
        machine.pull()
    oid = blob(b"m" * 5_000)[0]
    assert oid in lazy.store.promises and not lazy.store.contains(oid)
    assert full.store.contains(oid) and len(full.store.promises) == 0


def test_a_damaged_remote_leaves_no_promise() -> None:
    """A commit that needs more than is here or promised is not listed."""
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    pusher.commit("more", more=b"m" * 5_000)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        # A push that forgets to send contents.
        patch.setattr(upload.Upload, "_add_content", lambda self, found: None)
        pusher.push()
    reader = Machine(bucket, is_lazy=True)
    with pytest.raises(HeliosError, match="nothing was changed"):
        reader.fetch()
    assert reader.tracked == {}
    assert len(reader.store.promises) == 0


def test_an_object_of_another_kind_is_never_promised() -> None:
    """A tree that a remote calls a content does not stand for the tree."""
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    reader = Machine(bucket, is_lazy=True)
    head = pusher.view.head
    assert head is not None
    tree = pusher.repository.history.read(head).root.oid
    reader.store.promises.add("origin", [PackRows(bytes(32), 100, [(tree, 0, 1, 1, 16)])])
    reader.pull()
    assert reader.store.read(tree, Kind.TREE) == pusher.store.read(tree, Kind.TREE)
    assert _checked(reader).problems == []
    reader.store.forget(tree)
    with pytest.raises(MissingObject):
        reader.store.read(tree, Kind.TREE)
    assert _checked(reader).problems != []


def test_a_promise_that_shares_its_short_id_stays(tmp_path: Path) -> None:
    """A survey knows contents by seven bytes: another one with these must not stand for it."""
    store = open_local(tmp_path)
    here = give(store, b"here")[0]
    settle(store)
    other = Oid(here[:7] + bytes(25))
    store.promises.add("origin", [PackRows(bytes(32), 100, [(other, 0, 1, 1, 16)])])
    collection = store.collect()
    while (work := collection.plan_promises()) is not None:
        work.execute()
        work.apply()
    collection.close()
    assert other in store.promises
    store.close()


@pytest.mark.parametrize("is_lazy", [False, True])
def test_a_content_of_another_branch_is_part_of_what_a_branch_needs(*, is_lazy: bool) -> None:
    """It was taken over without reading it; whoever fetches the branch alone finds it."""
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    pusher.run("branch", "idea")
    pusher.run("checkout", "-q", "idea")
    pusher.commit("idea", idea=random.Random(9).randbytes(5_000), other=b"o" * 5_000)
    pusher.push("idea")
    lazy = Machine(bucket, is_lazy=True)
    lazy.pull()
    lazy.run("checkout", "-q", "origin/idea", "--", "idea")
    lazy.run("commit", "-q", "-am", "taken over")
    sent = lazy.push().sent_bytes
    assert sent < 5_000
    reader = Machine(bucket, is_lazy=is_lazy)
    run_to_end(fetch(reader.repository, bucket, "origin", ["main"]), reader.store)
    reader.run("merge", "-q", "origin/main")
    assert _checked(reader).problems == []
    assert reader.head == lazy.head
    # The other branch still brings all of its own.
    reader.fetch()
    reader.run("reset", "--hard", "-q", "origin/idea")
    checked = _checked(reader)
    assert checked.problems == []
    assert checked.promised == (len(_contents(reader)) if is_lazy else 0)
