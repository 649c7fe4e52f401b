"""cherry-pick and revert, and what they leave open."""

from __future__ import annotations

import errno
import json

import pytest

from heliosfs.commands import dotfiles
from heliosfs.commands.commit import commit_message
from heliosfs.errors import Busy, Conflicted, NotFound, NothingToCommit, UsageError
from heliosfs.objects.commit import Commit
from tests.tree_builder import Stage

LINES = b"".join(b"%d\n" % number for number in range(12))


def changed(**lines: bytes) -> bytes:
    """The lines, with `_5=b"x"` in the place of the line 5."""
    data = LINES.splitlines(keepends=True)
    for key, line in lines.items():
        data[int(key[1:])] = line + b"\n"
    return b"".join(data)


@pytest.fixture
def stage() -> Stage:
    """`main` has one commit on top of the base; `x` has three, the second of another author."""
    stage = Stage()
    stage.commit("base", a=LINES, b=b"\0binary")
    stage.run("branch", "x")
    files = stage.live("x")
    files.write(b"a", changed(_2=b"two"))
    stage.run("commit", "-m", "two", branch="x")
    stage.clock.time_ns += 1_000_000_000_000
    files.write(b"a", changed(_2=b"two", _9=b"nine"))
    files.write(b"b", b"\0other")
    message = "nine\n\nWhy, in full.\n\nReviewed-by: Bo"
    stage.run("commit", "-m", message, "--author", "Eve <eve@example.org>", branch="x")
    files.write(b"c", b"new\n")
    stage.run("commit", "-m", "c", branch="x")
    stage.clock.time_ns += 1_000_000_000_000
    stage.commit("ours", d=b"ours\n")
    return stage


def head(stage: Stage) -> Commit:
    assert stage.view.head is not None
    return stage.repository.history.read(stage.view.head)


def subjects(stage: Stage) -> list[str]:
    return [line[13:] for line in stage.run("log", "--oneline").splitlines()]


def test_one_commit_on_top_of_head(stage: Stage) -> None:
    tip = stage.repository.refs.branch("x").head
    assert tip is not None
    picked = stage.repository.history.read(stage.repository.history.read(tip).parents[0])
    before = stage.head
    assert stage.run("cherry-pick", "x~1") == f"[main {stage.head[:12]}] nine\n"
    made = head(stage)
    assert (made.author, made.message) == (picked.author, picked.message)
    assert made.committer.seconds > made.author.seconds
    assert [oid.hex() for oid in made.parents] == [before]
    assert stage.files.read(b"a") == changed(_9=b"nine")
    assert stage.files.read(b"b") == b"\0other"
    assert b"c" not in stage.files.tree()
    assert stage.run("status", "-s") == ""
    stage.run("undo")
    assert stage.head == before
    assert stage.files.read(b"a") == LINES


def test_several_and_ranges_are_one_operation(stage: Stage) -> None:
    before = stage.head
    assert len(stage.run("cherry-pick", "main~1..x").splitlines()) == 3
    assert subjects(stage)[:4] == ["c", "nine", "two", "ours"]
    stage.run("undo")
    assert stage.head == before
    stage.run("cherry-pick", "x", "x~2")
    assert subjects(stage)[:3] == ["two", "c", "ours"]
    stage.run("revert", "HEAD~2..")
    assert subjects(stage)[:2] == ['Revert "c"', 'Revert "two"']
    assert stage.files.read(b"a") == LINES
    with pytest.raises(NotFound):
        stage.run("cherry-pick", "main..HEAD")


def test_the_message_may_name_the_source(stage: Stage) -> None:
    source = stage.run("rev-parse", "x~1").strip()
    stage.run("cherry-pick", "-x", "x~1")
    line = f"(cherry picked from commit {source})\n"
    assert head(stage).message.decode() == f"nine\n\nWhy, in full.\n\nReviewed-by: Bo\n{line}"
    source = stage.run("rev-parse", "x").strip()
    stage.run("cherry-pick", "-x", "x")
    assert head(stage).message.decode() == f"c\n\n(cherry picked from commit {source})\n"


