"""Clones of the last commits of each branch, and all that can be done in them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from blake3 import blake3

from heliosfs.errors import NotFound, NotPermitted, StoreFormat, UsageError
from heliosfs.objects.ids import Kind
from heliosfs.remote import contents, packfile, treesfile, upload, within
from heliosfs.remote.bucket import Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.contents import make_whole
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.experiments import push_experiment
from heliosfs.remote.layout import ref_key, trees_key
from heliosfs.remote.push import push
from heliosfs.remote.refplace import NotFastForward
from heliosfs.remote.shallow import Extent
from heliosfs.repo.check import CheckResult
from heliosfs.repo.edge import UNSHALLOW
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, TAGS
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, run_to_end
from heliosfs.store import version
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine, commit_id
from tests.remote.shallow import (
    WHOLE,
    ShallowMachine,
    check_whole_or_cut,
    last_commits,
    named_parents,
)
from tests.remote.trees_objects import make_old
from tests.stores import open_local, settle
from tests.tree_builder import IDENTITY

Clone = Callable[[int], ShallowMachine]


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packfile, "PACK_FULL_BYTES", 20_000)
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)


@pytest.fixture
def writer() -> Machine:
    """A machine with a branch of ten commits, and one that left it at the fourth."""
    machine = Machine(MemoryBucket())
    rng = random.Random(1)
    machine.files.write(b"old", b"one\ntwo\nthree\n")
    for number in range(10):
        data = rng.randbytes(2_000)
        machine.commit(f"c{number}", **{f"d{number % 3}/f{number}": data, "same": b"%d\n" % number})
        if number == 3:
            machine.run("branch", "idea")
    machine.push()
    machine.run("checkout", "-q", "idea")
    machine.commit("idea", idea=rng.randbytes(2_000))
    machine.push("idea")
    machine.run("checkout", "-q", "main")
    return machine


@pytest.fixture(params=["memory", "memory full", "local", "local full"])
def clone(request: pytest.FixtureRequest, writer: Machine, tmp_path: Path) -> Iterator[Clone]:
    """A function that makes a machine with the last commits."""
    kind, _, is_full = request.param.partition(" ")
    (tmp_path / "store").mkdir()
    store = MemoryStore() if kind == "memory" else open_local(tmp_path / "store")
    yield lambda depth: ShallowMachine(
        writer.bucket, depth, cast("MemoryStore", store), is_lazy=not is_full
    )
    store.close()


def _subjects(machine: Machine, *words: str) -> list[str]:
    return machine.run("log", "--format=%s", *words).split()


def _requests(machine: Machine) -> int:
    return sum(cast("MemoryBucket", machine.bucket).requests.values())


def test_the_last_commits_of_each_branch_are_here(clone: Clone, writer: Machine) -> None:
    machine = clone(3)
    assert _subjects(machine) == ["c9", "c8", "c7"]
    assert _subjects(machine, "origin/idea") == ["idea", "c3", "c2"]
    assert machine.listed == last_commits(writer, ["main", "idea"], 3)
    assert len(machine.edge) == machine.fetched.shallow_count == 2
    checked = check_whole_or_cut(machine.repository)
    assert (checked.commits, checked.shallow) == (6, 2)
    run_to_end(make_whole(machine.repository, lambda url: machine.bucket), machine.store)
    assert machine.files.tree() == writer.files.tree()


def test_only_what_these_commits_need_is_stored_and_promised(clone: Clone, writer: Machine) -> None:
    machine = clone(1)
    whole = Machine(writer.bucket, is_lazy=True)
    whole.fetch()
    checked = check_whole_or_cut(machine.repository)
    assert machine.store.stats().objects <= checked.objects
    # Ten files and one that all have; `idea` has five and one of its own.
    assert {each.oid for each in whole.store.promises} > {
        each.oid for each in machine.store.promises
    }
    run_to_end(make_whole(machine.repository, lambda url: machine.bucket), machine.store)
    assert check_whole_or_cut(machine.repository).promised == 0


def test_a_clone_costs_no_more_requests_than_a_whole_one(writer: Machine) -> None:
    before = _requests(writer)
    machine = Machine(writer.bucket, is_lazy=True)
    machine.fetch()
    whole = _requests(writer) - before
    ShallowMachine(writer.bucket, 1)
    assert _requests(writer) == before + 2 * whole


def test_revisions_below_the_edge_have_a_clear_end(clone: Clone) -> None:
    machine = clone(2)
    assert machine.run("rev-list", "--count", "HEAD") == "2\n"
    for word in ("HEAD~2", "HEAD~70", "HEAD~1^"):
        with pytest.raises(NotFound, match="--unshallow"):
            machine.run("rev-parse", word)
    assert machine.run("merge-base", "HEAD", "HEAD~1").strip() == _head(machine, "HEAD~1")
    assert machine.run("merge-base", "HEAD", "origin/idea") == ""
    with pytest.raises(UsageError, match=f"no common commit here.*{UNSHALLOW}"):
        machine.run("merge", "origin/idea")


def _head(machine: Machine, name: str) -> str:
    return machine.run("rev-parse", name).strip()


def test_blame_marks_what_was_there_before(writer: Machine) -> None:
    machine = ShallowMachine(writer.bucket, 2, is_lazy=False)
    edge = _head(machine, "HEAD~1")
    assert machine.run("blame", "same").startswith(_head(machine, "HEAD")[:8])
    machine.commit("own", old=b"mine\n" + machine.files.read(b"old"))
    first, *others = machine.run("blame", "old").splitlines()
    assert first.startswith(machine.head[:8])
    assert len(others) == 3
    assert all(line.startswith(f"^{edge[:7]}") for line in others)


def _kept(checked: CheckResult) -> CheckResult:
    return checked._replace(operations=0, objects=0)


def test_a_collection_keeps_what_is_here(clone: Clone, writer: Machine) -> None:
    machine = clone(2)
    machine.commit("own", own=b"1")
    expected = _kept(check_whole_or_cut(machine.repository))
    for _ in range(2):
        machine.collect(dry_run=True)
        machine.collect()
        if hasattr(machine.store, "plan_drain"):
            settle(machine.store)
        assert _kept(check_whole_or_cut(machine.repository)) == expected
    # What nobody names goes, with its record.
    with machine.repository.transaction:
        now_ns = machine.clock.now_ns()
        machine.repository.remotes.track("origin", HEADS, "idea", None, now_ns)
    machine.collect()
    assert check_whole_or_cut(machine.repository).shallow == 1
    assert len(machine.edge) == 1
    assert _subjects(writer, "-1") == ["c9"]


def test_a_collection_looks_below_again_once_the_history_is_whole(clone: Clone) -> None:
    machine = clone(2)
    machine.collect()
    machine.fetch_extent(WHOLE)
    machine.collect()
    assert not machine.edge
    assert len(_subjects(machine)) == 10
    check_whole_or_cut(machine.repository)


def test_new_commits_are_pushed_in_three_requests(clone: Clone, writer: Machine) -> None:
    machine = clone(2)
    machine.commit("own", own=b"1")
    machine.push()
    before = _requests(writer)
    machine.commit("own again")
    machine.push()
    assert _requests(writer) - before == 3
    writer.pull()
    assert len(writer.commits()) == 12
    writer.check()
    whole = Machine(writer.bucket)
    whole.pull()
    whole.check()
    assert whole.commits() == writer.commits()


def test_another_remote_gets_nothing_without_the_history(clone: Clone) -> None:
    machine = clone(2)
    other = MemoryBucket()
    with machine.repository.transaction:
        machine.repository.remotes.add("other", "memory:other")
    head = commit_id(machine.head)
    with pytest.raises(NotPermitted, match=UNSHALLOW):
        run_to_end(push(machine.repository, other, "other", HEADS, "main", head), machine.store)
    assert not [each.key for each in other.list("")]
    machine.fetch_extent(WHOLE)
    run_to_end(make_whole(machine.repository, lambda url: machine.bucket), machine.store)
    run_to_end(push(machine.repository, other, "other", HEADS, "main", head), machine.store)
    reader = Machine(other)
    reader.pull()
    reader.check()
    assert len(reader.commits()) == 10


def test_a_commit_on_the_edge_is_amended_without_losing_its_parents(
    clone: Clone, writer: Machine
) -> None:
    machine = clone(1)
    parents = named_parents(machine.repository, commit_id(machine.head))
    machine.run("commit", "-q", "--amend", "-m", "amended")
    head = commit_id(machine.head)
    assert named_parents(machine.repository, head) == parents
    assert head in machine.repository.history.edge
    assert _subjects(machine) == ["amended"]
    assert machine.run("rev-list", "--count", "HEAD") == "1\n"
    check_whole_or_cut(machine.repository)
    with pytest.raises(NotPermitted, match=UNSHALLOW):
        machine.push(with_lease=True)
    machine.fetch_extent(WHOLE)
    assert len(_subjects(machine)) == 10
    machine.push(with_lease=True)
    writer.fetch()
    writer.check()
    assert writer.origin_main == machine.head
    assert named_parents(writer.repository, head) == parents


def test_an_amend_that_fails_leaves_no_record(clone: Clone) -> None:
    machine = clone(1)
    before = machine.edge
    with pytest.raises(RuntimeError), machine.repository.transaction:
        machine.repository.root.amend("amended")
        raise RuntimeError
    assert machine.edge == before
    check_whole_or_cut(machine.repository)


@pytest.mark.parametrize("verb", ["cherry-pick", "revert"])
def test_the_change_of_a_commit_on_the_edge_is_not_known(clone: Clone, verb: str) -> None:
    machine = clone(2)
    with pytest.raises(NotPermitted, match=UNSHALLOW):
        machine.run(verb, "HEAD~1")


def test_an_undo_does_not_move_the_edge(clone: Clone) -> None:
    machine = clone(2)
    head, edge = machine.head, machine.edge
    machine.run("commit", "-q", "--allow-empty", "-m", "own")
    machine.run("undo")
    machine.run("undo")
    assert (machine.view.head, machine.edge) == (None, edge)
    machine.run("redo")
    assert (machine.head, machine.edge) == (head, edge)
    check_whole_or_cut(machine.repository)


def test_later_fetches_bring_what_is_new_and_the_edge_stays(clone: Clone, writer: Machine) -> None:
    machine = clone(2)
    edge = machine.edge
    for number in (10, 11, 12):
        writer.commit(f"c{number}", new=b"%d" % number)
        writer.push()
    done = machine.fetch_extent(Extent())
    assert (done.commit_count, machine.edge) == (3, edge)
    machine.run("merge", "-q", "origin/main")
    assert _subjects(machine) == ["c12", "c11", "c10", "c9", "c8"]
    check_whole_or_cut(machine.repository)


def test_a_branch_that_left_below_the_edge_comes_whole(clone: Clone, writer: Machine) -> None:
    machine = clone(2)
    writer.run("checkout", "-q", "-b", "old", "main~7")
    writer.commit("old", old=b"1")
    writer.push("old")
    edge = machine.edge
    machine.fetch()
    assert _subjects(machine, "origin/old") == ["old", "c2", "c1", "c0"]
    check_whole_or_cut(machine.repository)
    # What `idea` has is whole now, too, since its commits go on where they had ended.
    assert len(machine.edge) == len(edge) - 1
    assert len(_subjects(machine, "origin/idea")) == 5
    assert len(_subjects(machine)) == 2


def test_a_merge_of_a_branch_that_left_below_the_edge(clone: Clone, writer: Machine) -> None:
    machine = clone(2)
    writer.run("merge", "-q", "idea")
    writer.push()
    machine.pull()
    found = set(_subjects(machine, "--no-merges"))
    assert found >= {"c9", "c8", "idea", "c3"}
    check_whole_or_cut(machine.repository)
    machine.commit("own", own=b"1")
    machine.push()
    writer.pull()
    writer.check()


def test_a_forced_branch_that_has_nothing_in_common(clone: Clone, writer: Machine) -> None:
    machine = clone(2)
    other = Machine(writer.bucket)
    other.commit("another first", z=b"1")
    other.commit("another second", z=b"2")
    other.fetch()
    other.push(with_lease=True)
    done = machine.fetch()
    assert [each.is_forced for each in done.moved] == [True]
    assert _subjects(machine, "origin/main") == ["another", "second", "another", "first"]
    check_whole_or_cut(machine.repository)


def test_all_history_can_be_had_later(clone: Clone, writer: Machine) -> None:
    for _ in range(150):
        writer.commit("more")
    writer.push()
    machine = clone(80)
    below = machine.repository.history.first_parents.below
    head = commit_id(machine.head)
    assert below(head, 79) is not None
    assert below(head, 80) is None
    done = machine.fetch_extent(WHOLE)
    assert (done.shallow_count, machine.edge) == (0, set())
    assert machine.commits() == writer.commits()
    for count in (1, 63, 64, 79, 80, 128, 159, 160):
        assert below(head, count) == writer.repository.history.first_parents.below(head, count)
    assert machine.repository.has_milestones
    assert check_whole_or_cut(machine.repository).shallow == 0
    # Nothing is left to do.
    assert machine.fetch_extent(WHOLE).commit_count == 0
    again = Repository.open(machine.store, machine.clock, IDENTITY)
    assert again.history.first_parents.below(head, 159) == below(head, 159)
    assert not machine.store.declaration.is_shallow


def test_the_store_says_so_to_programs_that_would_not_know(
    writer: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_local(tmp_path)
    machine = ShallowMachine(writer.bucket, 2, cast("MemoryStore", store))
    assert (tmp_path / "format").read_text().endswith("version 6\n")
    # Nor do promises that come and go change it.
    run_to_end(make_whole(machine.repository, lambda url: machine.bucket), machine.store)
    store.promises.take_back(remote="origin")
    assert (tmp_path / "format").read_text().endswith("version 6\n")
    store.close()
    with monkeypatch.context() as patch:
        patch.setattr(version, "_NEWEST", version.IN_BLOCKS)
        with pytest.raises(StoreFormat, match="install a newer heliosfs"):
            open_local(tmp_path)


def test_it_says_so_no_more_once_the_history_is_whole(writer: Machine, tmp_path: Path) -> None:
    store = open_local(tmp_path)
    machine = ShallowMachine(writer.bucket, 2, cast("MemoryStore", store))
    machine.fetch_extent(WHOLE)
    # The end of the record may not be on the disk before.
    assert (tmp_path / "format").read_text().endswith("version 6\n")
    machine.repository.close()
    store = open_local(tmp_path)
    assert store.declaration.is_shallow
    Repository.open(store, machine.clock, IDENTITY)
    assert (tmp_path / "format").read_text().endswith("version 5\n")
    store.close()


def test_a_depth_brings_more_of_each_branch(clone: Clone, writer: Machine) -> None:
    machine = clone(2)
    machine.fetch_extent(Extent(4))
    assert machine.listed == last_commits(writer, ["main", "idea"], 4)
    check_whole_or_cut(machine.repository)
    # Nothing goes that is here.
    machine.fetch_extent(Extent(1))
    assert machine.listed == last_commits(writer, ["main", "idea"], 4)
    machine.fetch_extent(Extent(100))
    assert machine.listed == last_commits(writer, ["main", "idea"], 100)
    assert not machine.edge
    check_whole_or_cut(machine.repository)


def test_tags_and_experiments_below_are_left_out_until_their_history_comes(
    clone: Clone, writer: Machine
) -> None:
    for name, revision in (("below", "main~5"), ("above", "main")):
        writer.run("tag", name, revision)
        oid = writer.repository.refs.tags[name]
        run_to_end(push(writer.repository, writer.bucket, "origin", TAGS, name, oid), writer.store)
    _push_experiment(writer, "old", "main~4")
    _push_experiment(writer, "new", "main")
    machine = clone(2)
    left = {(TAGS, "below"), (EXPERIMENTS, "old")}
    assert set(machine.fetched.below) == left
    assert set(machine.repository.refs.tags) == {"above"}
    assert (EXPERIMENTS, "new") in machine.tracked
    assert not left & machine.tracked.keys()
    check_whole_or_cut(machine.repository)
    # They are not read again.
    before = _requests(writer)
    assert machine.fetch().below == []
    assert _requests(writer) == before + 1
    machine.fetch_extent(WHOLE)
    assert set(machine.repository.refs.tags) == {"above", "below"}
    assert left < machine.tracked.keys()
    assert not machine.repository.remotes.notes.left_below("origin")
    check_whole_or_cut(machine.repository)


def _push_experiment(writer: Machine, name: str, revision: str) -> None:
    writer.run("experiment", "start", name, "--from", revision)
    writer.run("experiment", "record", "loss=1", "-e", name, "--commit", revision)
    experiment = writer.repository.experiments.get(name)
    steps = push_experiment(writer.repository, writer.bucket, "origin", experiment, name)
    run_to_end(steps, writer.store)


def test_what_a_remote_does_not_have_any_more_stays_on_the_edge(
    clone: Clone, writer: Machine
) -> None:
    machine = clone(1)
    machine.run("branch", "mine", "origin/idea")
    # Its branch is deleted there, and its trees with it.
    seen = writer.tracked[HEADS, "idea"]
    writer.bucket.delete(ref_key(HEADS, "idea"), seen.version)
    writer.bucket.delete(trees_key(seen.trees))
    done = machine.fetch_extent(WHOLE)
    assert [each.name for each in done.gone] == ["idea"]
    # Its parent is one of main's.
    assert done.shallow_count == 0
    check_whole_or_cut(machine.repository)


def test_a_damaged_remote_changes_nothing(clone: Clone, writer: Machine) -> None:
    machine = clone(2)
    before = machine.listed, machine.edge, machine.tracked
    key = trees_key(writer.tracked[HEADS, "main"].trees)
    got = writer.bucket.get(key)
    writer.bucket.swap(key, got.data[:-100], got.version)
    with pytest.raises(DamagedRemote):
        machine.fetch_extent(WHOLE)
    assert (machine.listed, machine.edge, machine.tracked) == before
    check_whole_or_cut(machine.repository)


@pytest.mark.parametrize("limit", ["HELD_BYTES_MAX", "HELD_COUNT_MAX"])
def test_too_much_to_be_held_is_stored(
    clone: Clone, writer: Machine, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(within, limit, 10)
    machine = clone(2)
    assert machine.listed == last_commits(writer, ["main", "idea"], 2)
    check_whole_or_cut(machine.repository)
    machine.collect()
    check_whole_or_cut(machine.repository)


def test_contents_of_what_is_here_come_alone(writer: Machine) -> None:
    machine = ShallowMachine(writer.bucket, 1)
    brought = run_to_end(make_whole(machine.repository, lambda url: machine.bucket), machine.store)
    assert contents.Brought(0, 0) != brought
    whole = Machine(writer.bucket)
    whole.fetch()
    blobs = [oid for oid in whole.store.objects if _is_blob(whole, oid)]
    here = [oid for oid in machine.store.objects if _is_blob(machine, oid)]
    assert set(here) < set(blobs)


def _is_blob(machine: Machine, oid: object) -> bool:
    return machine.store.objects[oid].kind is Kind.BLOB  # type: ignore[index]


def _counted(bucket: MemoryBucket, work: Callable[[], object]) -> int:
    before = sum(bucket.requests.values())
    work()
    return sum(bucket.requests.values()) - before


@pytest.mark.parametrize("extent", [Extent(3), WHOLE, Extent()])
def test_what_ends_at_any_request_changes_nothing_and_can_be_repeated(
    writer: Machine, extent: Extent
) -> None:
    bucket = cast("MemoryBucket", writer.bucket)

    machines = [ShallowMachine(bucket, 2) for _ in range(12)]
    writer.run("checkout", "-q", "-b", "old", "main~7")
    writer.commit("old")
    writer.push("old")
    writer.run("checkout", "-q", "main")
    writer.commit("c10")
    writer.push()
    whole = machines.pop()
    count = _counted(bucket, lambda: whole.fetch_extent(extent))
    assert 3 <= count <= len(machines)
    for number, machine in zip(range(count), machines, strict=False):
        before = machine.listed, machine.edge, machine.tracked
        left = iter(range(number))

        def fail(method: str, key: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Unreachable("the line is cut")

        bucket.before = fail
        with pytest.raises(Unreachable):
            machine.fetch_extent(extent)
        bucket.before = None
        assert (machine.listed, machine.edge, machine.tracked) == before
        check_whole_or_cut(machine.repository)
        machine.collect()
        check_whole_or_cut(machine.repository)
        machine.fetch_extent(extent)
        assert (machine.listed, machine.edge) == (whole.listed, whole.edge)
        check_whole_or_cut(machine.repository)


@pytest.mark.parametrize("seed", range(40))
def test_damage_at_a_remote_is_refused_or_makes_no_difference(writer: Machine, seed: int) -> None:
    drawn = random.Random(seed)
    bucket = cast("MemoryBucket", writer.bucket)
    extent = drawn.choice((Extent(2), WHOLE))
    machine = ShallowMachine(bucket, 1)
    key = drawn.choice([each.key for each in bucket.list("") if not each.key.startswith("refs/")])
    got = bucket.get(key)
    data = bytearray(got.data)
    for _ in range(drawn.randrange(1, 4)):
        data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)
    if drawn.random() < 0.3:
        del data[drawn.randrange(len(data)) :]
    bucket.swap(key, bytes(data), got.version)
    before = machine.listed
    try:
        machine.fetch_extent(extent)
    except DamagedRemote:
        # What could be read and checked may be listed; no ref leads to it.
        assert machine.listed >= before
    check_whole_or_cut(machine.repository)
    machine.collect()
    check_whole_or_cut(machine.repository)


def _requests_of(machine: ShallowMachine, extent: Extent) -> int:
    bucket = cast("MemoryBucket", machine.bucket)
    return _counted(bucket, lambda: machine.fetch_extent(extent))


def test_a_whole_history_is_not_read_again(writer: Machine) -> None:
    machine = ShallowMachine(writer.bucket, 2)
    machine.fetch_extent(WHOLE)
    assert _requests_of(machine, WHOLE) == 1


def test_a_remote_of_the_first_form(
    clone: Clone, writer: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs of it may have trees beside contents, and are read whole then."""
    monkeypatch.setattr(upload.Upload, "_is_small", lambda upload: False)
    monkeypatch.setattr(treesfile, "FRAMES_FULL_BYTES", 0)
    for number in range(3):
        writer.commit(f"more{number}", **{f"more/{number}": b"%d" % number * 900})
    writer.push()
    mixed = [
        each
        for each in writer.bucket.list("packs/")
        if Kind.BLOB not in _kinds(writer.bucket.get(each.key).data)
    ]
    assert mixed
    make_old(cast("MemoryBucket", writer.bucket))
    machine = clone(2)
    assert machine.listed == last_commits(writer, ["main", "idea"], 2)
    check_whole_or_cut(machine.repository)
    run_to_end(make_whole(machine.repository, lambda url: machine.bucket), machine.store)
    assert machine.files.tree() == writer.files.tree()


def _kinds(data: bytes) -> set[Kind]:
    name = packfile.PackName(blake3(data).digest(), len(data))
    return {found.kind for found in packfile.read_pack(name, data)}


def test_a_push_that_cannot_be_told_from_a_loss_says_so(writer: Machine) -> None:
    machine = ShallowMachine(writer.bucket, 1)
    with pytest.raises(NotFastForward, match=UNSHALLOW):
        run_to_end(_pushing(machine, "idea"), machine.store)
    machine.fetch_extent(WHOLE)
    # It has indeed a commit of its own.
    with pytest.raises(NotFastForward):
        run_to_end(_pushing(machine, "idea"), machine.store)


def _pushing(machine: Machine, name: str) -> Steps[object]:
    head = commit_id(machine.head)
    return push(machine.repository, machine.bucket, "origin", HEADS, name, head)
