"""Experiments and scores travel between machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest

from heliosfs.clock import FixedClock
from heliosfs.commands.remotes import fetch as fetch_verbs
from heliosfs.commands.remotes import push as push_verbs
from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import AlreadyExists, CorruptObject, NotFound, Stale
from heliosfs.objects.commit import Commit
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.experiments import push_experiment
from heliosfs.remote.layout import settle_format
from heliosfs.repo.remotes import EXPERIMENTS, HEADS
from heliosfs.repo.shared_experiments import RECORD_MAX_BYTES, decode_shared, find_far
from heliosfs.steps import run_to_end
from tests.remote.machines import Machine
from tests.tree_builder import Stage


class Pair(NamedTuple):
    one: Stage
    other: Stage


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Two machines with the same commit; the first one runs an experiment with three variants."""
    url = f"file://{tmp_path}/remote"
    one, other = Stage(), Stage()
    one.run("remote", "add", "origin", url)
    one.commit("first", a=b"1\n")
    one.run("push")
    other.run("remote", "add", url)
    other.run("pull", "origin", "main")
    other.clock.time_ns += 10**12
    one.run("experiment", "start", "idea", "--param", "model=small", "--minimize", "seconds")
    for count in range(3):
        variant(one, count, f"score=0.{count}", f"seconds={count}")
        if count < 2:
            one.run("reset", "--hard", "main", branch="idea")
    return Pair(one, other)


def variant(stage: Stage, count: int, *scores: str, branch: str = "idea") -> str:
    """Commit another variant, and record its scores; return the id."""
    files = stage.live(branch)
    files.write(b"a", b"variant %d\n" % count)
    stage.run("commit", "-q", "-m", f"variant {count}", branch=branch)
    stage.run("experiment", "record", *scores, branch=branch)
    return stage.run("rev-parse", branch).strip()