def test_revert_takes_back(stage: Stage) -> None:
    stage.run("merge", "x")
    merged = stage.head
    stage.run("revert", "x~1")
    source = stage.run("rev-parse", "x~1").strip()
    assert head(stage).message.decode() == f'Revert "nine"\n\nThis reverts commit {source}.\n'
    assert head(stage).author.name == b"Ada"
    assert stage.files.read(b"a") == changed(_2=b"two")
    assert stage.files.read(b"b") == b"\0binary"
    with pytest.raises(UsageError, match="number of the parent"):
        stage.run("revert", merged)
    with pytest.raises(UsageError, match="no parent 3"):
        stage.run("revert", "-m", "3", merged)
    stage.run("revert", "--no-edit", "-m", "1", merged)
    parent = stage.run("rev-parse", f"{merged}^1").strip()
    assert f"reversing\nchanges made to {parent}.\n" in head(stage).message.decode()
    assert b"c" not in stage.files.tree()
    assert stage.files.read(b"a") == LINES


def test_a_root_commit(stage: Stage) -> None:
    other = Stage(stage.store)
    other.run("checkout", "-b", "fresh", "main")
    base = other.run("rev-parse", "main~1").strip()
    other.run("revert", base)
    assert set(other.files.tree()) == {b"d"}
    other.run("cherry-pick", base)
    assert set(other.files.tree()) == {b"a", b"b", b"d"}


def test_a_conflict_changes_nothing(stage: Stage) -> None:
    stage.commit("mine", a=changed(_9=b"mine"))
    before = dict(stage.store.state), stage.files.tree()
    with pytest.raises(Conflicted) as caught:
        stage.run("cherry-pick", "x~2..x", "x~2")
    lines = str(caught.value).splitlines()
    source = stage.run("rev-parse", "x~1").strip()
    assert lines[:2] == [
        f"{source[:12]}: conflict in 1 path: nothing was changed",
        "content: a",
    ]
    assert "cherry-pick --markers x~2..x x~2" in str(caught.value)
    assert (dict(stage.store.state), stage.files.tree()) == before
    with pytest.raises(Conflicted) as caught:
        stage.run("cherry-pick", "--json", "x~1")
    assert json.loads(str(caught.value))["commit"] == source
    with pytest.raises(UsageError, match="-X"):
        stage.run("cherry-pick", "-X", "patience", "x~1")
    stage.run("cherry-pick", "-X", "theirs", "x~1")
    assert stage.files.read(b"a") == changed(_9=b"nine")
    stage.run("undo")
    stage.run("cherry-pick", "--theirs", "x~1")
    assert stage.files.read(b"a") == changed(_9=b"nine")
    stage.run("undo")
    with pytest.raises(NothingToCommit):
        stage.run("cherry-pick", "--ours", "x~2", "x~2")


def test_markers_and_continue(stage: Stage) -> None:
    before = stage.commit("mine", a=changed(_9=b"mine"))
    stage.files.write(b"e", b"uncommitted\n")
    reply = stage.run("cherry-pick", "--markers", "main~2..x")
    source = stage.run("rev-parse", "x~1").strip()
    assert reply.splitlines()[0].endswith("] two")
    assert f"The cherry-pick of {source[:12]} is open" in reply
    assert subjects(stage)[:2] == ["two", "mine"]
    stage.reopen()
    marked = stage.files.read(b"a")
    assert b"<<<<<<< HEAD\nmine\n||||||| parent of " in marked
    assert b"=======\nnine\n>>>>>>> " + source[:12].encode() + b" (nine)\n" in marked
    status = stage.run("status")
    assert f"A cherry-pick of {source[:12]} is open." in status and "(1 more to come)" in status
    found = json.loads(stage.run("status", "--json"))
    assert found["merging"] is None
    assert found["picking"]["verb"] == "cherry-pick" and found["picking"]["commit"] == source
    assert found["unmerged"] == {"a": "UU"}
    assert dotfiles.conflicts(stage.repository, stage.view) == "content: a\n"
    assert stage.run("rev-parse", "CHERRY_PICK_HEAD").strip() == source
    for argv in (["merge", "x"], ["revert", "HEAD"]):
        with pytest.raises(Busy, match="a cherry-pick is open"):
            stage.run(*argv)
    for argv in (["merge", "--abort"], ["merge", "--continue"], ["revert", "--skip"]):
        with pytest.raises(NotFound, match="but a cherry-pick"):
            stage.run(*argv)
    with pytest.raises(Conflicted, match="cherry-pick --abort"):
        stage.run("cherry-pick", "--continue")
    stage.files.write(b"a", changed(_9=b"both"))
    with pytest.raises(Busy, match="a cherry-pick is open"):
        stage.run("commit", "--amend")
    assert "is open" not in stage.run("cherry-pick", "--continue")
    assert subjects(stage)[:4] == ["c", "nine", "two", "mine"]
    made = stage.repository.history.read(head(stage).parents[0])
    assert made.author.name == b"Eve" and len(made.parents) == 1
    assert b"Why, in full." in made.message
    assert stage.run("status", "-s") == ""
    assert stage.files.read(b"e") == b"uncommitted\n"
    assert "is open" not in stage.run("status")
    stage.run("undo")
    assert stage.view.pick is not None
    stage.run("cherry-pick", "--abort")
    assert stage.head == before
    assert stage.run("status", "-s") == " A e\n"


