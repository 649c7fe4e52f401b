"""The mount table: what its lines say, and whether a mount is still the one it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs import mounttable

TABLE = rb"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
99 21 0:50 / /home/me/my\040work\134x rw,nosuid shared:5 master:3 - fuse.heliosfs heliosfs rw
100 21 0:51 / /mnt/other rw - tmpfs tmpfs rw
101 99 0:52 / /home/me/my\040work\134x/deep rw - tmpfs tmpfs rw
"""
WORK = "/home/me/my work\\x"
OURS = mounttable.Mount(WORK, "fuse.heliosfs", "heliosfs", 99, "0:50")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounttable, "mounts", lambda: mounttable.parse(TABLE))


def test_a_missing_proc_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = str(tmp_path / "7")
    with pytest.raises(FileNotFoundError, match="No such file") as caught:
        mounttable.mounts(gone)
    assert caught.value.filename == f"{gone}/mountinfo"
    monkeypatch.setattr(mounttable, "SELF", gone)
    with pytest.raises(FileNotFoundError, match="because /proc is not mounted") as caught:
        mounttable.mounts(gone)
    assert caught.value.filename is None


def test_mountinfo_is_read_with_its_escapes_and_optional_fields() -> None:
    first, ours, *_ = mounttable.parse(TABLE)
    assert first == mounttable.Mount("/", "ext4", "/dev/sda1", 21, "8:1")
    assert ours == OURS
    assert ours.is_ours
    assert not first.is_ours


def test_the_real_mount_table_has_a_root() -> None:
    assert mounttable.mount_at("/") is not None


@pytest.mark.usefixtures("table")
def test_the_innermost_mount_over_a_path() -> None:
    assert mounttable.mount_over(WORK + "/src/a") == OURS
    inner = mounttable.mount_over(WORK + "/deep/a")
    assert inner is not None
    assert inner.fstype == "tmpfs"
    outer = mounttable.mount_over("/home/me/my work")
    assert outer is not None
    assert outer.path == "/"


@pytest.mark.usefixtures("table")
def test_our_mounts_below_a_directory() -> None:
    assert [mount.path for mount in mounttable.mounts_below("/home/me")] == [WORK]
    assert mounttable.mounts_below(WORK) == []
    assert [mount.path for mount in mounttable.mounts_below("/")] == [WORK]


@pytest.mark.usefixtures("table")
def test_a_path_that_leads_into_a_workspace_whatever_is_mounted_in_it() -> None:
    assert mounttable.workspace_over(WORK + "/deep/a") == WORK
    assert mounttable.workspace_over(WORK) == WORK
    assert mounttable.workspace_over(WORK + "er") is None


def test_a_mount_is_known_by_what_it_is_and_not_by_how_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = mounttable.mount_at("/proc") or mounttable.mount_at("/")
    assert here is not None
    assert mounttable.mount_id_at(here.path) == here.id
    table = mounttable.mounts()
    another = here._replace(id=here.id + 1_000_000)
    assert mounttable.is_there(here)
    assert not mounttable.is_there(another)
    # A line that is missing while the table changes; one that another mount hides.
    monkeypatch.setattr(mounttable, "mounts", list)
    assert mounttable.is_there(here)
    monkeypatch.setattr(mounttable, "mounts", lambda: [*table, another])
    assert mounttable.is_there(another)


def test_the_id_of_the_mount_that_a_file_lies_in(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        over = mounttable.mount_over(str(tmp_path))
        assert over is not None
        assert mounttable.mount_id(f"/proc/{os.getpid()}/fdinfo/{file.fileno()}") == over.id
    assert mounttable.mount_id("/proc/self/fdinfo/none") is None
    assert mounttable.mount_id_at(str(tmp_path / "none")) is None
