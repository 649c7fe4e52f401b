"""Mount table, views and repositories, from a path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.cli import locate
from heliosfs.errors import NotFound, StoreError

TABLE = rb"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
99 21 0:50 / /home/me/my\040work\134x rw,nosuid shared:5 master:3 - fuse.heliosfs heliosfs rw
100 21 0:51 / /mnt/other rw - tmpfs tmpfs rw
101 99 0:52 / /home/me/my\040work\134x/deep rw - tmpfs tmpfs rw
"""
WORK = "/home/me/my work\\x"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "mounts", lambda: locate.parse_mountinfo(TABLE))


def test_mountinfo_is_read_with_its_escapes_and_optional_fields() -> None:
    first, ours, *_ = locate.parse_mountinfo(TABLE)
    assert first == locate.Mount("/", "ext4", "/dev/sda1")
    assert ours == locate.Mount(WORK, "fuse.heliosfs", "heliosfs")
    assert ours.is_ours
    assert not first.is_ours


def test_the_real_mount_table_has_a_root() -> None:
    assert locate.mount_at("/") is not None


@pytest.mark.usefixtures("table")
def test_the_innermost_mount_over_a_path() -> None:
    assert locate.mount_over(WORK + "/src/a") == locate.Mount(WORK, "fuse.heliosfs", "heliosfs")
    inner = locate.mount_over(WORK + "/deep/a")
    assert inner is not None
    assert inner.fstype == "tmpfs"
    outer = locate.mount_over("/home/me/my work")
    assert outer is not None
    assert outer.path == "/"


@pytest.mark.usefixtures("table")
def test_our_mounts_below_a_directory() -> None:
    assert [mount.path for mount in locate.mounts_below("/home/me")] == [WORK]
    assert locate.mounts_below(WORK) == []
    assert [mount.path for mount in locate.mounts_below("/")] == [WORK]


def make_view(root: Path) -> None:
    (root / ".helios/ctl").mkdir(parents=True)
    (root / ".helios/ctl/command").touch()


def test_the_nearest_view_wins(tmp_path: Path) -> None:
    make_view(tmp_path)
    live = tmp_path / ".helios/live/idea"
    make_view(live)
    (live / "src").mkdir()
    (tmp_path / "src/a").mkdir(parents=True)
    assert locate.find_view(str(tmp_path)) == locate.Place(str(tmp_path), "")
    assert locate.find_view(str(tmp_path / "src/a")) == locate.Place(str(tmp_path), "src/a")
    assert locate.find_view(str(live / "src")) == locate.Place(str(live), "src")


def test_no_view_and_no_repository(tmp_path: Path) -> None:
    assert locate.find_view(str(tmp_path)) is None
    (tmp_path / ".helios").mkdir()
    assert locate.find_repository(str(tmp_path)) is None


def test_a_repository_is_found_by_its_format_file(tmp_path: Path) -> None:
    fd = locate.open_store(str(tmp_path), None, create=True)
    os.close(fd)
    (tmp_path / ".helios/format").touch()
    (tmp_path / "a").mkdir()
    assert locate.find_repository(str(tmp_path / "a")) == locate.Place(str(tmp_path), "a")


def test_a_new_store_is_private(tmp_path: Path) -> None:
    os.close(locate.open_store(str(tmp_path), None, create=True))
    assert (tmp_path / ".helios").stat().st_mode & 0o777 == 0o700


def test_a_store_elsewhere_is_remembered(tmp_path: Path) -> None:
    work, store = tmp_path / "work", tmp_path / "store"
    work.mkdir()
    os.close(locate.open_store(str(work), str(store), create=True))
    assert locate.has_repository(str(work))
    fd = locate.open_store(str(work), None, create=False)
    assert os.path.samestat(os.fstat(fd), store.stat())
    os.close(fd)
    with pytest.raises(StoreError, match="has its store in"):
        locate.open_store(str(work), str(tmp_path / "third"), create=True)
    assert not (tmp_path / "third").exists()


def test_store_option_that_names_the_default_leaves_no_pointer(tmp_path: Path) -> None:
    os.close(locate.open_store(str(tmp_path), str(tmp_path / ".helios"), create=True))
    assert os.listdir(tmp_path / ".helios") == []


def test_a_workspace_with_a_store_cannot_get_another(tmp_path: Path) -> None:
    os.close(locate.open_store(str(tmp_path), None, create=True))
    (tmp_path / ".helios/format").touch()
    with pytest.raises(StoreError, match="is a store already"):
        locate.open_store(str(tmp_path), str(tmp_path / "elsewhere"), create=True)


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no store at"):
        locate.open_store(str(tmp_path), None, create=False)
    (tmp_path / ".helios").touch()
    with pytest.raises(StoreError, match="not a directory"):
        locate.open_store(str(tmp_path), None, create=False)


def test_a_directory_that_answers_is_not_dead(tmp_path: Path) -> None:
    assert not locate.is_dead(str(tmp_path))
    assert not locate.is_dead(str(tmp_path / "missing"))
    assert locate.find_dead_mount(str(tmp_path)) is None