def shown(stage: Stage, name: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(stage.run("experiment", "show", "--json", name))
    return document


def test_another_machine_sees_what_was_measured(pair: Pair) -> None:
    one, other = pair
    reply = one.run("push", "origin", "idea")
    assert " * [new experiment] idea -> idea\n * [new branch] idea -> idea\n" in reply
    assert one.run("push", "origin", "idea") == "Everything up-to-date\n"
    assert " * [new experiment] idea -> origin/idea\n" in other.run("fetch")
    here, there = shown(one, "idea"), shown(other, "origin/idea")
    assert there == {**here, "name": "origin/idea", "branch": "origin/idea"}
    assert there["commit_count"] == 3
    best = other.run("experiment", "best", "origin/idea")
    assert best == one.run("experiment", "best", "idea")
    other.run("merge", "-q", best.strip())
    assert other.files.read(b"a") == b"variant 2\n"
    # A variant that no branch reaches came with it.
    slow = other.run("experiment", "best", "origin/idea", "--by", "seconds").strip()
    assert other.run("show", f"{slow}:a") == "variant 0\n"
    assert "origin/idea  origin/idea        3" in other.run("experiment", "list")
    assert "parameter:  model=small\n" in other.run("experiment", "show", "origin/idea")
    other.reopen()
    assert shown(other, "origin/idea") == there
    for words in (["finish", "origin/idea"], ["record", "-e", "origin/idea", "score=1"]):
        with pytest.raises(NotFound, match="'experiment resume origin/idea'"):
            other.run("experiment", *words)
    with pytest.raises(NotFound):
        other.run("experiment", "show", "idea")


def test_names_here_do_not_collide_with_those_of_a_remote(pair: Pair) -> None:
    one, other = pair
    one.run("push", "--all")
    other.run("fetch")
    other.clock.time_ns += 10**9
    other.run("experiment", "start", "idea")
    variant(other, 7, "score=7")
    assert shown(other, "idea")["commit_count"] == 1
    assert shown(other, "origin/idea")["commit_count"] == 3
    with pytest.raises(AlreadyExists, match="another experiment"):
        other.run("push", "origin", "refs/experiments/idea")
    reply = other.run("push", "origin", "refs/experiments/idea:mine")
    assert " * [new experiment] idea -> mine\n" in reply
    one.run("fetch")
    assert shown(one, "origin/mine")["commit_count"] == 1
    other.run("experiment", "start", "origin/idea")
    assert shown(other, "origin/idea")["commit_count"] == 0


def test_both_machines_score_the_same_commit(pair: Pair) -> None:
    one, other = pair
    one.run("push", "--all")
    other.run("fetch")
    assert "with 3 commits of origin/idea" in other.run("experiment", "resume", "origin/idea")
    assert other.run("rev-parse", "idea") == one.run("rev-parse", "idea")
    head = one.run("rev-parse", "idea").strip()
    # The first one records again before the other does, and something that the other does not.
    one.clock.time_ns += 2 * 10**12
    one.run("experiment", "record", "tests=3/3", "score=0.5", branch="idea")
    other.clock.time_ns += 3 * 10**12
    other.run("experiment", "record", "memory=9", "score=0.6", branch="idea")
    variant(other, 8, "score=0.4")
    one.run("push", "origin", "idea")
    assert "idea" in other.run("push", "origin", "idea")
    assert other.run("push", "origin", "idea") == "Everything up-to-date\n"
    # The first one pushes what it has had all the time: nothing later is lost.
    assert one.run("push", "origin", "refs/experiments/idea") == "Everything up-to-date\n"
    one.run("fetch")
    for stage in pair:
        commits = {each["id"]: each["scores"] for each in shown(stage, "origin/idea")["commits"]}  # type: ignore[attr-defined]
        assert len(commits) == 4
        assert commits[head] == {"score": "0.6", "tests": "3/3", "memory": "9", "seconds": "2"}
    # What is here was changed by nobody else; taking over again brings it.
    assert shown(one, "idea")["commit_count"] == 3
    one.run("experiment", "resume", "origin/idea")
    assert shown(one, "idea")["commit_count"] == 4
    assert one.run("experiment", "best", "idea").strip() == head


def test_the_later_state_stays(pair: Pair) -> None:
    one, other = pair
    one.run("push", "--all")
    one.run("experiment", "finish", "idea")
    one.run("push", "--all")
    other.run("fetch")
    assert shown(other, "origin/idea")["state"] == "finished"
    other.run("experiment", "resume", "origin/idea", "again")
    assert other.run("branch").split() == ["again", "*", "main"]
    variant(other, 9, "score=1", branch="again")
    other.run("push", "origin", "refs/experiments/again:idea")
    one.run("fetch")
    assert shown(one, "origin/idea")["state"] == "running"
    one.clock.time_ns += 10**13
    one.run("experiment", "resume", "origin/idea")
    one.run("experiment", "abandon", "idea")
    # It has no branch any more, and is pushed by its name all the same.
    assert "[new" not in one.run("push", "origin", "idea")
    other.run("fetch")
    assert shown(other, "origin/idea")["state"] == "abandoned"
    assert shown(other, "origin/idea")["commit_count"] == 4


def test_the_branch_of_an_experiment_is_refused_and_the_experiment_is_not(pair: Pair) -> None:
    one, other = pair
    one.run("push", "origin", "idea")
    other.run("fetch")
    other.run("experiment", "resume", "origin/idea")
    variant(other, 5, "score=5")
    other.run("push", "origin", "idea")
    one.run("reset", "--hard", "main", branch="idea")
    variant(one, 6, "score=6")
    with pytest.raises(Stale, match="pull origin idea"):
        one.run("push", "origin", "idea")
    assert shown(one, "origin/idea")["commit_count"] == 5
    reply = one.run("push", "--all")
    assert exit_code_of(reply) == 1
    assert "[refused] idea -> idea" in reply


def test_an_experiment_of_a_remote_is_deleted_and_forgotten(pair: Pair) -> None:
    one, other = pair
    one.run("push", "--all")
    other.run("fetch")
    told = one.run("push", "--delete", "origin", "refs/experiments/idea")
    assert " - [deleted] idea (experiment)\n" in told
    assert one.repository.remotes.tracked("origin", HEADS, "idea") is not None
    assert shown(other, "origin/idea")["commit_count"] == 3
    assert "--prune forgets it] origin/idea (experiment)\n" in other.run("fetch")
    assert " - [deleted] origin/idea (experiment)\n" in other.run("fetch", "--prune")
    with pytest.raises(NotFound):
        other.run("experiment", "show", "origin/idea")
    assert other.repository.remotes.tracked("origin", HEADS, "idea") is not None


def test_a_collection_keeps_what_only_the_record_of_a_remote_reaches(pair: Pair) -> None:
    one, other = pair
    one.run("push", "--all")
    other.run("fetch")
    before = shown(other, "origin/idea")
    other.clock.time_ns += 400 * 24 * 3600 * 10**9
    other.run("gc")
    assert shown(other, "origin/idea") == before
    for each in before["commits"]:  # type: ignore[attr-defined]
        other.run("show", each["id"])
    assert other.run("fsck")


def test_the_branch_sends_nothing_that_its_experiment_has_sent(pair: Pair) -> None:
    """Trees and contents are sent once for the experiment and its branch."""
    one, _ = pair
    one.run("push", "origin", "idea")
    variant(one, 11, "score=11")
    reply = json.loads(one.run("push", "--json", "origin", "idea"))
    experiment, branch = reply["pushed"]
    assert (experiment["kind"], branch["kind"]) == ("experiment", "branch")
    assert experiment["commit_count"] == 2
    assert (branch["commit_count"], branch["object_count"]) == (0, 0)


def record_of(stage: Stage, name: str = "idea") -> tuple[Commit, str]:
    """The commit that carries a record, and its document."""
    seen = stage.repository.remotes.tracked("origin", EXPERIMENTS, name)
    assert seen is not None
    commit = stage.repository.history.read(seen.commit)
    return commit, commit.body.decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"state":"running"', '"state":"run\\u001b[2Jning"'),
        ('"state":"running"', '"state":5'),
        ('"branch":"idea"', '"branch":"../x"'),
        ('"score":["0.1"', '"score":["nan"'),
        ('"score":["0.1"', '"../score":["0.1"'),
        ('"score":["0.1"', '"score":[0.1'),
        ('"commits":["', '"commits":[" '),
        ('"parameters":{', '"parameters":{"a\\n":"b",'),
        ('"started_ns":', '"started_ns":-'),
        ("{", "["),
        ("}", ""),
    ],
)
def test_a_record_that_someone_made_up_is_refused(pair: Pair, old: str, new: str) -> None:
    one, _ = pair
    one.run("push", "origin", "idea")
    commit, document = record_of(one)
    assert old in document
    decode_shared("idea", commit)
    head, _, _ = commit.message.partition(b"{")
    spoilt = commit._replace(message=head + document.replace(old, new).encode())
    with pytest.raises(CorruptObject):
        decode_shared("idea", spoilt)
    with pytest.raises(CorruptObject):
        decode_shared("idea", commit._replace(message=document.encode()))


