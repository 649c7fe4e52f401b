"""report: what is in the page, what is left out of it, and in how small steps it is made."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from heliosfs.commands.dotfiles import BUILT_FILES
from heliosfs.commands.report import commits, details
from heliosfs.commands.report.page import page_steps
from heliosfs.errors import UsageError
from heliosfs.steps import TURN
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("first", a=b"0\n")
    stage.run("experiment", "start", "idea", "--minimize", "loss", "--param", "k=v")
    return stage


def attempt(stage: Stage, text: str, *scores: str, name: str = "idea") -> str:
    stage.live(name).write(b"a", text.encode())
    document = json.loads(stage.run("commit", "-m", text, "--json", branch=name))
    if scores:
        stage.run("experiment", "record", *scores, branch=name)
    return str(document["id"])[:12]


def data_of(page: str) -> dict[str, Any]:
    text = page.partition('<script type="application/json" id="report">')[2]
    document: dict[str, Any] = json.loads(text.partition("</script>")[0])
    return document


def details_of(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Everything in the chunks, by id; each commit says in which chunk it is."""
    found: dict[str, dict[str, Any]] = {}
    for chunk in data["chunks"]:
        found |= json.loads(zlib.decompress(base64.b64decode(chunk), -zlib.MAX_WBITS))
    assert {row[0] for row in data["commits"] if row[-1] >= 0} == set(found)
    return found


def test_what_is_in_the_page(stage: Stage) -> None:
    one = attempt(stage, "one", "score=0.5", "loss=1/3")
    stage.run("reset", "--hard", "HEAD~1", branch="idea")
    two = attempt(stage, "two\n\nmore of it", "score=0.7")
    stage.run("tag", "v1", "idea")
    data = data_of(stage.run("report"))
    rows = {row[0]: row for row in data["commits"]}
    first = stage.head[:12]
    assert list(rows) == [one, two, first]
    assert rows[one][2] == [data["commits"].index(rows[first])]
    assert rows[one][3:7] == ["one", 0, 0, {"score": "0.5", "loss": "1/3"}]
    assert rows[first][3:7] == ["first", 0, -1, {}]
    assert data["authors"] == ["Ada"]
    (experiment,) = data["experiments"]
    assert experiment["own"] == [0, 1]
    assert (experiment["parameters"], experiment["minimize"]) == ({"k": "v"}, ["loss"])
    assert {(ref["kind"], ref["name"], ref["commit"], ref["here"]) for ref in data["refs"]} == {
        ("branch", "main", 2, True), ("branch", "idea", 1, False), ("tag", "v1", 1, False),
    }  # fmt: skip
    details = details_of(data)
    assert details[two]["body"] == "more of it"
    assert "-0\n+two\n" in details[two]["diff"]
    assert "body" not in details[one]
    assert details[first]["diff"].endswith("+0\n")


def test_the_data_is_ascii_and_has_no_markup(stage: Stage) -> None:
    attempt(stage, "</script><!-- & \u2028 \udc80".encode("utf-8", "replace").decode())
    stage.repository.live_view("idea").commit("lone \udcff <b>", allow_empty=True)
    page = stage.run("report")
    text = page.partition('id="report">')[2].partition("</script>")[0]
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert "lone \ufffd <b>" in [row[3] for row in data_of(page)["commits"]]


def test_what_is_too_much_is_left_out_and_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = attempt(stage, "best", "score=9")
    made = [attempt(stage, f"n{at}", "score=1") for at in range(6)]
    monkeypatch.setattr(details, "DETAILS_MAX_COUNT", 3)
    assert set(details_of(data_of(stage.run("report")))) == {best, made[-1], made[-2]}
    monkeypatch.setattr(commits, "OTHERS_MAX", 0)
    monkeypatch.setattr(details, "DETAILS_MAX_COUNT", 100)
    assert stage.head[:12] not in details_of(data_of(stage.run("report")))
    monkeypatch.setattr(details, "DETAILS_MAX_BYTES", 0)
    assert details_of(data_of(stage.run("report"))) == {}
    assert not data_of(stage.run("report"))["left_out"]
    monkeypatch.setattr(commits, "COMMITS_MAX", 4)
    data = data_of(stage.run("report"))
    assert data["left_out"]
    assert len(data["commits"]) == 4
    assert data["experiments"][0]["own"] == sorted(data["experiments"][0]["own"])
    assert all(at < 4 for at in data["experiments"][0]["own"])


def test_the_newest_of_a_long_history_are_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    for at in range(8):
        stage.clock.time_ns += 10**9
        stage.commit(f"n{at}", a=b"%d" % at)
    monkeypatch.setattr(commits, "COMMITS_MAX", 3)
    data = data_of(stage.run("report"))
    assert [row[3] for row in data["commits"]] == ["n7", "n6", "n5"]
    assert [row[2] for row in data["commits"]] == [[1], [2], [-1]]
    assert data["left_out"]


def test_a_diff_is_bounded(stage: Stage) -> None:
    files = stage.live("idea")
    files.write(b"large", b"x\n" * 50_000)
    files.write(b"long", b"".join(b"%d\n" % at for at in range(9_000)))
    for at in range(details._FILES_MAX + 5):
        files.write(b"many/%d" % at, b"1\n")
    made = attempt(stage, "all of it")
    detail = details_of(data_of(stage.run("report")))[made]
    assert 1000 < len(detail["diff"]) <= details.DIFF_MAX_BYTES
    assert detail["diff"].endswith("\n")
    assert "large is large" in detail["remark"]
    assert "the diff is long" in detail["remark"]
    assert "there are more files" in detail["remark"]


def test_commits_that_are_gone_are_left_out(stage: Stage) -> None:
    gone = attempt(stage, "gone", "score=9")
    full = stage.run("rev-parse", gone).strip()
    stage.run("reset", "--hard", "HEAD~1", branch="idea")
    kept = attempt(stage, "kept", "score=1")
    steps = page_steps(stage.repository)
    next(steps)
    stage.store.put(b"@commit/" + bytes.fromhex(full), None)
    stage.store.publish()
    stage.reopen()
    del stage.store.objects[next(oid for oid in stage.store.objects if oid.hex() == full)]
    stage.reopen()
    data = data_of(stage.run("report"))
    assert kept in details_of(data)
    assert gone not in [row[0] for row in data["commits"]]


def test_others_have_their_turn_between_commits_and_files(stage: Stage) -> None:
    for at in range(20):
        attempt(stage, f"n{at}")
    steps = list(page_steps(stage.repository))
    assert set(steps) == {TURN}
    assert len(steps) > 60
    assert list(BUILT_FILES["report.html"](stage.repository, stage.view)) == steps


def test_a_control_file_writes_nothing(stage: Stage) -> None:
    with pytest.raises(UsageError, match="only the command line"):
        stage.run("report", "out.html")
