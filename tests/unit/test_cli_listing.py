"""`helios ls`: the workspaces that are known, and how they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliosfs import mounttable
from heliosfs.cli import runfiles
from heliosfs.cli.main import main
from heliosfs.cli.runfiles import Daemon, KnownWorkspace
from heliosfs.mounttable import FSTYPE, Mount


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workspaces of each state, of which nothing is mounted for real."""
    for name in ("dead", "mounted", "unmounted"):
        (tmp_path / name / ".helios").mkdir(parents=True)
        (tmp_path / name / ".helios/format").touch()
    (tmp_path / "mounted/.helios/branch").write_text("idea\n")
    names = ("dead", "gone", "mounted", "unmounted")
    workspaces = [
        KnownWorkspace(f"{tmp_path}/{each}", f"{tmp_path}/{each}/.helios", "") for each in names
    ]

    def mount_at(path: str) -> Mount | None:
        is_there = path.endswith(("/dead", "/mounted"))
        return Mount(path, FSTYPE, "heliosfs", 7, "0:7") if is_there else None

    def find(path: str) -> Daemon | None:
        return Daemon(4711, "log") if path.endswith("/mounted") else None

    monkeypatch.setattr(runfiles, "workspaces", lambda: workspaces)
    monkeypatch.setattr(runfiles, "find", find)
    monkeypatch.setattr(mounttable, "mount_at", mount_at)
    return tmp_path


def test_a_line_for_each(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        [f"{known}/dead", "dead", "-"],
        [f"{known}/gone", "gone", "-"],
        [f"{known}/mounted", "mounted", "idea"],
        [f"{known}/unmounted", "unmounted", "-"],
    ]
    assert main(["ls", "--mounted"]) == 0
    assert capsys.readouterr().out.split() == [f"{known}/mounted", "mounted", "idea"]


def test_for_programs(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--json"]) == 0
    documents = json.loads(capsys.readouterr().out)
    assert [each["state"] for each in documents] == ["dead", "gone", "mounted", "unmounted"]
    assert (documents[2]["branch"], documents[2]["pid"]) == ("idea", 4711)
    assert documents[3]["store"] == f"{known}/unmounted/.helios"
    assert documents[0].keys() == {"path", "state", "branch", "store", "log", "pid"}


def test_of_none_nothing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runfiles, "workspaces", list)
    assert main(["ls"]) == 0
    assert capsys.readouterr().out == ""
