"""`import --from-dir` and `--beneath`: what is taken in beside what is there, and what is not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.commands.table import begin
from heliosfs.errors import Busy, NotFound, UsageError
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.repo.beneath import Beneath, known, leave_note
from heliosfs.steps import ALONE, TURN, Progress, Steps, Turn, perform
from heliosfs.workspace.foreign import NOTE
from tests.tree_builder import Stage

BIG = b"0123456789abcdef" * (WHOLE_MAX // 16) + b"end"


def write(directory: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def beneath(stage: Stage, tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "ws"
    place.mkdir()
    fd = os.open(place, os.O_DIRECTORY)
    stage.repository.beneath = Beneath(fd, str(place))
    yield place
    os.close(fd)


def drive(steps: Steps[str], until: Turn | None = None) -> None:
    """Do what the steps say, as far as that."""
    for step in steps:
        if step is until:
            return
        if not isinstance(step, (Turn, Progress)):
            perform(step)


def document(stage: Stage, *words: str) -> dict[str, object]:
    reply: dict[str, object] = json.loads(stage.run("import", *words, "--json"))
    return reply


def test_nothing_that_is_there_is_overwritten(stage: Stage, tmp_path: Path) -> None:
    stage.commit("one", same=b"same", other=b"ours", size=b"1", big=BIG, bigger=BIG)
    stage.files.write(b"dir/kept", b"kept")
    source = write(
        tmp_path / "source",
        same=b"same",
        other=b"his ",
        size=b"22",
        big=BIG,
        bigger=BIG[:-1] + b"!",
        dir__new=b"new",
        made__deep__file=b"file",
    )
    (source / "made").chmod(0o700)
    (source / "link").symlink_to("same")
    before, files = stage.view.state().root, stage.files.tree()
    dry = document(stage, "--from-dir", str(source), "--dry-run")
    assert stage.view.state().root == before
    assert dry["new"] == ["link", "dir/new", "made/deep/file"]
    reply = document(stage, "--from-dir", str(source))
    assert reply == dry | {"new": [], "dry_run": False}
    assert reply["left_out"] == ["bigger", "other", "size"]
    assert (reply["file_count"], reply["same_count"]) == (3, 2)
    for path, data in ((b"other", b"ours"), (b"dir/kept", b"kept"), (b"bigger", BIG),
                       (b"dir/new", b"new"), (b"made/deep/file", b"file")):  # fmt: skip
        assert stage.files.read(path) == data
    assert stage.files.node(b"made").mode & 0o777 == 0o700
    assert " A made/deep/file\n" in stage.run("status", "--short")
    stage.run("undo")
    assert stage.files.tree() == files
    stage.run("redo")
    assert stage.files.read(b"dir/new") == b"new"


def test_a_reserved_name_below_is_left_out_and_told(stage: Stage, tmp_path: Path) -> None:
    """The one at the top is the repository of the directory itself."""
    source = write(
        tmp_path / "source",
        **{
            ".helios__format": b"3",
            "a__.helios__format": b"3",
            "a__b__.helios": b"",
            "a__file": b"",
        },
    )
    dry = document(stage, "--from-dir", str(source), "--dry-run")
    assert (dry["new"], dry["reserved"]) == (["a/file"], ["a/.helios", "a/b/.helios"])
    text = stage.run("import", "--from-dir", str(source))
    assert text.startswith("imported 1 file from ")
    assert text.endswith(
        "  left out, because the name is reserved: a/.helios\n"
        "  left out, because the name is reserved: a/b/.helios\n"
    )
    assert stage.files.tree().keys() == {b"a", b"a/b", b"a/file"}


def test_both_are_kept_on_demand(stage: Stage, tmp_path: Path) -> None:
    stage.files.write(b"file", b"ours")
    stage.files.write(b"file.imported", b"ours too")
    stage.files.write(b"becomes-directory", b"ours")
    stage.files.write(b"becomes-file/inner", b"ours")
    long = "n" * 255
    stage.files.write(long.encode(), b"ours")
    source = write(
        tmp_path / "source",
        **{
            "file": b"his",
            "file.imported": b"his too",
            "becomes-file": b"his",
            "becomes-directory__a__b": b"his",
            long: b"his",
        },
    )
    text = stage.run("import", "--from-dir", str(source), "--keep-both")
    assert "imported 5 files" in text
    assert "beside ours: file as file.imported-2" in text
    for path, data in {
        "file": b"ours",
        "file.imported": b"ours too",
        "file.imported-2": b"his",
        "file.imported.imported": b"his too",
        "becomes-directory": b"ours",
        "becomes-directory.imported/a/b": b"his",
        "becomes-file/inner": b"ours",
        "becomes-file.imported": b"his",
        "n" * 246 + ".imported": b"his",
    }.items():
        assert stage.files.read(path.encode()) == data, path


def test_hard_links_that_are_taken_in_stay_links(stage: Stage, tmp_path: Path) -> None:
    stage.commit("one", b=b"ours")
    source = write(tmp_path / "source", a=b"text")
    for name in "bc":
        (source / name).hardlink_to(source / "a")
    assert "left out: b" in stage.run("import", "--from-dir", str(source))
    assert stage.files.node(b"a") is stage.files.node(b"c")
    assert stage.files.read(b"b") == b"ours"


def test_what_came_to_be_meanwhile_stays(stage: Stage, tmp_path: Path) -> None:
    stage.commit("one", kept=b"kept")
    source = write(tmp_path / "source", a=b"his", b=b"his", dir__a=b"his", file__a=b"his")
    words = ["import", "--from-dir", str(source), "--json"]
    steps = begin(stage.repository, stage.view, words)
    drive(steps, until=ALONE)
    for path in (b"b", b"dir/b", b"file"):
        stage.files.write(path, b"ours")
    with pytest.raises(StopIteration) as done:
        next(steps)
    reply = json.loads(done.value.value)
    assert reply["left_out"] == ["b", "file/a"]
    assert reply["file_count"] == 2
    for path, data in ((b"a", b"his"), (b"b", b"ours"), (b"dir/a", b"his"), (b"file", b"ours")):
        assert stage.files.read(path) == data


def test_what_lies_beneath_is_taken_in_once(stage: Stage, beneath: Path) -> None:
    write(beneath, new=b"new", mine=b"his")
    stage.commit("one", mine=b"ours", other=b"other")
    assert stage.repository.beneath is not None
    leave_note(stage.repository.beneath)
    assert f"helios mount {beneath}" in (beneath / os.fsdecode(NOTE)).read_text()
    reply = document(stage, "--beneath")
    assert (reply["file_count"], reply["left_out"]) == (1, ["mine"])
    stage.files.remove(b"new")
    # What was taken in is known, whatever became of it; what was left out is not.
    assert document(stage, "--beneath")["file_count"] == 0
    assert document(stage, "--beneath", "--dry-run")["left_out"] == ["mine"]
    assert known(stage.store) is not None
    # The path of the mount point means the same.
    assert document(stage, "--from-dir", str(beneath), "--keep-both")["renamed"] == {
        "mine": "mine.imported"
    }
    assert document(stage, "--beneath")["left_out"] == []


def test_a_file_that_has_the_name_of_the_note_is_left_alone(beneath: Path) -> None:
    note = beneath / os.fsdecode(NOTE)
    note.write_text("mine\n")
    fd = os.open(beneath, os.O_DIRECTORY)
    leave_note(Beneath(fd, str(beneath)))
    assert note.read_text() == "mine\n"
    note.unlink()
    note.mkdir()
    leave_note(Beneath(fd, str(beneath)))
    os.close(fd)


def test_what_makes_no_sense_is_refused(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at the mount point"):
        stage.run("import", "--beneath")
    with pytest.raises(UsageError, match="--keep-both belongs to"):
        stage.run("import", "--from-git", str(tmp_path), "--keep-both")
    with pytest.raises(UsageError, match="exclude each other"):
        stage.run("import", "--from-dir", str(tmp_path), "--beneath")
    with pytest.raises(NotFound, match="cannot open"):
        stage.run("import", "--from-dir", str(tmp_path / "none"))


def test_another_branch_that_is_shown_meanwhile_gets_nothing(stage: Stage, tmp_path: Path) -> None:
    stage.commit("one", a=b"a")
    stage.run("branch", "idea")
    source = write(tmp_path / "source", b=b"b")
    steps = begin(stage.repository, stage.view, ["import", "--from-dir", str(source)])
    drive(steps, until=TURN)
    stage.run("checkout", "idea")
    with pytest.raises(Busy, match="another branch was checked out"):
        drive(steps)
    assert not stage.run("status", "--short")
