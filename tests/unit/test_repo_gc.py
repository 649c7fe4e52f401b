"""Objects that a garbage collection keeps, and objects that it removes."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from heliosfs.commands.gc import collect
from heliosfs.errors import Busy, MissingObject, NotFound
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.objects.tree import encode_entry
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.gc.collect import GcResult, last_collected
from heliosfs.repo.gc.retention import Retention
from heliosfs.steps import Step, Steps, run_to_end
from heliosfs.store.sidefile import MemoryFile
from heliosfs.workspace.working_set import WorkingSet
from tests.tree_builder import Stage

HOUR_NS = 3600 * 10**9
_TURNS = 60
"""More than a collection of so little takes until its sweep."""
FOREVER = Retention(since_ns=0, operation_count=1000)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def now(stage: Stage, operations: int = 1000, *, unreached: bool = True) -> Retention:
    """Keep nothing for its age."""
    return Retention(stage.clock.now_ns() + 10**9, operations, unreached)


def gc(stage: Stage, retention: Retention, *, dry_run: bool = False) -> GcResult:
    return run_to_end(collect(stage.repository, retention, dry_run=dry_run), stage.store)


def with_turns(steps: Steps[GcResult], act: Callable[[int], None]) -> GcResult:
    """Drive a collection, and let others have their turn after every step."""

    def told() -> Steps[GcResult]:
        count = 0
        step: Step = next(steps)
        while True:
            if count < _TURNS:
                act(count)
            count += 1
            yield step
            try:
                step = next(steps)
            except StopIteration as done:
                result: GcResult = done.value
                return result

    return run_to_end(told(), Stage().store)


def blob(data: bytes) -> Oid:
    return object_id(Kind.BLOB, data)


def has(stage: Stage, data: bytes) -> bool:
    return stage.store.contains(blob(data))


def test_what_was_saved_and_replaced_before_any_commit_goes(stage: Stage) -> None:
    stage.files.write(b"draft", b"first draft")
    stage.repository.checkpoint()
    stage.files.write(b"draft", b"second draft")
    stage.repository.checkpoint()
    collected = gc(stage, FOREVER)
    assert (collected.commits, collected.operations) == (0, 0)
    assert collected.objects == 2
    assert collected.stored_bytes > 0
    assert not has(stage, b"first draft")
    assert stage.files.read(b"draft") == b"second draft"
    stage.reopen()
    assert stage.files.read(b"draft") == b"second draft"


def test_uncommitted_changes_that_were_not_saved_stay(stage: Stage) -> None:
    stage.commit(a=b"committed")
    stage.files.write(b"b", b"only in memory")
    gc(stage, now(stage))
    stage.crash()
    assert stage.files.read(b"b") == b"only in memory"


def test_commits_that_were_reset_away_stay_for_their_age(stage: Stage) -> None:
    kept = stage.commit(a=b"kept")
    dropped = stage.commit(a=b"dropped")
    stage.run("reset", "--hard", kept)
    collected = gc(stage, Retention(stage.clock.now_ns() - HOUR_NS, 1000))
    assert (collected.commits, collected.operations, collected.objects) == (0, 0, 0)
    stage.run("undo")
    assert stage.head == dropped
    stage.run("redo")
    collected = gc(stage, now(stage))
    assert collected.commits == 1
    assert collected.operations == 5
    assert not has(stage, b"dropped")
    assert has(stage, b"kept")
    with pytest.raises(NotFound, match="no commit"):
        stage.run("rev-parse", dropped)
    assert dropped not in [oid.hex() for oid in stage.repository.history.ids()]


def test_an_old_operation_cannot_be_undone_but_the_next_can(stage: Stage) -> None:
    stage.commit(a=b"1")
    stage.commit(a=b"2")
    gc(stage, now(stage))
    with pytest.raises(NotFound, match="nothing to undo"):
        stage.run("undo")
    assert stage.run("oplog") == ""
    first = stage.head
    stage.commit(a=b"3")
    stage.run("undo")
    assert stage.head == first
    assert stage.files.read(b"a") == b"3"
    stage.reopen()
    with pytest.raises(NotFound, match="nothing to undo"):
        stage.run("undo")
    stage.run("redo")


def test_so_many_operations_stay_and_undo_works_within_them(stage: Stage) -> None:
    heads = [stage.commit(a=b"%d" % number) for number in range(10)]
    collected = gc(stage, Retention(0, 3))
    assert collected.operations == 7
    assert len(stage.run("oplog").splitlines()) == 3
    for number in (8, 7, 6):
        stage.run("undo")
        assert stage.head == heads[number]
    with pytest.raises(NotFound, match="a garbage collection dropped what came before"):
        stage.run("undo")
    for number in (7, 8, 9):
        stage.run("redo")
        assert stage.head == heads[number]


def test_a_state_that_undo_leads_to_stays_with_what_was_uncommitted_in_it(stage: Stage) -> None:
    stage.commit(a=b"1")
    stage.files.write(b"draft", b"not committed")
    stage.run("reset", "--hard", "HEAD")
    gc(stage, Retention(0, 1))
    stage.run("undo")
    assert stage.files.read(b"draft") == b"not committed"


def test_aggressive_takes_unreached_commits_of_any_age_but_not_what_undo_needs(
    stage: Stage,
) -> None:
    base = stage.commit(a=b"base")
    stage.run("branch", "idea")
    stage.run("checkout", "idea")
    stage.commit(a=b"idea")
    stage.run("checkout", "main")
    stage.run("branch", "-D", "idea")
    away = stage.commit(a=b"away")
    stage.run("reset", "--hard", base)
    aggressive = Retention(stage.clock.now_ns() - HOUR_NS, 1000, keeps_unreached=False)
    collected = gc(stage, aggressive)
    assert collected.commits == 1
    assert not has(stage, b"idea")
    stage.run("undo")
    assert stage.head == away


def test_what_checkout_leads_back_to_stays(stage: Stage) -> None:
    base = stage.commit(a=b"base")
    stage.run("checkout", base)
    alone = stage.commit(a=b"on no branch")
    stage.run("checkout", "main")
    everything = Retention(stage.clock.now_ns() + HOUR_NS, 0, keeps_unreached=False)
    gc(stage, everything)
    stage.run("checkout", "-")
    assert stage.head == alone
    assert stage.files.read(b"a") == b"on no branch"


def test_a_deleted_branch_is_kept_from_when_it_was_deleted(stage: Stage) -> None:
    stage.commit(a=b"base")
    stage.run("branch", "idea")
    stage.run("checkout", "idea")
    old = stage.commit(a=b"a year ago")
    stage.run("checkout", "main")
    stage.clock.time_ns += 365 * 24 * HOUR_NS
    stage.run("branch", "-D", "idea")
    stage.run("tag", "v1", old)
    stage.run("tag", "-d", "v1")
    assert gc(stage, Retention(stage.clock.now_ns() - HOUR_NS, 1000)).commits == 0
    assert stage.run("show", f"{old}:a") == "a year ago"
    stage.clock.time_ns += 2 * HOUR_NS
    assert gc(stage, Retention(stage.clock.now_ns() - HOUR_NS, 1000)).commits == 1
    assert not has(stage, b"a year ago")
    assert not list(stage.repository.dropped)


def test_a_moved_tag_keeps_what_it_named(stage: Stage) -> None:
    old = stage.commit(a=b"old")
    stage.run("tag", "best", old)
    stage.run("reset", "--hard", stage.commit(a=b"new"))
    stage.run("tag", "-f", "best", "HEAD")
    assert [oid.hex() for _, oid in stage.repository.dropped] == [old]


def test_what_a_deleted_branch_left_in_the_store_goes(stage: Stage) -> None:
    stage.commit(a=b"base")
    stage.run("branch", "idea")
    stage.live("idea").write(b"b", b"in the live view")
    stage.run("commit", "-m", "there", branch="idea")
    slot = stage.repository.refs.branch("idea").slot
    stage.run("branch", "-D", "idea")
    assert stage.store.get(b"work/%016x" % slot)
    gc(stage, now(stage))
    names = [key for key, _ in stage.store.scan(b"")]
    assert not [key for key in names if b"%016x" % slot in key]
    assert not [key for key in names if slot.to_bytes(8, "big") in key and b"op" in key]


def test_branches_tags_live_views_and_the_detached_state_stay(stage: Stage) -> None:
    first = stage.commit(a=b"first")
    stage.commit(a=b"second")
    stage.run("branch", "idea", first)
    stage.run("tag", "v1", first)
    stage.live("idea").write(b"b", b"in the live view")
    stage.run("checkout", first)
    stage.files.write(b"c", b"while detached")
    gc(stage, now(stage))
    stage.reopen()
    assert stage.files.read(b"c") == b"while detached"
    assert stage.live("idea").read(b"b") == b"in the live view"
    stage.run("checkout", "main")
    assert stage.files.read(b"a") == b"second"


def test_scored_commits_of_a_running_experiment_stay(stage: Stage) -> None:
    stage.commit(a=b"base")
    stage.run("experiment", "start", "tune")
    stage.run("checkout", "tune")
    plain = stage.commit(a=b"without a score")
    stage.run("reset", "--hard", "HEAD~1")
    scored = stage.commit(a=b"with a score")
    stage.run("experiment", "record", "score=0.9")
    stage.run("reset", "--hard", "HEAD~1")
    assert gc(stage, now(stage, unreached=False)).commits == 1
    assert stage.run("experiment", "best", "tune").strip() == scored
    assert stage.run("show", f"{scored}:a") == "with a score"
    with pytest.raises(NotFound):
        stage.run("show", plain)
    stage.run("experiment", "abandon", "tune")
    assert gc(stage, now(stage, unreached=False)).commits == 1
    assert not has(stage, b"with a score")
    assert not list(stage.store.scan(b"score/"))
    stage.run("experiment", "show", "tune")


def test_what_is_staged_and_was_staged_stays(stage: Stage) -> None:
    stage.commit(a=b"base")
    slot = stage.view.slot
    trees = []
    for data in (b"staged now", b"staged before an operation", b"staged long ago"):
        stage.files.write(b"a", data)
        trees.append(encode_entry(stage.view.state().root))
        stage.files.write(b"a", b"base")
    stage.commit(b=b"1")
    stage.commit(b=b"2")
    stage.store.put(b"stage/%016x" % slot, trees[0])
    stage.store.put(b"op-stage/" + struct.pack(">QQ", slot, 3), trees[1])
    stage.store.put(b"op-stage/" + struct.pack(">QQ", slot, 1), trees[2])
    stage.store.publish()
    gc(stage, Retention(0, 1))
    assert has(stage, b"staged now")
    assert has(stage, b"staged before an operation")
    assert not has(stage, b"staged long ago")
    assert [key for key, _ in stage.store.scan(b"op-stage/")] == [
        b"op-stage/" + struct.pack(">QQ", slot, 3)
    ]


def test_an_open_merge_stays(stage: Stage) -> None:
    base = stage.commit(a=b"1\n")
    stage.run("branch", "idea", base)
    stage.commit(a=b"2\n")
    stage.live("idea").write(b"a", b"3\n")
    stage.run("commit", "-m", "theirs", branch="idea")
    stage.run("merge", "--markers", "idea")
    theirs = stage.repository.root.merging
    stage.run("branch", "-D", "idea")
    gc(stage, now(stage, unreached=False))
    stage.reopen()
    stage.run("commit", "--allow-markers", "-m", "merged")
    assert theirs in stage.repository.history.read(stage.repository.root.head).parents  # type: ignore[arg-type]


def test_an_open_snapshot_stays(stage: Stage) -> None:
    base = stage.commit(a=b"base")
    shown = stage.commit(a=b"shown")
    stage.run("reset", "--hard", base)
    oid = next(oid for oid in stage.repository.history.ids() if oid.hex() == shown)
    stage.repository.open_snapshots[oid] = stage.repository.snapshot(oid)
    assert gc(stage, now(stage, unreached=False)).commits == 0
    del stage.repository.open_snapshots[oid]
    assert gc(stage, now(stage, unreached=False)).commits == 1


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_an_open_file_without_a_name_stays(stage: Stage, size: int) -> None:
    data = bytes(range(256)) * (size // 256)
    node = stage.files.write(b"open", data)
    stage.repository.checkpoint()
    stage.repository.working_set.reduce(0)
    node.opens = 1
    stage.files.remove(b"open")
    gc(stage, now(stage))
    read = stage.repository.working_set.read(node, 0, size)
    assert read == data
    node.opens = 0
    stage.view.workspace.release(node)
    gc(stage, now(stage))
    assert not stage.store.objects.keys() & {blob(data), blob(data[: 128 * 1024])}


def test_a_spilled_part_of_a_file_without_a_name_stays(stage: Stage) -> None:
    node = stage.files.write(b"open", bytes(3_000_000))
    node.opens = 1
    stage.files.remove(b"open")
    working_set: WorkingSet = stage.repository.working_set
    working_set.write(node, 300_000, b"late")
    working_set.reduce(0)
    gc(stage, now(stage))
    assert working_set.read(node, 300_000, 4) == b"late"


def test_a_dry_run_says_the_same_and_changes_nothing(stage: Stage) -> None:
    kept = stage.commit(a=b"kept")
    dropped = stage.commit(a=b"dropped")
    stage.run("reset", "--hard", kept)
    before = dict(stage.store.objects), dict(stage.store.state)
    retention = now(stage)
    would = gc(stage, retention, dry_run=True)
    assert (dict(stage.store.objects), dict(stage.store.state)) == before
    assert stage.run("rev-parse", dropped).strip() == dropped
    assert last_collected(stage.store) is None
    did = gc(stage, retention)
    assert would[2:6] == did[2:6]
    assert would.commits == 1
    assert last_collected(stage.store) == did


def test_a_second_run_finds_nothing(stage: Stage) -> None:
    stage.commit(a=b"1")
    stage.run("reset", "--hard", stage.commit(a=b"2"))
    retention = now(stage)
    gc(stage, retention)
    again = gc(stage, retention)
    assert again[2:6] == (0, 0, 0, 0)


def test_damage_stops_it_before_anything_is_removed(stage: Stage) -> None:
    base = stage.commit(a=b"base")
    stage.commit(a=b"dropped")
    stage.run("reset", "--hard", base)
    tree = stage.repository.history.read(stage.repository.root.head).tree  # type: ignore[arg-type]
    stage.store.forget(tree)
    objects, state = len(stage.store.objects), dict(stage.store.state)
    with pytest.raises(MissingObject, match=f"nothing was removed, since object {tree.hex()}"):
        gc(stage, now(stage))
    assert (len(stage.store.objects), stage.store.state) == (objects, state)
    assert len(list(stage.repository.history.ids())) == 2


def test_one_at_a_time(stage: Stage) -> None:
    stage.commit(a=b"1")
    steps = collect(stage.repository, FOREVER)
    next(steps)
    with pytest.raises(Busy, match="under way"):
        gc(stage, FOREVER)
    steps.close()
    gc(stage, FOREVER)


def test_work_that_goes_on_meanwhile_is_kept(stage: Stage) -> None:
    base = stage.commit(a=b"base")
    for number in range(6):
        stage.commit(a=b"garbage %d" % number)
    stage.run("reset", "--hard", base)
    heads = []

    def act(count: int) -> None:
        heads.append(stage.commit(f"work {count}", **{f"f{count % 3}": b"%d" % count}))
        stage.files.write(b"a", b"garbage %d" % (count % 6))

    collected = with_turns(collect(stage.repository, now(stage, unreached=False)), act)
    assert collected.commits == 6
    assert len(heads) > 5
    for count, head in enumerate(heads):
        assert stage.run("show", f"{head}:f{count % 3}") == f"{count}"
    stage.reopen()
    assert stage.files.read(b"a").startswith(b"garbage")


@pytest.mark.parametrize("turn", range(2, 8))
def test_what_is_discarded_meanwhile_can_be_undone(stage: Stage, turn: int) -> None:
    """The files are from before the collection, and the operation that names them is not."""
    base = stage.commit(a=b"base")
    lost = stage.commit(a=b"lost")
    stage.files.write(b"a", b"uncommitted")
    stage.repository.checkpoint()

    def act(count: int) -> None:
        if count == turn:
            stage.run("reset", "--hard", base)

    # No save of then is kept for its age, nor an operation.
    with_turns(collect(stage.repository, now(stage, unreached=False)), act)
    assert stage.files.read(b"a") == b"base"
    stage.run("undo")
    stage.reopen()
    assert stage.files.read(b"a") == b"uncommitted"
    assert stage.head == lost


def test_what_an_import_announces_meanwhile_stays(stage: Stage) -> None:
    """Commits that nothing else names until the refs of an import move."""
    base = stage.commit(a=b"base")
    stage.commit(a=b"below")
    lost = stage.commit(a=b"imported again")
    stage.run("reset", "--hard", base)
    announced = False

    def act(count: int) -> None:
        nonlocal announced
        if not announced:
            announced = True
            stage.repository.history.announce(CommitId(Oid(bytes.fromhex(lost))))

    collected = with_turns(collect(stage.repository, now(stage, 0, unreached=False)), act)
    assert collected.commits == 0
    stage.run("branch", "imported", lost)
    assert stage.run("show", "imported:a") == "imported again"
    assert stage.run("show", "imported~1:a") == "below"


def test_what_goes_can_be_had_until_it_is_decided_and_not_after(stage: Stage) -> None:
    base = stage.commit(a=b"base")
    lost = stage.commit(a=b"lost", b=b"lost too")
    stage.run("reset", "--hard", base)
    tried = []

    def act(count: int) -> None:
        try:
            stage.run("reset", "--hard", lost)
        except NotFound:
            tried.append(False)
        else:
            tried.append(True)
            assert stage.files.read(b"b") == b"lost too"
            stage.run("reset", "--hard", base)

    with_turns(collect(stage.repository, now(stage, unreached=False)), act)
    assert tried[0]
    assert stage.files.read(b"a") == b"base"
    if stage.repository.history.with_prefix(lost):
        stage.run("reset", "--hard", lost)
        assert stage.files.read(b"b") == b"lost too"


def test_the_same_commit_made_again_while_it_goes_stays(stage: Stage) -> None:
    """A commit with an equal tree, parents, message and second has an equal id."""
    stage.clock.step_ns = 0
    stage.repository.configure(Configuration(MemoryFile(b"checkout:\n  times: commit\n")))
    base = stage.commit(a=b"base")
    again = stage.commit("again", a=b"again")
    stage.run("reset", "--hard", base)
    made: list[str] = []

    def act(count: int) -> None:
        if not stage.repository.history.with_prefix(again) and not made:
            made.append(stage.commit("again", a=b"again"))

    with_turns(collect(stage.repository, Retention(2**62, 0, False)), act)
    assert made == [again]
    stage.reopen()
    assert stage.head == again
    assert stage.files.read(b"a") == b"again"
    assert [oid.hex() for oid in stage.repository.history.with_prefix(again)] == [again]
