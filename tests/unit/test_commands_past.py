"""The way back to what was saved: restore --saved, --at, undo N, oplog restore."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from heliosfs.commands.moments import parse_moment
from heliosfs.errors import NotFound, UsageError
from tests.tree_builder import Stage

MINUTE_NS = 60 * 10**9


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("first", a=b"1\n")
    return stage


def save(stage: Stage, minutes: int = 1, **files: bytes) -> None:
    """Write files, have them saved, and let time go by."""
    for name, data in files.items():
        stage.files.write(name.encode(), data)
    stage.repository.checkpoint()
    stage.clock.time_ns += minutes * MINUTE_NS


def files(stage: Stage) -> dict[str, bytes]:
    found = stage.files.tree().items()
    return {path.decode(): data for path, (mode, data) in found if mode & 0o100000}


def test_a_file_comes_back_from_the_last_save_that_has_another_one(stage: Stage) -> None:
    save(stage, a=b"2\n", b=b"draft")
    save(stage, a=b"3\n")
    stage.files.remove(b"b")
    save(stage)
    reply = stage.run("restore", "--saved", "b")
    assert reply.startswith("b is as in the save of 2023-11-14T")
    assert reply.endswith(" (2 minutes ago)\n")
    assert files(stage) == {"a": b"3\n", "b": b"draft"}
    stage.run("restore", "--saved", "a")
    assert files(stage)["a"] == b"2\n"
    stage.run("undo")
    assert files(stage)["a"] == b"3\n"
    with pytest.raises(
        NotFound, match=r"no save has a different 'c' \(3 saves are kept, of at most"
    ):
        stage.run("restore", "--saved", "c")
    for words in (["--saved", "--at", "now"], ["--saved", "-s", "HEAD"], ["--saved", "--staged"]):
        with pytest.raises(UsageError):
            stage.run("restore", *words, "a")


def test_what_a_reset_discarded_before_it_was_saved_comes_back(stage: Stage) -> None:
    save(stage, a=b"2\n")
    stage.files.write(b"a", b"3\n")
    stage.run("reset", "--hard")
    assert stage.run("restore", "--saved", "a").startswith(
        "a is as in the state before operation 2, reset: "
    )
    assert files(stage)["a"] == b"3\n"


def test_an_ignored_file_comes_back_too_and_others_stay(stage: Stage) -> None:
    stage.files.write(b".heliosignore", b"*.env\n")
    stage.files.write(b"d/a.env", b"1\n")
    save(stage)
    stage.files.write(b"d/a.env", b"2\n")
    stage.files.write(b"d/b.env", b"2\n")
    assert "d/a.env is as in the save" in stage.run("restore", "--saved", "d/a.env")
    assert files(stage)["d/a.env"] == b"1\n"
    stage.run("undo")
    assert files(stage)["d/a.env"] == b"2\n"
    stage.run("restore", "--saved", "d")
    assert (files(stage)["d/a.env"], files(stage)["d/b.env"]) == (b"1\n", b"2\n")


def test_patterns_and_several_paths(stage: Stage) -> None:
    save(stage, a=b"2\n", x=b"x1", y=b"y1")
    save(stage, x=b"x2")
    stage.files.remove(b"x")
    stage.files.remove(b"y")
    assert stage.run("restore", "--saved", "x", "y").count("\n") == 2
    assert (files(stage)["x"], files(stage)["y"]) == (b"x2", b"y1")
    stage.files.remove(b"x")
    stage.run("restore", "--saved", "?")
    assert files(stage)["x"] == b"x2"


def test_a_path_as_it_was_at_a_moment(stage: Stage) -> None:
    for count in range(2, 12):
        save(stage, a=b"%d\n" % count)
    assert "a is as in" in stage.run("restore", "--at", "4 min ago", "a")
    assert files(stage)["a"] == b"8\n"
    with pytest.raises(NotFound, match=r"nothing is known of that moment.*10 saves are kept"):
        stage.run("restore", "--at", "2 hours ago", "a")
    with pytest.raises(UsageError, match="takes a moment"):
        stage.run("restore", "--at", "teatime", "a")


def test_a_time_of_day_is_one_of_today(stage: Stage) -> None:
    now = stage.clock.now_ns() // 10**9
    local = datetime.fromtimestamp(now).astimezone().replace(second=0)
    for text in (f"{local:%H:%M}", f"{local:%H:%M:00}", f"{local:%H:%M %z}"):
        assert parse_moment(text, now) == int(local.timestamp())
    save(stage, a=b"2\n")
    save(stage, minutes=5, a=b"3\n")
    moment = datetime.fromtimestamp(now + 30).astimezone()
    stage.run("restore", "--at", f"{moment:%Y-%m-%d %H:%M:%S}", "a")
    assert files(stage)["a"] == b"2\n"


def test_all_files_are_meant_without_a_path(stage: Stage) -> None:
    save(stage, a=b"2\n", b=b"2\n")
    head = stage.commit("second")
    save(stage, a=b"3\n")
    stage.files.remove(b"b")
    save(stage)
    assert stage.run("restore", "--saved", cwd="d").startswith(". is as in the save of ")
    assert (stage.head, files(stage)) == (head, {"a": b"3\n", "b": b"2\n"})
    stage.run("restore", "--at", "3 min ago")
    assert files(stage) == {"a": b"2\n", "b": b"2\n"}


def test_everything_as_it_was_at_a_moment(stage: Stage) -> None:
    first = stage.head
    save(stage, a=b"2\n")
    stage.commit("second")
    stage.clock.time_ns += MINUTE_NS
    save(stage, a=b"3\n", b=b"new")
    reply = stage.run("undo", "--at", "1 minute ago")
    assert "went back to" in reply
    reply = stage.run("undo", "--at", "2 minutes ago")
    assert reply.startswith("went back to ")
    assert stage.run("undo").startswith("undid restore: ")
    stage.run("oplog", "restore", "--at", "3 minutes ago")
    assert (stage.head, files(stage)) == (first, {"a": b"2\n"})
    stage.run("undo", "2")
    assert files(stage) == {"a": b"3\n", "b": b"new"}


def test_several_operations_at_once(stage: Stage) -> None:
    ids = [stage.head, *(stage.commit(str(count), a=b"%d\n" % count) for count in range(2, 6))]
    reply = stage.run("undo", "3")
    assert reply.splitlines()[:3] == ["undid commit: 5", "undid commit: 4", "undid commit: 3"]
    assert stage.head == ids[1]
    assert stage.run("redo", "2").splitlines()[:2] == ["redid commit: 3", "redid commit: 4"]
    assert stage.head == ids[3]
    log = stage.run("oplog")
    with pytest.raises(NotFound, match="only 1 of 2 operations can be redone"):
        stage.run("redo", "2")
    with pytest.raises(NotFound, match="only 4 of 99 operations can be undone"):
        stage.run("undo", "99")
    assert (stage.head, stage.run("oplog")) == (ids[3], log)
    for word in ("0", "-1", "two", "9" * 30):
        with pytest.raises((UsageError, NotFound)):
            stage.run("undo", word)


def test_several_operations_do_not_lead_to_another_branch(stage: Stage) -> None:
    stage.commit("second", a=b"2\n")
    stage.run("checkout", "HEAD~1")
    stage.commit("aside", a=b"3\n")
    head, log = stage.head, stage.run("oplog")
    with pytest.raises(UsageError, match="'undo 2' leads back to branch 'main'"):
        stage.run("undo", "3")
    assert (stage.view.branch, stage.head, stage.run("oplog")) == (None, head, log)
    assert stage.files.read(b"a") == b"3\n"
    stage.run("undo", "2")
    assert stage.view.branch == "main"


def test_back_to_an_operation(stage: Stage) -> None:
    ids = [stage.head, *(stage.commit(str(count), a=b"%d\n" % count) for count in range(2, 6))]
    stage.files.write(b"a", b"dirty")
    reply = stage.run("oplog", "restore", "2")
    assert reply.startswith("went back to the state after operation 2, commit: 2 (")
    assert (stage.head, files(stage)) == (ids[1], {"a": b"2\n"})
    stage.run("oplog", "restore", "--before", "6")
    assert (stage.head, files(stage)) == (ids[4], {"a": b"dirty"})
    with pytest.raises(NotFound, match="no operation 99: 'oplog' lists 1 to 7"):
        stage.run("oplog", "restore", "99")
    with pytest.raises(UsageError, match="give the number of an operation"):
        stage.run("oplog", "restore")
    with pytest.raises(UsageError, match="belongs to"):
        stage.run("oplog", "--at", "now")
    stage.run("undo", "2")
    assert (stage.head, files(stage)) == (ids[4], {"a": b"dirty"})


def test_the_list_of_saves_says_how_many_there_are(stage: Stage) -> None:
    assert stage.run("oplog", "--saved") == "nothing was saved yet\n"
    save(stage, a=b"2\n")
    save(stage, a=b"3\n")
    *lines, last = stage.run("oplog", "--saved").splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"60 seconds ago, on {stage.head[:12]}",
        f"2 minutes ago, on {stage.head[:12]}",
    ]
    assert last.startswith("2 saves are kept, of at most 64; the oldest is of 2023-11-14T")
    assert len(json.loads(stage.run("oplog", "--saved", "--json"))) == 2
    stage.files.write(b"a", b"4\n")
    stage.run("oplog", "restore", "--saved")
    assert files(stage)["a"] == b"3\n"
    stage.files.write(b"a", b"5\n")
    stage.reopen()
    assert len(json.loads(stage.run("oplog", "--saved", "--json"))) == 3


def test_undo_tells_what_was_changed_since_the_last_operation(stage: Stage) -> None:
    stage.commit("second", a=b"2\n")
    assert stage.run("undo").count("\n") == 2
    assert stage.run("redo").count("\n") == 2
    stage.files.write(b"a", b"3\n")
    stage.files.write(b"b", b"3\n")
    last = stage.run("undo").splitlines()[-1]
    assert last == "changed since the last operation, and kept for 'redo': a, b"
    stage.files.write(b"c", b"4\n")
    reply = json.loads(stage.run("redo", "--json"))
    assert reply["kept"] == ["c"]
    assert files(stage) == {"a": b"3\n", "b": b"3\n"}
    for count in range(7):
        stage.files.write(b"f%d" % count, b"5\n")
    assert stage.run("undo").endswith(" f0, f1, f2, f3, f4 and 2 more\n")


def test_undo_to_another_branch_tells_the_way_back(stage: Stage) -> None:
    stage.commit("second", a=b"2\n")
    stage.run("checkout", "HEAD~1")
    stage.files.write(b"b", b"aside\n")
    reply = stage.run("undo")
    assert reply.endswith("and kept: 'checkout -', then 'undo': b\n")
    stage.run("checkout", "-")
    stage.run("undo")
    assert files(stage) == {"a": b"1\n", "b": b"aside\n"}


def test_what_a_checkout_of_a_commit_pushes_aside_is_a_save(stage: Stage) -> None:
    stage.files.write(b".heliosignore", b"*.env\n")
    stage.files.write(b"a.env", b"main\n")
    stage.commit("rules")
    stage.run("checkout", "HEAD~0")
    stage.files.write(b"a.env", b"aside\n")
    stage.run("checkout", "main")
    stage.run("checkout", "HEAD~0")
    assert files(stage)["a.env"] == b"main\n"
    stage.run("restore", "--saved", "a.env")
    assert files(stage)["a.env"] == b"aside\n"
    stage.run("undo", "2")
    assert (stage.view.branch, files(stage)["a.env"]) == ("main", b"main\n")
