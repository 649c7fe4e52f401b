"""experiment: what is an experiment's, which numbers are taken, which commit wins."""

from __future__ import annotations

import errno
import json

import pytest

from heliosfs.errors import AlreadyExists, HeliosError, NotFound, StoreError, UsageError
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo.experiments import CHUNK_COUNT, Experiments
from tests.stores import FailingStore
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("first", a=b"0\n")
    return stage


def attempt(stage: Stage, name: str, text: str, *scores: str) -> str:
    """Commit a text in the experiment's live view, record numbers for it, and return its id."""
    stage.live(name).write(b"a", text.encode())
    document = json.loads(stage.run("commit", "-m", text, "--json", branch=name))
    if scores:
        stage.run("experiment", "record", *scores, branch=name)
    return str(document["id"])


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def shown(stage: Stage, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(stage.run("experiment", "show", name, "--json"))
    return found


def test_start_makes_a_branch_and_does_not_check_it_out(stage: Stage) -> None:
    told = stage.run("experiment", "start", "idea", "--param", "t=0.2", "--param", "model=a=b")
    assert "cd .helios/branches/idea" in told
    assert "helios checkout idea" in told
    assert stage.view.branch == "main"
    assert stage.live("idea").read(b"a") == b"0\n"
    document = shown(stage, "idea")
    assert document["parameters"] == {"t": "0.2", "model": "a=b"}
    assert (document["state"], document["base"]) == ("running", stage.head)
    assert document["commits"] == []


def test_start_elsewhere_and_check_out(stage: Stage) -> None:
    first = stage.head
    stage.commit("second", a=b"1\n")
    stage.run("experiment", "start", "old", "--from", "HEAD~1", "--checkout")
    assert (stage.view.branch, stage.head) == ("old", first)
    with pytest.raises(UsageError, match="not in a live view"):
        stage.run("experiment", "start", "x", "--checkout", branch="main")


def test_a_name_is_taken_by_a_branch_or_by_an_experiment(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    for name in ("main", "idea"):
        with pytest.raises(AlreadyExists):
            stage.run("experiment", "start", name)
    stage.run("experiment", "abandon", "idea")
    with pytest.raises(AlreadyExists, match="abandoned"):
        stage.run("experiment", "start", "idea")
    before = dict(stage.store.state)
    for name in ("a b", "", "-x", "HEAD", "\udc80"):
        with pytest.raises(UsageError):
            stage.run("experiment", "start", "--", name)
    assert stage.store.state == before


def test_without_a_commit_nothing_can_start() -> None:
    with pytest.raises(NotFound, match="commit first"):
        Stage().run("experiment", "start", "idea")


def test_commits_carry_the_name_whatever_makes_them(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    by_verb = attempt(stage, "idea", "one")
    view = stage.repository.live_view("idea")
    stage.live("idea").write(b"a", b"two")
    by_control_file = view.commit("two", metadata={"agent": "7", "experiment": "other"}).hex()
    stage.commit("on main", b=b"x")
    stage.run("merge", "main", branch="idea")
    merged = stage.repository.refs.branch("idea").head
    assert merged is not None
    for oid in (by_verb, by_control_file, merged.hex()):
        commit = stage.repository.history.read(CommitId(Oid(bytes.fromhex(oid))))
        assert commit.metadata["experiment"] == "idea"
    assert shown(stage, "idea")["commit_count"] == 3
    assert "experiment=idea" in stage.run("log", "-1", "idea")
    stage.run("checkout", "idea")
    assert "experiment" in stage.repository.history.read(stage_head(stage)).metadata


def stage_head(stage: Stage) -> CommitId:
    assert stage.view.head is not None
    return stage.view.head


def test_what_a_reset_leaves_behind_still_counts(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    best = attempt(stage, "idea", "good", "score=0.9")
    stage.run("reset", "--hard", "HEAD~1", branch="idea")
    attempt(stage, "idea", "bad", "score=0.1")
    assert shown(stage, "idea")["commit_count"] == 2
    assert stage.run("experiment", "best", "idea") == f"{best}\n"
    stage.run("merge", stage.run("experiment", "best", "idea").strip())
    assert stage.files.read(b"a") == b"good"


def test_many_commits_over_a_reopen(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    made = [attempt(stage, "idea", f"n{at}") for at in range(2 * CHUNK_COUNT + 3)]
    stage.reopen()
    found = stage.repository.experiments.get("idea")
    assert [oid.hex() for oid in stage.repository.experiments.commits(found)] == made
    again = attempt(stage, "idea", "after")
    assert stage.repository.experiments.commits(found)[-1].hex() == again


def test_what_could_not_be_published_did_not_happen() -> None:
    store = FailingStore()
    stage = Stage(store)
    stage.commit("first", a=b"0\n")
    stage.run("experiment", "start", "idea")
    attempt(stage, "idea", "one")
    for argv, branch in (
        (["commit", "--allow-empty"], "idea"),
        (["experiment", "start", "other"], None),
        (["experiment", "record", "score=1"], "idea"),
        (["experiment", "finish", "idea"], None),
    ):
        store.is_failing = True
        with pytest.raises(StoreError):
            stage.run(*argv, branch=branch)
    document = shown(stage, "idea")
    assert (document["commit_count"], document["state"], document["best"]) == (1, "running", None)
    with pytest.raises(NotFound):
        stage.run("experiment", "show", "other")
    assert "other" not in stage.repository.refs


@pytest.mark.parametrize(
    "text",
    ["", "x", "nan", "NaN", "inf", "-inf", "1e999", "1/0", "1/", "/2", "1/2/3", "0x10", "1_000",
     "٣", "1" * 41, "1 ", "--1", "1.e", "."],
)  # fmt: skip
def test_what_is_no_finite_number_is_refused(stage: Stage, text: str) -> None:
    stage.run("experiment", "start", "idea")
    attempt(stage, "idea", "one")
    before = dict(stage.store.state)
    with pytest.raises(UsageError) as caught:
        stage.run("experiment", "record", "good=1", f"score={text}", branch="idea")
    assert caught.value.errno == errno.EINVAL
    assert stage.store.state == before


@pytest.mark.parametrize("metric", ["", "1st", "a b", "a/b", "-x", "a" * 65, "<b>", "a=b"])
def test_what_is_no_metric_is_refused(stage: Stage, metric: str) -> None:
    stage.run("experiment", "start", "idea")
    attempt(stage, "idea", "one")
    with pytest.raises(UsageError):
        stage.run("experiment", "record", "--", f"{metric}=1", branch="idea")
    with pytest.raises(UsageError):
        stage.run("experiment", "start", "x", "--minimize", metric)


def test_numbers_are_kept_as_text_and_compared_as_values(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    texts = ["9", "10", "41/42", "1e-3", "+.5", "-2", "0041"]
    made = {text: attempt(stage, "idea", text, f"score={text}") for text in texts}
    ordered = rows(stage.run("experiment", "show", "idea", "--sort", "score"))[-len(texts) :]
    found = [row[2] if row[0] == "*" else row[1] for row in ordered]
    assert found == ["0041", "10", "9", "41/42", "+.5", "1e-3", "-2"]
    assert stage.run("experiment", "best", "idea") == f"{made['0041']}\n"
    assert stage.run("experiment", "best", "idea", "--min") == f"{made['-2']}\n"


def test_of_equal_scores_the_first_wins(stage: Stage) -> None:
    stage.run("experiment", "start", "idea", "--minimize", "loss")
    first = attempt(stage, "idea", "one", "score=1/2", "loss=0.5")
    attempt(stage, "idea", "two", "score=0.5", "loss=1/2")
    for argv in (["best", "idea"], ["best", "idea", "--by", "loss"], ["best", "idea", "--min"]):
        assert stage.run("experiment", *argv) == f"{first}\n"


def test_the_direction_of_a_metric(stage: Stage) -> None:
    stage.run("experiment", "start", "idea", "--minimize", "loss")
    low = attempt(stage, "idea", "one", "loss=0.1")
    high = attempt(stage, "idea", "two", "loss=0.9")
    assert stage.run("experiment", "best", "idea") == f"{low}\n"
    assert stage.run("experiment", "best", "idea", "--max") == f"{high}\n"
    assert rows(stage.run("experiment"))[1][3:5] == ["loss=0.1", "loss=0.9"]
    with pytest.raises(UsageError, match="exclude"):
        stage.run("experiment", "best", "idea", "--min", "--max")


def test_recording_again_replaces_a_number_and_keeps_the_others(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    attempt(stage, "idea", "one", "score=1", "tests=41/42")
    stage.run("experiment", "record", "score=2", branch="idea")
    document = json.loads(stage.run("experiment", "record", "time=3", "--json", branch="idea"))
    assert document["scores"] == {"score": "2", "tests": "41/42", "time": "3"}


def test_where_numbers_go(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    with pytest.raises(NotFound, match="made no commit at its HEAD"):
        stage.run("experiment", "record", "score=1", branch="idea")
    with pytest.raises(NotFound, match="branch 'main' is not an experiment"):
        stage.run("experiment", "record", "score=1")
    made = attempt(stage, "idea", "one")
    told = stage.run("experiment", "record", "score=1", "-e", "idea")
    assert told == f"Recorded score=1 for {made[:12]} of experiment 'idea'\n"
    stage.run("experiment", "record", "score=0.5", "--commit", "main")
    assert stage.repository.experiments.scores(stage_head(stage)) == {"score": "0.5"}
    assert stage.run("experiment", "best", "idea") == f"{made}\n"
    with pytest.raises(NotFound):
        stage.run("experiment", "record", "score=1", "--commit", "nope")


def test_a_commit_made_elsewhere_is_added(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    stage.run("branch", "other")
    stage.live("other").write(b"new", b"new\n")
    stage.run("commit", "-m", "elsewhere", branch="other")
    made = stage.run("rev-parse", "other")
    with pytest.raises(UsageError, match="--add needs -e NAME and --commit REV"):
        stage.run("experiment", "record", "score=1", "--commit", "other", "--add")
    words = ("experiment", "record", "score=1", "-e", "idea", "--commit", "other")
    stage.run(*words)
    with pytest.raises(NotFound):
        stage.run("experiment", "best", "idea")
    for _ in range(2):
        stage.run(*words, "--add")
    assert stage.run("experiment", "best", "idea") == made
    shown = json.loads(stage.run("experiment", "show", "idea", "--json"))
    assert [each["subject"] for each in shown["commits"]] == ["elsewhere"]


@pytest.mark.parametrize("action", ["show", "best", "finish", "abandon"])
def test_an_unknown_experiment(stage: Stage, action: str) -> None:
    with pytest.raises(NotFound, match="no experiment 'nope'") as caught:
        stage.run("experiment", action, "nope")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(UsageError, match="the current branch is not an experiment"):
        stage.run("experiment", action)


def test_best_says_what_is_missing(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    with pytest.raises(NotFound, match="no commits yet"):
        stage.run("experiment", "best", "idea")
    attempt(stage, "idea", "one")
    with pytest.raises(NotFound, match="no number was recorded"):
        stage.run("experiment", "best", "idea")
    stage.run("experiment", "record", "tests=1", branch="idea")
    with pytest.raises(
        NotFound, match="no score was recorded in experiment 'idea': there are tests"
    ):
        stage.run("experiment", "best", "idea", "--by", "score")
    assert len(stage.run("experiment", "best", branch="idea")) == 65


@pytest.mark.parametrize(
    "argv",
    [
        ["frob"], ["start"], ["start", "a", "b"], ["record"], ["list", "x"], ["show", "a", "b"],
        ["start", "x", "--by", "score"], ["list", "--min"], ["list", "--sort", "size"],
        ["show", "idea", "--sort", "commits"], ["start", "x", "--param", "nothing"],
        ["start", "x", "--param", "=1"], ["best", "idea", "--checkout"],
    ],
)  # fmt: skip
def test_wrong_usage(stage: Stage, argv: list[str]) -> None:
    stage.run("experiment", "start", "idea")
    attempt(stage, "idea", "one")
    with pytest.raises(UsageError):
        stage.run("experiment", *argv)


def test_the_list_in_every_order(stage: Stage) -> None:
    assert stage.run("experiment").startswith("no experiments yet")
    assert json.loads(stage.run("experiment", "list", "--json")) == []
    for name, scores in (("b", ["0.5"]), ("c", ["0.9", "0.2"]), ("a", []), ("d", ["0.7"])):
        stage.run("experiment", "start", name)
        for at, score in enumerate(scores):
            attempt(stage, name, f"{name}{at}", f"score={score}")

    def order(*options: str) -> str:
        return "".join(row[0] for row in rows(stage.run("experiment", "list", *options))[1:])

    assert order() == "dacb"
    assert order("--reverse") == "bcad"
    assert order("--sort", "name") == "abcd"
    assert order("--sort", "commits") in ("cbda", "cdba")
    assert order("--sort", "score") == "cdba"
    assert order("--sort", "score", "--reverse") == "bdca"
    row = rows(stage.run("experiment", "list", "--sort", "score"))[1]
    assert (row[1], row[2], row[3], row[4], row[-1]) == ("c", "2", "0.9", "0.2", "running")
    document = json.loads(stage.run("experiment", "list", "--json"))[2]
    assert document["best"]["value"] == 0.9
    assert document["last"]["text"] == "0.2"


def test_finished_experiments_keep_their_branch_and_take_no_more_commits(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    made = attempt(stage, "idea", "one", "score=1")
    assert stage.run("experiment", "finish", "idea") == "Finished experiment 'idea'.\n"
    attempt(stage, "idea", "later")
    document = shown(stage, "idea")
    assert (document["state"], document["commit_count"], document["branch"]) == (
        "finished", 1, "idea",
    )  # fmt: skip
    stage.run("experiment", "record", "score=2", "--commit", made)
    assert stage.run("experiment", "best", "idea") == f"{made}\n"


def test_an_abandoned_branch_goes_and_its_commits_stay(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    made = attempt(stage, "idea", "one", "score=1")
    stage.live("idea").write(b"a", b"uncommitted")
    told = stage.run("experiment", "abandon", "idea")
    assert f"Deleted branch idea (was {made[:12]})" in told
    assert "idea" not in stage.repository.refs
    document = shown(stage, "idea")
    assert (document["state"], document["branch"]) == ("abandoned", None)
    assert document["head"] is not None
    assert document["head"] != made
    assert stage.run("experiment", "best", "idea") == f"{made}\n"
    assert "deleted (was" in stage.run("experiment", "show", "idea")


def test_an_abandoned_branch_stays_while_somebody_is_in_it(stage: Stage) -> None:
    stage.run("experiment", "start", "idea", "--checkout")
    stage.run("experiment", "start", "other")
    assert "stays (" in stage.run("experiment", "abandon", "idea")
    assert "stays (" in stage.run("experiment", "abandon", branch="other")
    stage.repository.live_view("other").workspace.handles += 1
    assert "open files" in stage.run("experiment", "abandon", "other")
    stage.repository.live_view("other").workspace.handles -= 1
    assert "Deleted branch other" in stage.run("experiment", "abandon", "other")
    stage.run("checkout", "main")
    stage.run("branch", "-D", "idea")
    assert shown(stage, "idea")["branch"] is None


def test_a_renamed_branch_stays_the_experiments(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    stage.run("branch", "-m", "idea", "brilliant")
    made = attempt(stage, "brilliant", "one", "score=1")
    assert rows(stage.run("experiment"))[1][:3] == ["idea", "brilliant", "1"]
    assert stage.run("experiment", "best", "idea") == f"{made}\n"


def test_commits_that_are_gone_are_left_out(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    gone = attempt(stage, "idea", "one", "score=9")
    stage.run("reset", "--hard", "HEAD~1", branch="idea")
    kept = attempt(stage, "idea", "two", "score=1")
    stage.store.put(b"@commit/" + bytes.fromhex(gone), None)
    stage.store.publish()
    stage.reopen()
    assert shown(stage, "idea")["commit_count"] == 1
    assert stage.run("experiment", "best", "idea") == f"{kept}\n"


def test_damaged_records_are_told(stage: Stage) -> None:
    stage.run("experiment", "start", "idea")
    made = attempt(stage, "idea", "one", "score=9")
    stage.store.put(b"score/" + bytes.fromhex(made), b"[1")
    with pytest.raises(HeliosError) as caught:
        stage.run("experiment", "show", "idea")
    assert caught.value.errno == errno.EIO
    stage.store.put(b"experiment/idea", b'{"slot": 1}')
    with pytest.raises(HeliosError) as caught:
        Experiments(stage.store)
    assert caught.value.errno == errno.EIO
