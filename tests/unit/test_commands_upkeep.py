"""`gc` and `fsck`: options, replies and refusals."""

from __future__ import annotations

import json

import pytest

from heliosfs.commands.gc import automatic
from heliosfs.errors import CorruptObject, NotFound, UsageError
from heliosfs.objects.ids import Kind, object_id
from heliosfs.repo.configuration import Configuration
from heliosfs.steps import run_to_end
from heliosfs.store.sidefile import MemoryFile
from tests.tree_builder import Stage

HOUR_NS = 3600 * 10**9


@pytest.fixture
def stage() -> Stage:
    """Two commits, of which the second one was reset away."""
    stage = Stage()
    first = stage.commit(a=b"first")
    stage.commit(a=b"second")
    stage.run("reset", "--hard", first)
    return stage


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--before=2d"], "--before belongs to --remove-old-snapshots"),
        (["--remove-old-snapshots", "--before"], "--before needs a value"),
        (["--remove-old-snapshots", "--before=soon"], "'soon' is not a time such as"),
        (["--remove-old-snapshots", "--before=-1h"], "'-1h' is not a time"),
        (["--remove-old-snapshots", "--before="], "'' is not a time"),
        (["now"], "one argument too many: 'now'"),
        (["--agressive"], "unknown option '--agressive'"),
    ],
)
def test_wrong_use(stage: Stage, argv: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        stage.run("gc", *argv)
    assert len(list(stage.repository.history.ids())) == 2


def test_nothing_that_is_young_goes(stage: Stage) -> None:
    assert stage.run("gc").startswith("nothing to remove (")
    assert stage.run("gc", "--aggressive").startswith("nothing to remove (")
    stage.run("undo")
    assert stage.files.read(b"a") == b"second"


@pytest.mark.parametrize("age", ["48h", "2d", "2880m", "0.1w"])
def test_the_age_decides(stage: Stage, age: str) -> None:
    stage.clock.time_ns += 47 * HOUR_NS if age != "0.1w" else 16 * HOUR_NS
    argv = ["gc", "--remove-old-snapshots", f"--before={age}"]
    assert stage.run(*argv).startswith("nothing")
    stage.clock.time_ns += 2 * HOUR_NS
    reply = stage.run(*argv, "--dry-run")
    assert reply.startswith("would remove 1 commit, 3 operations, 3 objects: ")
    assert stage.run(*argv).startswith("removed 1 commit, 3 operations, 3 objects: ")
    assert stage.run(*argv).startswith("nothing")


def test_the_configuration_decides_what_old_is(stage: Stage) -> None:
    stage.clock.time_ns += 3 * HOUR_NS
    text = b"cleanup:\n  snapshot_ttl: 2h\n"
    stage.repository.configure(Configuration(MemoryFile(text)))
    document = json.loads(stage.run("gc", "--json"))
    assert document["dry_run"] is False
    assert (document["commit_count"], document["operation_count"]) == (1, 3)
    assert document["object_count"] == 3
    assert document["stored_bytes"] > 0


def test_the_configuration_decides_how_far_undo_goes(stage: Stage) -> None:
    text = b"ai_optimizations:\n  snapshot_retention: 1\n"
    stage.repository.configure(Configuration(MemoryFile(text)))
    assert stage.run("gc").startswith("removed 2 operations")
    stage.run("undo")
    with pytest.raises(NotFound, match="a garbage collection dropped"):
        stage.run("undo")


def test_aggressive_says_what_only_undo_keeps(stage: Stage) -> None:
    reply = stage.run("gc", "--aggressive", "--dry-run")
    assert "1 commit that only undo reaches stays" in reply
    stage.run("gc", "--aggressive", "--remove-old-snapshots", "--before=0s")
    assert "undo" not in stage.run("gc", "--aggressive")


def test_what_the_mount_runs_by_itself_keeps_what_is_young(stage: Stage) -> None:
    assert run_to_end(automatic(stage.repository), stage.store).startswith("nothing")
    stage.clock.time_ns += 31 * 24 * HOUR_NS
    told = run_to_end(automatic(stage.repository), stage.store)
    assert told.startswith("removed 1 commit, 3 operations, 3 objects")


def test_stats_tell_of_the_last_one(stage: Stage) -> None:
    assert "gc_age: -\n" in stage.run("stats")
    stage.run("gc", "--remove-old-snapshots", "--before=0s")
    stage.reopen()
    stats = json.loads(stage.run("stats", "--json"))
    assert stats["gc_removed_commit_count"] == 1
    assert stats["gc_removed_object_count"] == 3
    assert stats["gc_removed_bytes"] > 0
    assert stats["gc_duration"] >= 0
    stage.clock.time_ns += 90 * HOUR_NS
    assert "gc_age: 3240" in stage.run("stats")


def test_fsck_of_a_sound_store(stage: Stage) -> None:
    assert stage.run("fsck") == "2 commits, 3 operations, 7 objects: all sound\n"
    document = json.loads(stage.run("fsck", "--json"))
    assert document == {
        "commit_count": 2,
        "operation_count": 3,
        "object_count": 7,
        "promised_count": 0,
        "shallow_count": 0,
        "problems": [],
    }


def test_fsck_tells_what_is_damaged(stage: Stage) -> None:
    lost = object_id(Kind.BLOB, b"second")
    stage.store.forget(lost)
    with pytest.raises(CorruptObject) as caught:
        stage.run("fsck")
    first, second = str(caught.value).splitlines()
    assert first == "2 commits, 3 operations, 6 objects: 1 problem"
    assert second.endswith(f": object {lost.hex()} is not in the store")
    with pytest.raises(CorruptObject) as caught:
        stage.run("fsck", "--json")
    document = json.loads(str(caught.value))
    assert document["error"] == "1 problem"
    assert lost.hex() in document["problems"][0]["text"]


def test_fsck_does_not_tell_of_everything(stage: Stage) -> None:
    for number in range(30):
        data = b"file %d" % number
        stage.commit(f"{number}", a=data)
        stage.store.forget(object_id(Kind.BLOB, data))
    with pytest.raises(CorruptObject, match=r"30 problems(.|\n)*and 10 more"):
        stage.run("fsck")