def test_fields_of_a_later_version_stay(pair: Pair) -> None:
    one, other = pair
    one.run("push", "origin", "idea")
    commit, document = record_of(one)
    later = document.replace('"state"', '"judge":{"by":"a later version"},"state"')
    head, _, _ = commit.message.partition(b"{")
    changed = commit._replace(message=head + later.encode())
    with one.repository.transaction:
        oid = one.repository.history.write(changed)
        seen = one.repository.remotes.tracked("origin", EXPERIMENTS, "idea")
        assert seen is not None
        one.repository.remotes.track(
            "origin", EXPERIMENTS, "idea", seen._replace(commit=oid), one.clock.now_ns()
        )
    variant(one, 12, "score=12")
    one.run("push", "origin", "idea")
    other.run("fetch")
    far = find_far(other.repository, "origin/idea")
    assert far is not None
    assert far.record.rest == {"judge": {"by": "a later version"}}
    assert len(document) < RECORD_MAX_BYTES


def test_the_report_shows_those_of_remotes(pair: Pair) -> None:
    one, other = pair
    one.run("push", "--all")
    other.run("fetch")
    page = other.run("report")
    assert '"name":"origin/idea","state":"running","branch":"origin/idea"' in page
    assert '"parameters":{"model":"small"}' in page
    assert page.count('"seconds":"') == one.run("report").count('"seconds":"') == 3


