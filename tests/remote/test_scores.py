"""Scores of commits that are in no experiment travel with their branch."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from heliosfs.commands.remotes import fetch as fetch_verbs
from heliosfs.commands.remotes import push as push_verbs
from heliosfs.errors import CorruptObject, NotFound, Stale
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.layout import REF_BYTES_MAX, ref_of, scores_key, settle_format
from heliosfs.remote.reach import read_roots
from heliosfs.repo.score_notes import ScoreNotes
from heliosfs.repo.shared_experiments import Measured, later_scores
from heliosfs.repo.shared_scores import SCORES_MAX_BYTES, decode_scores, encode_scores
from tests.remote.machines import Machine, commit_id
from tests.tree_builder import Stage


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> MemoryBucket:
    bucket = MemoryBucket()
    settle_format(bucket)
    monkeypatch.setattr(fetch_verbs, "open_bucket", lambda url: bucket)
    monkeypatch.setattr(push_verbs, "open_bucket", lambda url: bucket)
    return bucket


@pytest.fixture
def one(bucket: MemoryBucket) -> Machine:
    machine = Machine(bucket)
    for number in range(3):
        machine.commit(f"{number}", file=b"%d\n" % number)
    machine.run("push")
    return machine


@pytest.fixture
def other(bucket: MemoryBucket, one: Machine) -> Machine:
    machine = Machine(bucket)
    machine.run("pull", "origin", "main")
    machine.clock.time_ns += 10**12
    bucket.requests.clear()
    return machine


def record(stage: Stage, revision: str, *scores: str) -> None:
    stage.run("experiment", "record", "--commit", revision, *scores)


def scores(stage: Stage, revision: str = "HEAD") -> dict[str, str]:
    oid = commit_id(stage.run("rev-parse", revision).strip())
    return dict(stage.repository.experiments.scores(oid))


def recorded(bucket: MemoryBucket) -> dict[str, bytes]:
    """Return the records of scores in a bucket, by key."""
    found = [each.key for each in bucket.list("refs/scores/")]
    return {key: bucket.get(key).data for key in found}


def counted(bucket: MemoryBucket, stage: Stage, *words: str) -> int:
    bucket.requests.clear()
    stage.run(*words)
    return bucket.requests.total()


def test_who_has_no_scores_pays_nothing(bucket: MemoryBucket, one: Machine) -> None:
    one.commit("more", file=b"more\n")
    assert counted(bucket, one, "push") == 3
    assert recorded(bucket) == {}


def test_scores_travel(bucket: MemoryBucket, one: Machine, other: Machine) -> None:
    record(one, "HEAD", "score=0.5", "tests=41/42")
    record(one, "HEAD~1", "score=0.25")
    one.commit("more", file=b"more\n")
    # One request for the record.
    assert counted(bucket, one, "push") == 4
    one.commit("again", file=b"again\n")
    assert counted(bucket, one, "push") == 3
    # And one to read it.
    before = counted(bucket, other, "fetch")
    assert scores(other, "origin/main~2") == {"score": "0.5", "tests": "41/42"}
    assert scores(other, "origin/main~3") == {"score": "0.25"}
    one.commit("and again", file=b"and again\n")
    one.run("push")
    assert counted(bucket, other, "fetch") == before - 2
    other.reopen()
    assert scores(other, "origin/main~4") == {"score": "0.25"}


def test_a_push_of_scores_alone_is_told(one: Machine) -> None:
    record(one, "HEAD", "score=0.5")
    assert one.run("push") == "To memory:\n   scores of 1 commits, main -> main\n"
    assert one.run("push") == "Everything up-to-date\n"


def test_the_later_score_stays_whoever_pushes_first(
    bucket: MemoryBucket, one: Machine, other: Machine
) -> None:
    record(one, "HEAD", "score=1", "own=1")
    record(other, "HEAD", "score=2", "others=2")
    other.run("push")
    one.run("push")
    for machine in (one, other):
        machine.run("fetch")
        assert scores(machine) == {"score": "2", "own": "1", "others": "2"}
    held = recorded(bucket)
    for machine in (one, other, one):
        machine.run("push")
        machine.run("fetch")
    assert recorded(bucket) == held != {}
    one.clock.time_ns += 10**13
    record(one, "HEAD", "score=3")
    one.run("push")
    other.run("fetch")
    assert scores(other)["score"] == "3"


def test_at_the_same_second_machines_agree(
    bucket: MemoryBucket, one: Machine, other: Machine
) -> None:
    other.clock.time_ns = one.clock.time_ns
    record(one, "HEAD", "score=1")
    record(other, "HEAD", "score=2")
    for _ in range(2):
        for machine in (one, other):
            machine.run("push")
            machine.run("fetch")
    assert scores(one) == scores(other) == {"score": "2"}
    bucket.requests.clear()
    one.run("push")
    assert bucket.requests["swap"] == 0


def test_only_what_the_branch_reaches_goes_with_it(bucket: MemoryBucket, one: Machine) -> None:
    one.run("branch", "idea", "HEAD~1")
    record(one, "main", "score=1")
    record(one, "main~1", "score=2")
    one.run("push", "origin", "idea")
    assert list(decode_scores("idea", bucket.get(scores_key("idea")).data)) == [
        commit_id(one.run("rev-parse", "main~1").strip())
    ]
    one.run("push", "origin", "main")
    assert len(decode_scores("main", bucket.get(scores_key("main")).data)) == 2


def test_those_of_experiments_go_with_these(bucket: MemoryBucket, one: Machine) -> None:
    one.run("experiment", "start", "idea")
    one.live("idea").write(b"file", b"idea\n")
    one.run("commit", "-q", "-m", "idea", branch="idea")
    one.run("experiment", "record", "score=1", branch="idea")
    one.run("push", "origin", "idea")
    assert recorded(bucket) == {}


def test_scores_that_came_before_their_commits(
    bucket: MemoryBucket, one: Machine, other: Machine
) -> None:
    record(one, "HEAD", "score=1")
    one.run("push")
    version, data = bucket.get(scores_key("main")).version, bucket.get(scores_key("main")).data
    one.commit("later", file=b"later\n")
    oid = commit_id(one.run("rev-parse", "HEAD").strip())
    both = {**decode_scores("main", data), oid: {"score": Measured("7", 1)}}
    bucket.swap(scores_key("main"), encode_scores(both), version)
    other.run("fetch")
    assert scores(other) == {"score": "1"}
    one.run("push")
    other.run("fetch")
    assert scores(other, "origin/main") == {"score": "7"}


def test_a_deleted_branch_takes_its_record_along(
    bucket: MemoryBucket, one: Machine, other: Machine
) -> None:
    one.run("branch", "idea")
    record(one, "idea", "score=1")
    one.run("push", "origin", "idea")
    other.run("fetch")
    one.run("push", "--delete", "origin", "idea")
    assert recorded(bucket) == {}
    other.run("fetch", "--prune")
    assert ScoreNotes(other.store, "origin").versions() == {}
    assert scores(other, "main") == {"score": "1"}


def test_a_lost_answer_and_a_death_are_made_good(
    bucket: MemoryBucket, one: Machine, other: Machine
) -> None:
    record(one, "HEAD", "score=1")
    one.run("push")
    # As if the process had died before it kept what it has written.
    ScoreNotes(one.store, "origin").note("main", None)
    one.repository.publish()
    record(one, "HEAD", "more=2")
    one.run("push")
    other.run("fetch")
    assert scores(other) == {"score": "1", "more": "2"}


def test_a_record_that_cannot_be_read_is_told(
    bucket: MemoryBucket, one: Machine, other: Machine
) -> None:
    record(one, "HEAD", "score=1")
    one.run("push")
    bucket.swap(scores_key("main"), b"{}", bucket.get(scores_key("main")).version)
    reply = other.run("fetch")
    assert "scores of" in reply and "cannot be read" in reply
    record(one, "HEAD", "score=2", "more=1")
    with pytest.raises(DamagedRemote, match="remove refs/scores/main there"):
        one.run("push")
    bucket.delete(scores_key("main"))
    one.run("push")
    other.run("fetch")
    assert scores(other) == {"score": "2", "more": "1"}


def test_nothing_is_believed() -> None:
    oid = "ab" * 32
    refused: tuple[object, ...] = (
        {oid: {"score": ["nan", 1]}},
        {oid: {"no metric": ["1", 1]}},
        {oid: {"score": ["1", -1]}},
        {oid: {"score": "1"}},
        {"abc": {"score": ["1", 1]}},
        [],
        7,
    )
    for each in refused:
        with pytest.raises(CorruptObject):
            decode_scores("main", json.dumps({"scores": each}).encode())
    for data in (b"", b"\xff", b"[]", b"[" * 100_000):
        with pytest.raises(CorruptObject):
            decode_scores("main", data)


def test_the_latest_have_room() -> None:
    many = {
        CommitId(number.to_bytes(32, "big")): {"score": Measured("1", number)}  # type: ignore[arg-type]
        for number in range(1, 5_000)
    }
    data = encode_scores(many)
    assert len(data) <= SCORES_MAX_BYTES + 100 < REF_BYTES_MAX
    held = decode_scores("main", data)
    assert 900 < len(held) < 5_000
    assert min(each["score"].at for each in held.values()) == 5_000 - len(held)
    # Nothing is sent again for what has no room.
    assert encode_scores(later_scores(many, held)) == data


def test_a_collection_needs_nothing_for_scores(bucket: MemoryBucket, one: Machine) -> None:
    before = read_roots(bucket)
    record(one, "HEAD", "score=1")
    one.run("push")
    assert ref_of(scores_key("main")) is None
    assert read_roots(bucket) == before


def test_a_remote_that_is_forgotten_leaves_none(one: Machine) -> None:
    record(one, "HEAD", "score=1")
    one.run("push")
    one.run("remote", "remove", "origin")
    assert ScoreNotes(one.store, "origin").versions() == {}
    with pytest.raises((NotFound, Stale)):
        one.run("push", "origin", "main")


@pytest.mark.parametrize("is_done", [False, True])
def test_a_push_that_is_cut_short_at_any_request(
    bucket: MemoryBucket, one: Machine, other: Machine, *, is_done: bool
) -> None:
    """Repeat it: nothing is lost, whether the request was carried out or not."""
    count = 0
    for number in range(1, 8):
        one.commit(f"more {number}", file=b"more %d\n" % number)
        metric, count = f"m{number}", 0
        record(one, "HEAD~1", f"{metric}=1")

        def fail(method: str, key: str, last: int = number) -> None:
            nonlocal count
            count += 1
            if count == last:
                raise Unreachable("the server does not answer")

        hook = "after" if is_done else "before"
        setattr(bucket, hook, fail)
        with suppress(Unreachable):
            one.run("push")
        setattr(bucket, hook, None)
        one.run("push")
        other.run("fetch")
        assert scores(other, "origin/main~1") == {metric: "1"}
        assert scores(one, "HEAD~1") == {metric: "1"}
    assert count < 7
