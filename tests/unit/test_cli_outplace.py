"""Directories that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.cli.outplace import written_whole
from heliosfs.errors import AlreadyExists


class Died(BaseException):
    """An end in the middle, such as an interrupt."""


def _fill(root: bytes) -> None:
    os.makedirs(os.path.join(root, b"a/b"))
    for name in (b"top", b"a/file", b"a/b/file"):
        Path(os.fsdecode(os.path.join(root, name))).write_bytes(b"1")
    os.symlink("nowhere", os.path.join(root, b"link"))
    # As a commit may have them.
    os.chmod(os.path.join(root, b"a/b"), 0o500)
    os.chmod(os.path.join(root, b"a"), 0o555)


def _tidied(path: Path) -> None:
    """Let the files of a test be removed."""
    for above, names, _ in os.walk(path):
        for name in names:
            os.chmod(os.path.join(above, name), 0o700)


@pytest.mark.parametrize("name", ["out", "out/", "new/below/out", "made"])
def test_what_is_written_has_its_name_in_the_end(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made").mkdir()
    with written_whole(name) as root:
        _fill(root)
        if name != "made":
            assert not os.path.exists(name)
    assert (tmp_path / name / "a/b/file").read_bytes() == b"1"
    assert len([each for each in os.listdir(tmp_path) if each != "made"]) <= 1
    assert not [each for each in os.listdir(tmp_path) if each.startswith(".")]
    _tidied(tmp_path)


@pytest.mark.parametrize("name", ["out", "new/below/out", "made", "."])
def test_an_error_leaves_nothing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir(0o750)
    before = (tmp_path / "made").stat()
    monkeypatch.chdir(tmp_path / "made" if name == "." else tmp_path)
    with pytest.raises(Died), written_whole(name) as root:
        _fill(root)
        os.chmod(root, 0o500)
        raise Died
    assert os.listdir(tmp_path) == ["made"]
    assert os.listdir(tmp_path / "made") == []
    after = (tmp_path / "made").stat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_bytes(b"2")
    (tmp_path / "nowhere").symlink_to("missing")
    names = sorted(os.listdir(tmp_path))
    for name, said in (
        ("file", "is not a directory"),
        ("file/below", "is not a directory"),
        ("full", "is not empty"),
        ("nowhere", "is not a directory"),
    ):
        with pytest.raises(AlreadyExists, match=said), written_whole(str(tmp_path / name)):
            raise AssertionError
    assert sorted(os.listdir(tmp_path)) == names
    assert (tmp_path / "full/file").read_bytes() == b"2"


def test_what_somebody_made_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(AlreadyExists, match="somebody else"), written_whole(f"{tmp_path}/out"):
        (tmp_path / "out").write_bytes(b"1")
    assert os.listdir(tmp_path) == ["out"]


def test_a_link_to_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "link").symlink_to("made")
    with written_whole(str(tmp_path / "link")) as root:
        Path(os.fsdecode(root), "file").write_bytes(b"1")
    assert os.listdir(tmp_path / "made") == ["file"]