def test_a_clone_has_the_experiments(pair: Pair) -> None:
    one, _ = pair
    one.run("push", "--all")
    fresh = Stage(clock=FixedClock())
    fresh.run("remote", "add", one.run("remote", "get-url").strip())
    fresh.run("fetch", "-q")
    assert shown(fresh, "origin/idea")["best"] == shown(one, "idea")["best"]


class Cut(BaseException):
    """The process ends here."""


def machines_with_an_idea() -> tuple[MemoryBucket, Machine, Machine]:
    """Two machines that go on with one experiment, which the bucket has."""
    bucket = MemoryBucket()
    settle_format(bucket)
    one, other = Machine(bucket), Machine(bucket)
    one.commit("first", a=b"1\n")
    one.run("experiment", "start", "idea")
    variant(one, 0, "score=0")
    sent(one)
    other.fetch()
    other.run("experiment", "resume", "origin/idea")
    other.clock.time_ns += 10**12
    return bucket, one, other


def sent(machine: Machine) -> None:
    repository = machine.repository
    experiment = repository.experiments.get("idea")
    steps = push_experiment(repository, machine.bucket, "origin", experiment, "idea")
    run_to_end(steps, machine.store)


def scores_there(machine: Machine) -> dict[str, object]:
    machine.fetch()
    document = json.loads(machine.run("experiment", "show", "--json", "origin/idea"))
    return {each["subject"]: each["scores"] for each in document["commits"]}


class AtRequest:
    """A hook of a bucket that does something at one request, and counts all."""

    def __init__(self, number: int, call: Callable[[], None]) -> None:
        self.left = number
        self._call = call

    def __call__(self, method: str, key: str) -> None:
        self.left -= 1
        if not self.left:
            self._call()


def cut() -> None:
    raise Cut


