"""Refusals where JSON was asked for: one document on one line, on standard output."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from heliosfs.cli.main import main
from heliosfs.commands.refusal import asks_for_json
from heliosfs.errors import Conflicted, HeliosError, UsageError
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("base", file=b"1\n")
    return stage


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("branch", "-d", "--json", "no"), "ENOENT"),
        (("branch", "--json", "main"), "EEXIST"),
        (("commit", "--json", "-m", "x"), "ENODATA"),
        (("log", "--json", "no such"), "ENOENT"),
        (("branch", "-D", "--json", "main"), "EBUSY"),
        (("checkout", "--json", "-b", "a b"), "EINVAL"),
        (("gc", "--json", "--nonsense"), "EINVAL"),
        (("nonsense", "--json"), "EINVAL"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else each,
)
def test_an_error_is_a_document(stage: Stage, argv: tuple[str, ...], name: str) -> None:
    with pytest.raises(HeliosError) as raised:
        stage.run(*argv)
    text = str(raised.value)
    assert text.startswith("usage: ") == isinstance(raised.value, UsageError)
    document = json.loads(text.removeprefix("usage: "))
    assert document["errno"] == name == errno.errorcode[raised.value.errno]
    with pytest.raises(HeliosError) as plain:
        stage.run(*(word for word in argv if word != "--json"))
    assert document["error"] == str(plain.value).removeprefix("usage: ")
    assert "\n" not in text


def test_conflicts_are_told_in_the_same_document(stage: Stage) -> None:
    stage.run("branch", "side")
    stage.run("checkout", "side")
    stage.commit("side", file=b"2\n")
    stage.run("checkout", "main")
    stage.commit("main", file=b"3\n")
    with pytest.raises(Conflicted) as raised:
        stage.run("merge", "--json", "side")
    document = json.loads(str(raised.value))
    assert document["errno"] == "EAGAIN"
    assert document["conflicts"][0]["path"] == "file"
    assert document.keys() == {"error", "errno", "conflicts", "ways"}


def test_a_path_of_that_name_asks_for_nothing() -> None:
    assert asks_for_json(["log", "--json", "--", "x"])
    assert not asks_for_json(["log", "--", "--json"])


def test_outside_of_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["status", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["errno"] == "ENOENT"
    assert said.err == ""
    assert main(["status", "--json", "--nonsense"]) == 2
    assert json.loads(capsys.readouterr().out)["errno"] == "EINVAL"
