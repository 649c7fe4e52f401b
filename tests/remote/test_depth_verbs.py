"""The verbs in a workspace that was cloned with `--depth`, by the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from heliosfs.cli.main import main
from heliosfs.remote import upload
from heliosfs.remote.buckets.shared_directory import DirectoryBucket
from heliosfs.remote.layout import settle_format
from heliosfs.remote.push import push
from heliosfs.repo.edge import UNSHALLOW
from heliosfs.repo.remotes import TAGS
from heliosfs.steps import run_to_end
from tests.remote.machines import Machine

Say = Callable[..., str]
_COUNT = 6


def _call(*words: str) -> int:
    os.chdir(os.environ["HOME"])
    return main(list(words))


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A remote with some commits of a file, of which the first has a tag."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)
    bucket = DirectoryBucket(str(tmp_path / "remote"))
    bucket.make()
    settle_format(bucket)
    machine = Machine(bucket)
    for number in range(_COUNT):
        machine.commit(f"c{number}", file=b"".join(b"%d\n" % each for each in range(number + 1)))
    machine.push()
    machine.run("tag", "v1", f"HEAD~{_COUNT - 1}")
    oid = machine.repository.refs.tags["v1"]
    run_to_end(push(machine.repository, bucket, "origin", TAGS, "v1", oid), machine.store)
    return f"file://{tmp_path}/remote"


@pytest.fixture
def say(url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Say:
    """Run a verb in a clone of the last two commits, and return its reply."""
    assert _call("clone", "-q", "--no-mount", "--depth", "2", url, "copy") == 0

    def said(*words: str, is_refused: bool = False) -> str:
        capfd.readouterr()
        assert bool(_call("-C", str(tmp_path / "copy"), *words)) == is_refused
        out, err = capfd.readouterr()
        return err if is_refused else out

    return said


def _subjects(say: Say) -> list[str]:
    return say("log", "--format=%s").split()


def test_a_clone_says_what_it_has(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert _call("clone", "--no-mount", "--depth=2", url, "copy") == 0
    told = capfd.readouterr().out.splitlines()
    assert told[0].startswith("2 commits, ")
    assert "'helios fetch --unshallow' brings it" in told[1]
    assert told[2] == "1 tags and experiments of that history are left out"


@pytest.mark.parametrize("depth", ["0", "-1", "two", "", "1" * 20])
def test_a_depth_is_a_number_of_commits(
    url: str, depth: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _call("clone", "--no-mount", f"--depth={depth}", url, "copy") == 2
    assert "is no number of commits" in capfd.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_a_clone_of_a_git_server_has_no_depth(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert url
    subprocess.run(["git", "init", "-q", str(tmp_path / "git")], check=True)
    assert _call("clone", "--no-mount", "--depth=1", str(tmp_path / "git"), "copy") == 2
    assert "has all history" in capfd.readouterr().err


def test_history_ends_and_can_be_had(say: Say) -> None:
    assert _subjects(say) == ["c5", "c4"]
    for verb in ("rev-parse", "log", "diff", "show"):
        assert UNSHALLOW in say(verb, "HEAD~2", is_refused=True)
    checked = json.loads(say("fsck", "--json"))
    assert (checked["commit_count"], checked["shallow_count"]) == (2, 1)
    assert "the history is shallow: it ends at 1 commits" in say("fsck")
    assert say("tag") == ""
    told = say("fetch", "--depth", "3")
    assert "1 commits, " in told
    assert _subjects(say) == ["c5", "c4", "c3"]
    fetched = json.loads(say("fetch", "--unshallow", "--json"))
    assert (fetched["commit_count"], fetched["shallow_count"], fetched["below"]) == (3, 0, [])
    assert [each["name"] for each in fetched["moved"]] == ["v1"]
    assert len(_subjects(say)) == _COUNT
    for words in (("--unshallow",), ("--depth", "1")):
        assert say("fetch", *words) == "All history is here already\n"
    assert say("fetch", "--unshallow", "-q") == ""
    assert say("tag") == "v1\n"
    assert "shallow" not in say("fsck")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--depth", "0"), "1 at least"),
        (("--depth", "x"), "not a number"),
        (("--depth", "1", "--unshallow"), "--unshallow"),
        (("--unshallow", "origin", "main"), "name none"),
    ],
)
def test_a_fetch_that_is_not_understood(say: Say, words: tuple[str, ...], why: str) -> None:
    assert why in say("fetch", *words, is_refused=True)


def test_a_backup_is_as_shallow_and_so_is_what_is_restored(
    say: Say, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    backup = tmp_path / "backup"
    (tmp_path / "copy" / ".helios" / "id").write_text("0" * 32 + "\n")
    for _ in range(2):
        say("backup", str(backup))
        assert (backup / "format").read_text().endswith("version 6\n")
    assert _call("backup", "--restore", str(backup), "new") == 0
    copy = ("-C", str(tmp_path / "new"))
    assert (tmp_path / "new" / ".helios" / "format").read_text().endswith("version 6\n")
    capfd.readouterr()
    assert _call(*copy, "fsck", "--json") == 0
    checked = json.loads(capfd.readouterr().out)
    assert (checked["shallow_count"], checked["problems"]) == (1, [])
    assert _call(*copy, "gc") == 0
    assert _call(*copy, "fetch", "--unshallow") == 0
    capfd.readouterr()
    assert _call(*copy, "rev-list", "--count", "HEAD") == 0
    assert capfd.readouterr().out == f"{_COUNT}\n"
    say("fetch", "--unshallow")
    say("backup", str(backup))
    assert not (backup / "format").read_text().endswith("version 6\n")
    assert _call("backup", "--restore", str(backup), "whole") == 0
    assert _call("-C", str(tmp_path / "whole"), "fsck") == 0


def test_what_the_remote_has_no_more_is_told(say: Say, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "remote")
    bucket = DirectoryBucket(str(tmp_path / "remote"))
    bucket.make()
    settle_format(bucket)
    other = Machine(bucket)
    other.commit("another beginning", file=b"1\n")
    other.push()
    say("fetch", is_refused=True)
    assert "still ends at 1 commits: no ref of origin has" in say("fetch", "--unshallow")
    assert json.loads(say("fetch", "--unshallow", "--json"))["shallow_count"] == 1
    assert _subjects(say) == ["c5", "c4"]


def test_a_repair_keeps_the_edge(
    say: Say, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _subjects(say) == ["c5", "c4"]
    assert _call("-C", str(tmp_path / "copy"), "fsck", "--repair", str(tmp_path / "new")) == 0
    capfd.readouterr()
    assert (tmp_path / "new" / "format").read_text().endswith("version 6\n")
    os.rename(tmp_path / "copy" / ".helios", tmp_path / "old")
    os.rename(tmp_path / "new", tmp_path / "copy" / ".helios")
    checked = json.loads(say("fsck", "--json"))
    assert (checked["shallow_count"], checked["problems"]) == (1, [])
    say("fetch", "--unshallow")
    assert len(_subjects(say)) == _COUNT


def test_git_gets_all_history_or_none(say: Say, tmp_path: Path) -> None:
    target = tmp_path / "exported"
    assert UNSHALLOW in say("export", "--to-git", str(target), is_refused=True)
    assert UNSHALLOW in say("export", "--to-git", str(target), "--squash", is_refused=True)
    assert not target.exists()
    say("fetch", "--unshallow")
    say("export", "--to-git", str(target))
    git = subprocess.run(
        ["git", "-C", str(target), "rev-list", "--count", "main"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert git.stdout == f"{_COUNT}\n"


def test_a_collection_of_the_remote_reads_the_remote(
    say: Say, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    say("commit", "-q", "--allow-empty", "-m", "own")
    say("push")
    for _ in range(3):
        say("remote", "gc", "--grace", "1h")
    assert _call("clone", "-q", "--no-mount", "--full", url, "all") == 0
    all_of_it = ("-C", str(Path(os.environ["HOME"], "all")))
    assert _call(*all_of_it, "fsck") == 0
    capfd.readouterr()
    assert _call(*all_of_it, "rev-list", "--count", "HEAD") == 0
    assert capfd.readouterr().out == f"{_COUNT + 1}\n"


def test_another_remote_is_refused_before_anything_is_brought(say: Say, tmp_path: Path) -> None:
    say("remote", "add", "other", f"file://{tmp_path}/other")
    assert UNSHALLOW in say("push", "other", is_refused=True)
    checked = json.loads(say("fsck", "--json"))
    assert checked["promised_count"] > 0
    assert not (tmp_path / "other" / "refs").exists()


def test_reports_and_archives_are_of_what_is_here(say: Say, tmp_path: Path) -> None:
    assert "c4" in say("log", "--graph")
    say("archive", "-o", str(tmp_path / "a.tar"), "HEAD")
    say("materialize", "HEAD", str(tmp_path / "files"))
    assert (tmp_path / "files" / "file").read_bytes().count(b"\n") == _COUNT
    lines = say("blame", "file").splitlines()
    assert [line.startswith("^") for line in lines] == [True] * 5 + [False]
    assert " file | 5 +++++\n" in say("show", "--stat", "HEAD~1")
