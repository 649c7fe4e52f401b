"""Verbs that need all contents, in a workspace whose contents are at a remote."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from heliosfs.cli.main import main
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.buckets.shared_directory import DirectoryBucket
from heliosfs.remote.layout import settle_format
from heliosfs.repo.rescue import Rescue
from tests.remote.machines import Machine

_DATA = {
    f"d{at}/f{number}": random.Random(10 * at + number).randbytes(3_000)
    for at in range(3)
    for number in (1, 2)
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("heliosfs.remote.upload.SMALL_BYTES", 0)


def call(*words: str) -> int:
    os.chdir(os.environ["HOME"])
    return main(list(words))


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that succeeds, and return what it prints."""

    def say(*words: str) -> str:
        capfd.readouterr()
        assert call(*words) == 0, capfd.readouterr().err
        return capfd.readouterr().out

    return say


@pytest.fixture
def pusher(tmp_path: Path) -> Machine:
    """A machine that has pushed two commits; the first has other contents."""
    bucket = DirectoryBucket(str(tmp_path / "remote"))
    bucket.make()
    settle_format(bucket)
    machine = Machine(bucket)
    machine.commit("first", **{name: data[::-1] for name, data in _DATA.items()})
    machine.commit("second", **_DATA)
    machine.push()
    return machine


@pytest.fixture
def copy(pusher: Machine, tmp_path: Path) -> Path:
    """A lazy clone of what was pushed."""
    assert pusher.head
    assert call("clone", "-q", "--no-mount", f"file://{tmp_path}/remote", "copy") == 0
    return tmp_path / "copy"


def _promised(copy: Path, said: Callable[..., str]) -> int:
    """Return the number of contents that a check counts as being at the remote."""
    found = json.loads(said("-C", str(copy), "fsck", "--json"))
    assert found["problems"] == []
    count: int = found["promised_count"]
    return count


