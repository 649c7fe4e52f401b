"""`helios clone`, and the verbs of remotes in workspaces that are not mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.cli.main import main
from heliosfs.cli.newplace import new_store, prepared
from heliosfs.remote.buckets.shared_directory import DirectoryBucket


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def call(*words: str) -> int:
    """Run the command line in the directory of the test; -C changes that of the process."""
    os.chdir(os.environ["HOME"])
    return main(list(words))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A remote with a branch `main` of two commits, and a branch `idea`."""
    source = tmp_path / "source"
    source.mkdir()
    found = f"file://{tmp_path}/remote"
    (source / "a").write_bytes(b"1\n")
    assert call("-C", str(source), "import", "--from-dir", str(source)) == 0
    assert call("-C", str(source), "commit", "-q", "-m", "first") == 0
    assert call("-C", str(source), "commit", "-q", "--allow-empty", "-m", "second") == 0
    assert call("-C", str(source), "branch", "idea") == 0
    assert call("-C", str(source), "remote", "add", "origin", found) == 0
    assert call("-C", str(source), "push", "--all") == 0
    return found


def _said(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    assert call(*words) == 0
    return capfd.readouterr().out


def test_a_clone_has_everything(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = _said(capfd, "clone", "--no-mount", url, "copy")
    assert said.startswith("2 commits, 4 objects from ")
    assert said.endswith(f"mount it with: helios mount {tmp_path}/copy\n")
    assert os.listdir(tmp_path / "copy") == [".helios"]
    copy = ("-C", str(tmp_path / "copy"))
    assert _said(capfd, *copy, "log", "--format=%s") == "second\nfirst\n"
    assert _said(capfd, *copy, "status", "-sb") == "## main...origin/main\n"
    assert _said(capfd, *copy, "show", "HEAD:a") == "1\n"
    assert _said(capfd, *copy, "branch", "-a").split()[1:] == [
        "main", "remotes/origin/idea", "remotes/origin/main",
    ]  # fmt: skip
    assert call(*copy, "commit", "-q", "--allow-empty", "-m", "third") == 0
    assert " main -> main\n" in _said(capfd, *copy, "push")
    source = ("-C", str(tmp_path / "source"))
    assert "Fast-forward" in _said(capfd, *source, "pull")
    assert _said(capfd, *source, "log", "-1", "--format=%s") == "third\n"


def test_another_branch(url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "copy").mkdir()
    assert _said(capfd, "clone", "--no-mount", "-q", "-b", "idea", url, "copy") == ""
    copy = ("-C", str(tmp_path / "copy"))
    assert _said(capfd, *copy, "branch") == "* idea\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-b", "nowhere", "URL", "copy"], "has no branch"),
        (["URL", "full"], "not empty"),
    ],
)
def test_what_cannot_be_cloned_leaves_nothing(
    words: list[str], why: str, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_bytes(b"")
    capfd.readouterr()
    assert call("clone", "--no-mount", *(url if word == "URL" else word for word in words)) == 1
    assert why in capfd.readouterr().err
    assert not (tmp_path / "copy").exists()
    assert os.listdir(tmp_path / "full") == ["file"]


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("--single-branch", "one branch"),
        ("--bare", "file:///"),
    ],
)
def test_options_of_git_are_refused_with_what_to_do(
    word: str, advice: str, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("clone", "--no-mount", word, url, "copy") == 2
    assert advice in capfd.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_one_branch_comes_as_the_advice_says(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("init", "one") == 0
    assert call("-C", "one", "remote", "add", url) == 0
    assert call("-C", "one", "pull", "origin", "main") == 0
    capfd.readouterr()
    assert call("-C", "one", "branch", "-a") == 0
    assert capfd.readouterr().out == "* main\n  remotes/origin/main\n"


def test_a_damaged_remote_leaves_nothing(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bucket = DirectoryBucket(str(tmp_path / "remote"))
    for each in list(bucket.list("trees/")):
        bucket.swap(each.key, b"x" * each.size, each.version)
    assert call("clone", "--no-mount", url, "copy") == 1
    assert "origin is damaged" in capfd.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_a_place_that_is_no_remote(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert call("clone", "--no-mount", f"file://{tmp_path}/empty", "copy") == 1
    assert "is no remote" in capfd.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_what_a_killed_clone_has_left_goes(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "copy" / ".helios.new"
    left.mkdir(parents=True)
    (left / "store.lmdb").write_bytes(b"half")
    for verb in ("mount", "init"):
        assert call(verb, str(tmp_path / "copy")) == 1
        assert f"begin it again, or remove {left}" in capfd.readouterr().err
    assert _said(capfd, "clone", "--no-mount", "-q", url, "copy") == ""
    assert os.listdir(tmp_path / "copy") == [".helios"]


def test_two_clones_do_not_share_a_directory(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second would clear what the first has written, and the first would call it whole."""
    copy = tmp_path / "copy"
    with prepared(str(copy)), new_store(str(copy)) as fd:
        os.close(os.open("written", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        capfd.readouterr()
        assert call("clone", "--no-mount", url, "copy") == 1
        assert "another process makes a workspace in" in capfd.readouterr().err
        assert os.listdir(fd) == ["written"]
    assert os.listdir(copy) == [".helios"]


def test_a_branch_that_is_damaged_there_is_told(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bucket = DirectoryBucket(str(tmp_path / "remote"))
    bucket.swap("refs/heads/idea", b"{}", bucket.get("refs/heads/idea").version)
    assert call("clone", "--no-mount", "-q", url, "copy") == 1
    assert "helios: origin/idea is damaged there: " in capfd.readouterr().err
    assert _said(capfd, "-C", str(tmp_path / "copy"), "log", "--format=%s") == "second\nfirst\n"
    assert call("clone", "--no-mount", "-b", "idea", url, "other") == 1
    assert "origin/idea is damaged there" in capfd.readouterr().err
    assert not (tmp_path / "other").exists()