@pytest.mark.parametrize("words", [["commit"], ["commit", "-m", "my words"], None])
def test_a_commit_concludes(stage: Stage, words: list[str] | None) -> None:
    stage.commit("mine", a=changed(_9=b"mine"))
    stage.run("cherry-pick", "--markers", "x~1", "x")
    stage.files.write(b"a", changed(_9=b"both"))
    if words is None:
        oid = commit_message(stage.repository, stage.view, b"my words\n").strip()
        assert stage.run("rev-parse", "HEAD~1").strip() == oid
    else:
        stage.run(*words)
    first = subjects(stage)[:3]
    assert first == ["c", "nine" if words == ["commit"] else "my words", "mine"]
    assert stage.view.pick is None


def test_skip_and_abort(stage: Stage) -> None:
    stage.commit("mine", a=changed(_2=b"mine", _9=b"mine"))
    before, files = stage.head, stage.files.tree()
    stage.files.write(b"e", b"uncommitted\n")
    stage.run("cherry-pick", "--markers", "main~2..x")
    assert stage.view.pick is not None and len(stage.view.pick.todo) == 2
    stage.files.write(b"f", b"made meanwhile\n")
    reply = stage.run("cherry-pick", "--skip")
    assert "is open" in reply and "Left out" in reply
    assert "(1 more to come)" in stage.run("status")
    reply = stage.run("cherry-pick", "--skip")
    assert reply.splitlines()[-1].startswith("Left out") and "] c" in reply
    assert stage.files.read(b"a") == changed(_2=b"mine", _9=b"mine")
    assert stage.files.read(b"b") == b"\0binary"
    assert stage.run("status", "-s") == " A e\n A f\n"
    for _ in range(3):
        stage.run("undo")
    assert stage.head == before and stage.files.tree() == files | {b"e": stage.files.tree()[b"e"]}
    stage.run("cherry-pick", "--markers", "main~2..x")
    stage.run("cherry-pick", "--skip")
    stage.run("cherry-pick", "--abort")
    assert stage.head == before
    assert stage.run("status", "-s") == " A e\n"


def test_what_changes_nothing_is_told(stage: Stage) -> None:
    stage.run("cherry-pick", "x~1")
    with pytest.raises(NothingToCommit, match="changes nothing here") as caught:
        stage.run("cherry-pick", "x~1")
    assert caught.value.errno == errno.ENODATA
    before = stage.head
    with pytest.raises(NothingToCommit):
        stage.run("cherry-pick", "x", "x~1")
    assert stage.head == before
    assert "Left out" in stage.run("cherry-pick", "--empty=drop", "x~1", "x")
    assert subjects(stage)[:2] == ["c", "nine"]
    stage.run("cherry-pick", "--allow-empty", "x")
    assert subjects(stage)[:3] == ["c", "c", "nine"]
    with pytest.raises(UsageError, match="--empty"):
        stage.run("cherry-pick", "--empty=what", "x")