def test_a_clone_takes_few_requests(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bucket = MemoryBucket()
    pusher = Machine(bucket)
    for number in range(30):
        pusher.commit("work", **{f"d{at}/f{number}": os.urandom(3_000) for at in range(20)})
    pusher.push()
    settle_format(bucket)
    monkeypatch.setattr("heliosfs.remote.buckets.opening.open_bucket", lambda url: bucket)
    bucket.requests.clear()
    bucket.received_bytes = 0
    assert call("clone", "--no-mount", "memory:", "copy") == 0
    assert bucket.requests.total() <= 6
    # Ids, sizes and places, and not one content.
    assert bucket.received_bytes < 30 * 20 * 3_000 / 10
    assert "600 contents stay there until they are read" in capfd.readouterr().out
    before = bucket.requests.total()
    for words in (["status"], ["log"], ["ls-files"], ["fsck"], ["branch"]):
        assert call("-C", "copy", *words) == 0
    assert bucket.requests.total() == before


def test_a_full_clone_has_all_of_it(copy: Path, said: Callable[..., str], tmp_path: Path) -> None:
    assert _promised(copy, said) == 12
    said("clone", "--full", "--no-mount", f"file://{tmp_path}/remote", "full")
    assert _promised(tmp_path / "full", said) == 0
    shutil.rmtree(tmp_path / "remote")
    assert said("-C", "full", "show", "HEAD:d0/f1") != ""


def test_materialize_and_archive_bring_their_tree(
    copy: Path, said: Callable[..., str], tmp_path: Path
) -> None:
    said("-C", str(copy), "materialize", "HEAD", str(tmp_path / "out"))
    assert {
        str(each.relative_to(tmp_path / "out")): each.read_bytes()
        for each in (tmp_path / "out").rglob("f*")
    } == _DATA
    assert _promised(copy, said) == 6
    said("-C", str(copy), "archive", "-o", str(tmp_path / "old.tar"), "HEAD~1")
    with tarfile.open(tmp_path / "old.tar") as archive:
        file = archive.extractfile("d1/f1")
        assert file is not None and file.read() == _DATA["d1/f1"][::-1]
    assert _promised(copy, said) == 0


def test_an_export_has_all_contents(copy: Path, said: Callable[..., str], tmp_path: Path) -> None:
    said("-C", str(copy), "export", "--to-git", str(tmp_path / "git"))
    git = ["git", "-C", str(tmp_path / "git")]
    shown = subprocess.run([*git, "show", "main~1:d2/f2"], capture_output=True, check=True).stdout
    assert shown == _DATA["d2/f2"][::-1]
    subprocess.run([*git, "fsck", "--strict"], check=True, capture_output=True)


def test_a_backup_needs_no_remote(
    copy: Path, said: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (copy / ".helios" / "id").write_text("ab" * 16 + "\n")
    os.rename(tmp_path / "remote", tmp_path / "away")
    here = ("-C", str(copy))
    assert call(*here, "backup", str(tmp_path / "saved")) == 2
    told = capfd.readouterr().err
    assert "nothing was backed up, since contents are still at a remote" in told
    assert not (tmp_path / "saved").exists()
    assert call(*here, "backup", "--keep-going", str(tmp_path / "partly")) == 1
    assert "contents that are still at a remote" in capfd.readouterr().out
    os.rename(tmp_path / "away", tmp_path / "remote")
    said(*here, "backup", str(tmp_path / "saved"))
    shutil.rmtree(tmp_path / "remote")
    said("backup", "--verify", str(tmp_path / "saved"))
    said("backup", "--restore", str(tmp_path / "saved"), str(tmp_path / "restored"))
    assert _promised(tmp_path / "restored", said) == 0


def test_a_backup_without_all_contents_says_where_they_are(
    copy: Path, said: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (copy / ".helios" / "id").write_text("ab" * 16 + "\n")
    os.rename(tmp_path / "remote", tmp_path / "away")
    saved, restored = tmp_path / "saved", tmp_path / "restored"
    assert call("-C", str(copy), "backup", "--keep-going", str(saved)) == 1
    assert (
        "'helios fetch --contents --all' brings them into a restored one" in capfd.readouterr().out
    )
    hint = "contents that were at origin are not in the backup"
    assert hint in said("backup", "--restore", str(saved), str(restored))
    document = json.loads(said("backup", "--restore", "--json", str(saved), f"{restored}-2"))
    assert (document["left"], document["damaged"]) == (["origin"], [])
    for words in (["-C", str(restored), "fsck"], ["backup", "--verify", str(saved)]):
        assert call(*words) != 0
        told = capfd.readouterr().err
        assert "contents that were at origin were left out" in told
        assert "is not in the store" in told
    # Nobody takes it for whole before the remote was asked.
    for words in (["fetch", "--contents", "--all"], ["backup", f"{tmp_path}/more"]):
        assert call("-C", str(restored), *words) != 0
        assert "is not there: is its disk mounted?" in capfd.readouterr().err
    os.rename(tmp_path / "away", tmp_path / "remote")
    assert "12 contents, " in said("-C", str(restored), "fetch", "--contents", "--all")
    assert "all sound\n" in said("-C", str(restored), "fsck")
    said("-C", f"{restored}-2", "materialize", "HEAD", str(tmp_path / "out"))
    assert (tmp_path / "out/d1/f1").read_bytes() == _DATA["d1/f1"]
    # The next backup has all of it, and says so.
    said("-C", str(copy), "backup", str(saved))
    assert hint not in said("backup", "--restore", str(saved), f"{restored}-3")
    assert "all sound\n" in said("-C", f"{restored}-3", "fsck")


def test_a_push_elsewhere_brings_what_it_sends(
    copy: Path, said: Callable[..., str], tmp_path: Path
) -> None:
    here = ("-C", str(copy))
    said(*here, "remote", "add", "other", f"file://{tmp_path}/other")
    said(*here, "push", "other")
    assert _promised(copy, said) == 0
    shutil.rmtree(tmp_path / "remote")
    said("clone", "--full", "--no-mount", f"file://{tmp_path}/other", "again")
    assert _promised(tmp_path / "again", said) == 0


def test_a_remote_that_is_needed_cannot_go(
    copy: Path, said: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    here = ("-C", str(copy))
    assert call(*here, "remote", "remove", "origin") == 1
    assert "--contents --all" in capfd.readouterr().err
    assert "12 contents, " in said(*here, "fetch", "--contents", "--all")
    said(*here, "remote", "remove", "origin")
    assert (copy / ".helios" / "format").read_text().endswith("version 3\n")


def test_a_later_fetch_tells_what_stays_there(
    pusher: Machine, copy: Path, said: Callable[..., str]
) -> None:
    pusher.commit("third", new=os.urandom(5_000))
    pusher.push()
    told = said("-C", str(copy), "pull")
    assert "1 contents stay there until they are read" in told
    assert "Fast-forward\n 1 file changed\n" in told
    assert _promised(copy, said) == 13


def test_a_rescued_store_still_knows_where_contents_are(
    copy: Path, said: Callable[..., str], tmp_path: Path
) -> None:
    said("-C", str(copy), "fsck", "--repair", str(tmp_path / "new"))
    shutil.rmtree(copy / ".helios")
    os.rename(tmp_path / "new", copy / ".helios")
    assert _promised(copy, said) == 12
    assert "12 contents, " in said("-C", str(copy), "fetch", "--contents", "--all")


def test_damaged_promises_are_told(
    copy: Path, said: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = copy / ".helios" / "promises-1"
    file.write_bytes(file.read_bytes()[:-1])
    assert call("-C", str(copy), "fsck") == 1
    assert "promises-1" in capfd.readouterr().err
    # What is lost is not missed: the next fetch of everything finds it again.
    os.mkdir(tmp_path / "new")
    fds = [os.open(path, os.O_RDONLY) for path in (copy / ".helios", tmp_path / "new")]
    rescue = Rescue(*fds)
    rescue.run()
    rescue.damaged.close()
    for fd in fds:
        os.close(fd)
    assert any("promises-1" in text for text in rescue.lost)


@pytest.mark.parametrize(
    ("word", "advice"), [("--filter=blob:none", "--full"), ("--single-branch", "--depth N")]
)
def test_words_of_git_have_answers(
    word: str, advice: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("clone", word, "file:///nowhere", "copy") == 2
    assert advice in capfd.readouterr().err


def test_a_check_of_an_import_reads_contents(
    copy: Path, said: Callable[..., str], tmp_path: Path
) -> None:
    said("-C", str(copy), "export", "--to-git", str(tmp_path / "git"))
    said("clone", "--no-mount", f"file://{tmp_path}/remote", "again")
    here = ("-C", str(tmp_path / "again"))
    said(*here, "import", "--from-git", str(tmp_path / "git"), "--as", "copy")
    assert _promised(tmp_path / "again", said) <= 12
    said(*here, "import", "--verify", str(tmp_path / "git"))
