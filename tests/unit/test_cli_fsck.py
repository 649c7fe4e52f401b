"""`helios fsck --repair NEW`, of a workspace that is not mounted."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from heliosfs.cli.main import main
from heliosfs.repo import keys
from heliosfs.store.gc import marking, surveyors
from heliosfs.store.l2.environment import FILE
from heliosfs.store.local import LocalStore


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ws"
    assert main(["init", str(path)]) == 0
    monkeypatch.chdir(path)
    assert main(["commit", "-q", "--allow-empty", "-m", "first"]) == 0
    assert main(["tag", "v1"]) == 0
    return path


def test_a_new_store_takes_the_place_of_the_old_one(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old, new = workspace / ".helios", workspace.parent / "new"
    before = {name: (old / name).read_bytes() for name in os.listdir(old)}
    capfd.readouterr()
    assert main(["fsck", "--repair", str(new)]) == 0
    told = capfd.readouterr().out
    assert told.startswith(f"made {new} of ")
    assert "nothing is lost" in told
    assert f"to use it: mv {old} {old}.damaged && mv {new} {old}" in told
    assert {name: (old / name).read_bytes() for name in os.listdir(old)} == before
    old.rename(f"{old}.damaged")
    new.rename(old)
    assert main(["tag"]) == 0
    assert main(["fsck"]) == 0
    told = capfd.readouterr().out
    assert told.startswith("v1\n")
    assert "all sound" in told


def test_the_commands_that_are_proposed_can_be_pasted_for_any_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "it's $HOME; x"
    assert main(["init", str(place)]) == 0
    proposed = capfd.readouterr().out.rpartition("mount it with: ")[2]
    assert shlex.split(proposed) == ["helios", "mount", str(place)]
    monkeypatch.chdir(place)
    assert main(["fsck", "--repair", "../a new store"]) == 0
    proposed = capfd.readouterr().out.rpartition("to use it: ")[2]
    subprocess.run(["sh", "-c", proposed], cwd="/", timeout=30, check=True)
    assert sorted(os.listdir(place)) == [".helios", ".helios.damaged"]
    assert main(["fsck"]) == 0
    assert "all sound" in capfd.readouterr().out


def test_what_is_lost_is_listed(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = workspace / ".helios" / FILE
    file.write_bytes(file.read_bytes().replace(b"tag/v1", b"tag/v2"))
    capfd.readouterr()
    assert main(["fsck", "--repair", str(workspace.parent / "new"), "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["new"] == str(workspace.parent / "new")
    assert document["lost_paths"] == []
    assert "the state under tag/v2 cannot be read" in document["lost"]


def test_a_directory_that_is_there_is_left_alone(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    new = workspace.parent / "new"
    new.mkdir()
    (new / "mine").write_text("mine")
    assert main(["fsck", "--repair", str(new)]) == 1
    assert "is there already" in capfd.readouterr().err
    assert os.listdir(new) == ["mine"]


def test_nothing_is_left_behind_where_nothing_can_be_read(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / ".helios" / FILE).unlink()
    new = workspace.parent / "new"
    assert main(["fsck", "--repair", str(new)]) == 1
    assert FILE in capfd.readouterr().err
    assert not new.exists()


def test_all_that_is_damaged_is_listed_where_the_store_does_not_open(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = workspace / ".helios" / FILE
    data = bytearray(file.read_bytes())
    # The checksums of two values, and a page that says that it is another one.
    for key in (b"tag/v1", b"branch/main"):
        at = data.rfind(key) + len(key) + 3
        data[at] ^= 1
    last = len(data) // 4096 - 1
    data[last * 4096] ^= 1
    file.write_bytes(data)
    before = {name: (file.parent / name).read_bytes() for name in os.listdir(file.parent)}
    capfd.readouterr()
    assert main(["fsck"]) == 1
    told = capfd.readouterr().err
    assert "the store does not open" in told
    assert f"page {last} says that it is page {last ^ 1}" in told
    before.pop("lock")
    assert {name: (file.parent / name).read_bytes() for name in before} == before


def test_a_store_that_opens_is_checked_as_before(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (workspace / ".helios" / "witness").unlink()
    capfd.readouterr()
    assert main(["fsck"]) == 1
    told = capfd.readouterr().err
    assert "when it was opened: the file witness is missing or damaged" in told
    assert main(["fsck"]) == 0
    assert capfd.readouterr().out.endswith("all sound\n")


@pytest.mark.parametrize("data", [None, b"junk"], ids=["missing", "damaged"])
def test_the_numbers_of_inodes_are_looked_at_without_a_mount(
    workspace: Path, capfd: pytest.CaptureFixture[str], data: bytes | None
) -> None:
    store = workspace / ".helios"
    fd = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    opened = LocalStore.open(fd)
    os.close(fd)
    assert not (store / "inodes").exists()
    assert main(["fsck"]) == 1  # It is in use.
    # As a mount leaves it.
    opened.put(keys.NUMBERED, b"1")
    opened.publish()
    opened.close()
    (store / "inodes").write_bytes(b"%020d\n" % 70)
    assert main(["fsck"]) == 0
    if data is None:
        (store / "inodes").unlink()
    else:
        (store / "inodes").write_bytes(data)
    capfd.readouterr()
    assert main(["fsck"]) == 1
    what = "missing" if data is None else "damaged"
    told = f"the file inodes is {what}: numbers of inodes may be given a second time"
    assert f"when it was opened: {told}" in capfd.readouterr().err
    assert main(["fsck", "--repair", str(workspace.parent / "new"), "--json"]) == 0
    lost = json.loads(capfd.readouterr().out)["lost"]
    assert any(line.startswith(("the file inodes is missing", "inodes cannot")) for line in lost)


def test_no_pipe_ends_a_process_that_has_the_store_open(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that survey the store may end early: what they left out is looked up one by one."""
    monkeypatch.setattr(marking, "SHARED_FROM", 1)
    for module in (marking, surveyors):
        monkeypatch.setattr(module, "program_count", lambda: 3)
    started: list[tuple[str, ...]] = []

    def command(*words: str) -> list[str]:
        started.append(words)
        return ["false"]

    monkeypatch.setattr(surveyors, "command", command)
    assert main(["fsck"]) == 0
    assert started
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
