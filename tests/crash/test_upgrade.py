"""Stores of formats 1 and 2, kept as files, become ones of format 3: all of it, or they stay."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from lmdb.verify import verify

from heliosfs.errors import StoreError, StoreFull
from heliosfs.store.formats import format1
from heliosfs.store.l2.environment import FILE
from heliosfs.store.local import LocalStore
from heliosfs.store.memory import MemoryStore
from tests.crash.faulty import Died, FaultyDirectory
from tests.tree_builder import Stage

DATA = Path(__file__).parents[1] / "data"


def unpacked(tmp_path: Path, version: int) -> Path:
    """40 versions, branches, undone resets, and a journal that was not drained.

    That of format 2 was made of that of format 1, and has two more tags.
    """
    path = tmp_path / f"old-{version}"
    path.mkdir()
    with tarfile.open(DATA / f"format-{version}.tar.xz") as archive:
        archive.extractall(path, filter="data")
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return unpacked(tmp_path, 1)


@pytest.fixture(scope="session")
def expected() -> Any:
    return json.loads((DATA / "format-1.json").read_text())


def open_stage(path: Path) -> Stage:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # A stage asks a memory store for no more than any store has, unless it crashes.
        return Stage(cast("MemoryStore", LocalStore.open(fd)))
    finally:
        os.close(fd)


def check(path: Path, expected: Any) -> None:
    """Everything that the old store had is there, in a store of format 3."""
    stage = open_stage(path)
    assert isinstance(stage.store, LocalStore)
    assert stage.store.findings == []
    assert (path / "format").read_text() == "heliosfs store\nversion 3\n"
    assert stage.run("log", "--oneline") == expected["log"]
    assert stage.run("log", "--oneline", "idea") == expected["idea"]
    assert stage.run("oplog", "-n", "1000") == expected["oplog"]
    assert stage.run("oplog", branch="idea") == expected["idea_oplog"]
    assert stage.run("status", "--short") == expected["status"]
    assert stage.run("status", "--short", branch="idea") == expected["idea_status"]
    assert stage.run("branch") == expected["branches"]
    listed = {oid.hex() for oid in stage.repository.history.ids()}
    assert set(expected["heads"]) < listed
    assert len(listed) == len(expected["heads"]) + 1
    tree = {
        name.decode(): [mode, sha256(data).hexdigest()]
        for name, (mode, data) in stage.files.tree().items()
        if b"many/" not in name
    }
    assert tree == expected["tree"]
    assert stage.files.read(b"many/file-257") == b"content 257\n"
    some = sorted(listed)[::8]
    for commit in some:
        stage.run("reset", "--hard", commit)
        assert b"changed in version" in stage.files.read(b"src/app.py")
    for _ in some:
        stage.run("undo")
    assert stage.run("status", "--short") == expected["status"]
    stage.run("undo")
    assert not stage.run("log", "--oneline").startswith(expected["log"][:12])
    stage.repository.close()
    assert verify(str(path / FILE)) == []
    assert sorted(os.listdir(path)) == ["format", "lock", FILE, "witness"]


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_store_opens(tmp_path: Path, expected: Any, version: int) -> None:
    check(unpacked(tmp_path, version), expected)


def test_what_format_2_had_besides(tmp_path: Path) -> None:
    stage = open_stage(unpacked(tmp_path, 2))
    assert {"second", "third"} <= set(stage.run("tag").split())
    stage.repository.close()


@pytest.mark.parametrize("version", [1, 2])
def test_death_at_every_step(tmp_path: Path, expected: Any, version: int) -> None:
    old = unpacked(tmp_path, version)
    for step in range(1, 100):
        path = tmp_path / f"{step}"
        shutil.copytree(old, path)
        directory = FaultyDirectory(path, step)
        try:
            LocalStore(directory).close()
        except Died:
            left = tmp_path / f"{step}-left"
            shutil.copytree(path, left)
            check(left, expected)
        else:
            assert step > 8
            return
    pytest.fail("the upgrade did not complete")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_failure_at_every_step(tmp_path: Path, expected: Any, version: int, error: int) -> None:
    old = unpacked(tmp_path, version)
    for step in range(1, 100):
        path = tmp_path / f"{step}"
        shutil.copytree(old, path)
        directory = FaultyDirectory(path, step, error)
        told = None
        try:
            LocalStore(directory).close()
        except StoreError as caught:
            told = caught
        # After a sync that failed it is not known what there is room for.
        wanted = error if directory.failure is None else errno.EIO
        assert told is None or told.errno == wanted
        check(path, expected)
        if directory.count < step:
            assert told is None
            return
    pytest.fail("the upgrade did not complete")


def test_a_full_disk_has_room_for_the_lock_file_before_lmdb_maps_it(
    tmp_path: Path, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write to the mapping would end the process if the disk had no room for it."""
    path = unpacked(tmp_path, 2)

    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(StoreFull, match=r"cannot make store\.lmdb-lock: no space left"):
            LocalStore(FaultyDirectory(path, 1 << 30))
    assert (path / "format").read_text() == "heliosfs store\nversion 2\n"
    check(path, expected)


def test_an_upgrade_that_fails_leaves_no_file_behind(old: Path) -> None:
    directory = FaultyDirectory(old, 3, errno.ENOSPC)
    with pytest.raises(StoreError, match="store"):
        LocalStore(directory)
    assert FILE not in os.listdir(old)


def test_a_damaged_object_of_format_1_stays_behind(
    old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = old / format1.FILE
    content = bytearray(file.read_bytes())
    at = content.index(bytes((at * at * 7919 >> 5) & 255 for at in range(200, 230)))
    content[at] ^= 1
    file.write_bytes(content)
    stage = open_stage(old)
    (message,) = [record.message for record in caplog.records if "damaged" in record.message]
    assert "of objects.lmdb is damaged and stays behind: payload 174 has another id" in message
    with pytest.raises(StoreError, match="is not in the store"):
        stage.files.read(b"noise")
    assert stage.files.read(b"big")
    stage.repository.close()


def test_a_file_of_format_1_that_was_cut_short_is_refused(old: Path) -> None:
    os.truncate(old / format1.FILE, 50_000)
    with pytest.raises(StoreError, match=r"objects\.lmdb is damaged: page"):
        open_stage(old)