def test_nothing_left_to_continue_with(stage: Stage) -> None:
    stage.commit("mine", a=changed(_9=b"mine"), b=b"\0other")
    stage.run("cherry-pick", "--markers", "x~1")
    stage.files.write(b"a", changed(_9=b"mine"))
    with pytest.raises(NothingToCommit, match="cherry-pick --skip"):
        stage.run("cherry-pick", "--continue")
    stage.run("commit", "--allow-empty")
    assert subjects(stage)[:2] == ["nine", "mine"]


def test_no_commit(stage: Stage) -> None:
    before = stage.head
    stage.files.write(b"a", changed(_5=b"five"))
    assert "uncommitted" in stage.run("cherry-pick", "-n", "x~2", "x~1")
    assert stage.files.read(b"a") == changed(_2=b"two", _5=b"five", _9=b"nine")
    assert stage.files.read(b"b") == b"\0other"
    assert stage.head == before and stage.view.merging is None
    stage.run("revert", "--no-commit", "x~2")
    assert stage.files.read(b"a") == changed(_5=b"five", _9=b"nine")
    stage.run("undo")
    stage.run("undo")
    assert stage.files.read(b"a") == changed(_5=b"five")
    stage.files.write(b"a", changed(_2=b"mine"))
    with pytest.raises(Conflicted):
        stage.run("cherry-pick", "-n", "x~2")
    stage.run("cherry-pick", "-n", "--markers", "x~2")
    assert b"<<<<<<< HEAD\nmine\n" in stage.files.read(b"a")
    assert stage.view.merging is None


def test_what_is_in_the_way(stage: Stage) -> None:
    stage.files.write(b"c", b"mine\n")
    with pytest.raises(Busy, match="'c'"):
        stage.run("cherry-pick", "x")
    stage.run("cherry-pick", "x~2")
    assert stage.run("status", "-s") == " A c\n"
    stage.run("add", "c")
    with pytest.raises(Busy, match="staged"):
        stage.run("cherry-pick", "x~1")
    with pytest.raises(NotFound, match="nothing was committed"):
        Stage(None).run("cherry-pick", "HEAD")


def test_a_side_of_what_is_open(stage: Stage) -> None:
    stage.commit("mine", a=changed(_9=b"mine"))
    stage.run("cherry-pick", "--markers", "x~1")
    stage.reopen()
    stage.run("checkout", "--theirs", "a")
    assert stage.files.read(b"a") == changed(_2=b"two", _9=b"nine")
    stage.run("checkout", "--ours", "a")
    assert stage.files.read(b"a") == changed(_9=b"mine")


def test_a_collection_keeps_what_is_open(stage: Stage) -> None:
    stage.commit("mine", a=changed(_9=b"mine"))
    stage.run("cherry-pick", "--markers", "x~1", "x")
    stage.run("branch", "-D", "x")
    stage.run("gc", "--remove-old-snapshots", "--before=0s")
    stage.reopen()
    stage.files.write(b"a", changed(_9=b"both"))
    stage.run("cherry-pick", "--continue")
    assert subjects(stage)[:2] == ["c", "nine"]


def test_merge_continue(stage: Stage) -> None:
    stage.commit("mine", a=changed(_9=b"mine"))
    with pytest.raises(NotFound, match="no merge is open"):
        stage.run("merge", "--continue")
    stage.run("merge", "--markers", "x")
    with pytest.raises(Conflicted, match="conflict markers"):
        stage.run("merge", "--continue")
    stage.files.write(b"a", changed(_9=b"both"))
    stage.run("merge", "--continue", "-m", "together")
    assert subjects(stage)[0] == "together"
    assert len(head(stage).parents) == 2


def test_the_note_is_nowhere_to_be_seen(stage: Stage) -> None:
    stage.commit("mine", a=changed(_9=b"mine"))
    stage.run("cherry-pick", "--markers", "x~1")
    note = stage.view.merging
    assert note is not None
    stage.reopen()
    assert note.hex() not in stage.run("status", "--json") + stage.run("log", "--all", "--json")