@pytest.mark.parametrize("hook", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_push_that_is_cut_at_any_request_is_repeated(number: int, hook: str) -> None:
    """A fetch in between finds the old record, or the new one, and all of its commits."""
    bucket, one, other = machines_with_an_idea()
    variant(one, 1, "score=1")
    setattr(bucket, hook, AtRequest(number, cut))
    # The answer to the last request, that there is no such object, cannot be lost.
    with pytest.raises(Cut) if (number, hook) != (3, "after") else nullcontext():
        sent(one)
    bucket.before = bucket.after = None
    assert set(scores_there(other)) in ({"variant 0"}, {"variant 0", "variant 1"})
    other.check()
    one.crash()
    sent(one)
    assert scores_there(other) == {"variant 0": {"score": "0"}, "variant 1": {"score": "1"}}
    other.check()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_two_machines_that_push_at_once_lose_nothing(number: int) -> None:
    """The other one pushes before each request of the first one, in turn."""
    bucket, one, other = machines_with_an_idea()
    variant(one, 1, "score=1")
    variant(other, 2, "score=2")
    other.run("experiment", "record", "--commit", "idea~1", "score=3", branch="idea")
    hook = AtRequest(number, lambda: sent(other))
    bucket.before = hook
    sent(one)
    bucket.before = None
    assert hook.left < 0
    found = scores_there(one)
    assert found == {
        "variant 0": {"score": "3"},
        "variant 1": {"score": "1"},
        "variant 2": {"score": "2"},
    }
    assert scores_there(other) == found
    one.check()
    other.check()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> tuple[MemoryBucket, Machine, Machine]:
    """Two machines that push an experiment and its branch by the verb."""
    bucket, one, other = machines_with_an_idea()
    monkeypatch.setattr(push_verbs, "open_bucket", lambda url: bucket)
    monkeypatch.setattr(fetch_verbs, "open_bucket", lambda url: bucket)
    one.run("push", "-q", "origin", "idea")
    other.run("fetch", "-q")
    return bucket, one, other


def branch_there(machine: Machine) -> str:
    machine.fetch()
    return machine.run("rev-parse", "origin/idea").strip()


def test_an_experiment_and_its_branch_take_four_requests(
    opened: tuple[MemoryBucket, Machine, Machine],
) -> None:
    bucket, one, other = opened
    head = variant(one, 1, "score=1")
    bucket.requests.clear()
    reply = json.loads(one.run("push", "--json", "origin", "idea"))
    assert bucket.requests.total() == 4
    assert [(each["kind"], each["forced"]) for each in reply["pushed"]] == [
        ("experiment", False),
        ("branch", False),
    ]
    assert branch_there(other) == head == reply["pushed"][1]["after"]
    other.check()
    # A branch that was reset loses commits only if that is asked for; the experiment keeps them.
    one.run("reset", "--hard", "HEAD~1", branch="idea")
    again = variant(one, 2, "score=2")
    with pytest.raises(Stale, match="--force-with-lease"):
        one.run("push", "origin", "idea")
    assert branch_there(other) == head
    assert set(scores_there(other)) == {"variant 0", "variant 1", "variant 2"}
    variant(one, 3, "score=3")
    reply = json.loads(one.run("push", "--json", "--force-with-lease", "origin", "idea"))
    assert [each["forced"] for each in reply["pushed"]] == [False, True]
    assert other.run("rev-parse", f"{branch_there(other)}~1").strip() == again
    assert len(scores_there(other)) == 4


@pytest.mark.parametrize("hook", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_both_are_pushed_again_after_a_cut(
    opened: tuple[MemoryBucket, Machine, Machine], number: int, hook: str
) -> None:
    bucket, one, other = opened
    old, head = branch_there(other), variant(one, 1, "score=1")
    setattr(bucket, hook, AtRequest(number, cut))
    with pytest.raises(Cut) if (number, hook) != (4, "after") else nullcontext():
        one.run("push", "origin", "idea")
    bucket.before = bucket.after = None
    assert branch_there(other) in (old, head)
    other.check()
    one.crash()
    one.run("push", "origin", "idea")
    assert branch_there(other) == head
    assert set(scores_there(other)) == {"variant 0", "variant 1"}
    other.check()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_branch_that_another_moves_meanwhile_stays(
    opened: tuple[MemoryBucket, Machine, Machine], number: int
) -> None:
    bucket, one, other = opened
    mine, theirs = variant(one, 1, "score=1"), variant(other, 2, "score=2")

    def meanwhile() -> None:
        with nullcontext() if number < 4 else pytest.raises(Stale):
            other.run("push", "-q", "origin", "idea")

    bucket.before = AtRequest(number, meanwhile)
    # Only the experiment merges by itself; of the branch, the one that comes first is there.
    with pytest.raises(Stale) if number < 4 else nullcontext():
        one.run("push", "origin", "idea")
    bucket.before = None
    assert branch_there(one) == (theirs if number < 4 else mine)
    assert set(scores_there(one)) == {"variant 0", "variant 1", "variant 2"}
    one.check()
    other.check()
