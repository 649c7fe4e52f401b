"""Views and repositories, from a path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.cli import locate
from heliosfs.errors import NotPermitted
from heliosfs.mounttable import FSTYPE, Mount


def make_view(root: Path) -> None:
    (root / ".helios/ctl").mkdir(parents=True)
    (root / ".helios/ctl/command").touch()


def mount_by(user_id: int | None, fstype: str = FSTYPE) -> Mount:
    return Mount("/ws", fstype, "heliosfs", 7, "0:7", user_id=user_id)


def test_the_nearest_view_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "mount_of", lambda fd: mount_by(os.geteuid()))
    make_view(tmp_path)
    live = tmp_path / ".helios/live/idea"
    make_view(live)
    (live / "src").mkdir()
    (tmp_path / "src/a").mkdir(parents=True)
    assert locate.find_view(str(tmp_path)) == locate.Location(str(tmp_path), "")
    assert locate.find_view(str(tmp_path / "src/a")) == locate.Location(str(tmp_path), "src/a")
    assert locate.find_view(str(live / "src")) == locate.Location(str(live), "src")


def test_no_view_and_no_repository(tmp_path: Path) -> None:
    assert locate.find_view(str(tmp_path)) is None
    (tmp_path / ".helios").mkdir()
    assert locate.find_repository(str(tmp_path)) is None


def test_a_repository_is_found_by_its_format_file(tmp_path: Path) -> None:
    (tmp_path / ".helios").mkdir()
    (tmp_path / ".helios/format").touch()
    (tmp_path / "a").mkdir()
    assert locate.find_repository(str(tmp_path / "a")) == locate.Location(str(tmp_path), "a")


def test_a_directory_that_answers_is_not_dead(tmp_path: Path) -> None:
    assert not locate.is_dead(str(tmp_path))
    assert not locate.is_dead(str(tmp_path / "missing"))
    assert locate.find_dead_mount(str(tmp_path)) is None


def test_a_directory_of_that_name_is_no_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the mount table nor, where there is none, by what its control file does."""
    make_view(tmp_path)
    assert locate.find_view(str(tmp_path)) is None
    for mount in (None, mount_by(os.geteuid(), "fuse.other")):
        monkeypatch.setattr(locate, "mount_of", lambda fd, mount=mount: mount)
        assert locate.find_view(str(tmp_path)) is None
    assert (tmp_path / ".helios/ctl/command").stat().st_size == 0
    monkeypatch.setattr(locate, "mount_of", lambda fd: mount_by(os.geteuid()))
    assert locate.find_view(str(tmp_path)) is not None
    (tmp_path / ".helios").rename(tmp_path / "there")
    (tmp_path / ".helios").symlink_to(tmp_path / "there")
    assert locate.find_view(str(tmp_path)) is None


def test_a_view_that_another_user_serves_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_view(tmp_path)
    other = os.geteuid() + 12345
    monkeypatch.setattr(locate, "mount_of", lambda fd: mount_by(other))
    with pytest.raises(NotPermitted, match=f"was mounted by another user .uid {other}"):
        locate.find_view(str(tmp_path))
    monkeypatch.setenv("HELIOS_SAFE_DIRECTORY", f"/x:{tmp_path}")
    assert locate.find_view(str(tmp_path)) is not None
