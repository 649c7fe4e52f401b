"""commit: messages, what is refused, what is kept."""

from __future__ import annotations

import errno
import json

import pytest

from heliosfs.commands.commit import commit_message
from heliosfs.errors import HeliosError, NothingToCommit, Stale, TooLarge, UsageError
from heliosfs.objects.ids import CommitId, Oid
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.files.write(b"src/a.txt", b"one\n")
    return stage


def message_of(stage: Stage) -> bytes:
    assert stage.view.head is not None
    return stage.repository.history.read(stage.view.head).message


def test_reply_names_branch_id_and_subject(stage: Stage) -> None:
    reply = stage.run("commit", "-m", "first thing")
    assert reply == f"[main (first) {stage.head[:12]}] first thing\n"
    stage.files.write(b"b", b"")
    assert stage.run("commit", "-am", "second") == f"[main {stage.head[:12]}] second\n"
    stage.run("checkout", "HEAD")
    stage.files.write(b"c", b"")
    assert stage.run("commit") == f"[detached HEAD {stage.head[:12]}] snapshot\n"


def test_paragraphs_quiet_and_json(stage: Stage) -> None:
    assert stage.run("commit", "-q", "-m", "subject\n", "-m", "a\nb") == ""
    assert message_of(stage) == b"subject\n\na\nb"
    reply = json.loads(stage.run("commit", "--allow-empty", "--json", "-m", "more"))
    assert reply["id"] == stage.head
    assert reply["branch"] == "main"
    assert reply["subject"] == "more"
    assert len(reply["parents"]) == 1
    assert reply["author"]["time"] == "2023-11-14T22:13:20+00:00"


def test_nothing_changed_makes_no_commit(stage: Stage) -> None:
    head = stage.commit()
    node = stage.files.node(b"src/a.txt")
    node.mtime_ns += 1
    node.touch()
    with pytest.raises(NothingToCommit, match="nothing to commit") as caught:
        stage.run("commit", "-m", "again")
    assert caught.value.errno == errno.ENODATA
    assert stage.head == head
    stage.run("commit", "--allow-empty", "-m", "again")
    assert stage.head != head


@pytest.mark.parametrize("message", ["", " \n\t", "\n"])
def test_empty_message(stage: Stage, message: str) -> None:
    with pytest.raises(UsageError, match="empty message"):
        stage.run("commit", "-m", message)
    with pytest.raises(UsageError, match="empty message"):
        commit_message(stage.repository, stage.view, message.encode())
    assert stage.view.head is None


@pytest.mark.parametrize("message", [b"a\0b", b"\xff\xfe", b"ends in \xc3"])
def test_message_must_be_text(stage: Stage, message: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        commit_message(stage.repository, stage.view, message)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(UsageError):
        stage.run("commit", "-m", message.decode("utf-8", "surrogateescape"))
    assert stage.view.head is None


@pytest.mark.parametrize("message", ["x" * 65_537, "é" * 32_769, "x" * 1_000_000])
def test_message_over_the_limit(stage: Stage, message: str) -> None:
    for attempt in (
        lambda: stage.run("commit", "-m", message),
        lambda: commit_message(stage.repository, stage.view, message.encode()),
    ):
        with pytest.raises(TooLarge, match="64 KiB") as caught:
            attempt()
        assert caught.value.errno == errno.EMSGSIZE
    assert stage.view.head is None


def test_message_at_the_limit(stage: Stage) -> None:
    commit_message(stage.repository, stage.view, b"x" * 65_536 + b"\n")
    assert len(message_of(stage)) == 65_536


def test_text_of_the_control_file_is_the_message(stage: Stage) -> None:
    reply = commit_message(stage.repository, stage.view, "grüße\n\nzwei\n\n".encode())
    assert reply == stage.head + "\n"
    assert message_of(stage) == "grüße\n\nzwei".encode()
    with pytest.raises(NothingToCommit):
        commit_message(stage.repository, stage.view, b"again\n")


def test_expected_head(stage: Stage) -> None:
    with pytest.raises(Stale, match="nothing was committed yet: HEAD is not"):
        stage.run("commit", "-m", "x", "--expect", "0" * 64)
    first = stage.commit()
    stage.files.write(b"b", b"1")
    stage.run("commit", "-m", "x", "--expect", first)
    stage.files.write(b"b", b"2")
    with pytest.raises(Stale, match=f"HEAD is {stage.head}, not {first}") as caught:
        stage.run("commit", "-m", "y", "--expect", first)
    assert caught.value.errno == errno.ESTALE
    assert "modified" in stage.run("status")


@pytest.mark.parametrize("wrong", ["", "abcd", "0" * 63, "0" * 65, "g" * 64, "HEAD"])
def test_expected_id_must_be_full(stage: Stage, wrong: str) -> None:
    with pytest.raises(UsageError, match="full commit id"):
        stage.run("commit", "-m", "x", "--expect", wrong)


def test_author_is_not_the_committer(stage: Stage) -> None:
    stage.run("commit", "-m", "x", "--author", "Grace Hopper <grace@navy.mil>")
    assert stage.view.head is not None
    made = stage.repository.history.read(stage.view.head)
    assert (made.author.name, made.author.email) == (b"Grace Hopper", b"grace@navy.mil")
    assert made.committer.name == b"Ada"


@pytest.mark.parametrize("author", ["Grace", "<a> <b>", "a\nb <c>", "Grace <a b>", "x <a> y"])
def test_author_of_another_form(stage: Stage, author: str) -> None:
    with pytest.raises(UsageError, match="Name <email>"):
        stage.run("commit", "-m", "x", "--author", author)


def test_metadata(stage: Stage) -> None:
    stage.run("commit", "-m", "x", "--meta", "score=0.5", "--meta", "agent=a=b", "--meta", "no=")
    assert stage.view.head is not None
    made = stage.repository.history.read(stage.view.head)
    assert dict(made.metadata) == {"score": "0.5", "agent": "a=b", "no": ""}
    assert "Meta:   score=0.5\n" in stage.run("log")


@pytest.mark.parametrize("pair", ["score", "=1", " =1", "a\nb=1", "a=\0", "a=\udcff"])
def test_metadata_of_another_form(stage: Stage, pair: str) -> None:
    with pytest.raises(UsageError):
        stage.run("commit", "-m", "x", "--meta", pair)
    assert stage.view.head is None


def test_work_names_a_place_in_the_view(stage: Stage) -> None:
    stage.run("commit", "--work", ".")
    stage.run("commit", "--allow-empty", "--work", "..", cwd="src")
    stage.run("commit", "--allow-empty", "--work", "/anywhere/the/client/looked")
    with pytest.raises(UsageError, match="outside"):
        stage.run("commit", "--allow-empty", "--work", "../..", cwd="src")


def test_commit_that_cannot_be_published_changes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = stage.commit()
    operations = stage.run("oplog")
    stage.files.write(b"b", b"1")
    with monkeypatch.context() as patch:
        patch.setattr(stage.store, "publish", _fail)
        with pytest.raises(HeliosError, match="full"):
            stage.run("commit", "-m", "x")
    assert stage.head == head
    assert stage.run("oplog") == operations
    assert stage.run("status", "-s") == " A b\n"
    stage.run("commit", "-m", "x")
    made = stage.repository.history.read(CommitId(Oid(bytes.fromhex(stage.head))))
    assert made.parents[0].hex() == head


def _fail() -> None:
    raise HeliosError("the disk is full")
