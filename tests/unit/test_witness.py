"""The witness: what is lost, cut short or of an earlier day is not taken for the present."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from heliosfs.errors import StoreError, StoreFull
from heliosfs.store.directory import Directory
from heliosfs.store.l2.environment import FILE
from heliosfs.store.witness import WITNESS_FILE, Reached, Witness, read_witness
from tests.stores import give, open_local, run, settle


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return Directory(fd)
    finally:
        os.close(fd)


def reached(path: Path) -> Reached:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    found = read_witness(Directory(fd))
    os.close(fd)
    assert found is not None
    return found


def test_the_later_slot_counts_and_the_other_one_when_it_is_torn(
    directory: Directory, tmp_path: Path
) -> None:
    witness = Witness(directory, Reached(b"saltsalt", batch=3))
    for number in range(4, 9):
        witness.note(batch=number)
        assert read_witness(directory) == Reached(b"saltsalt", batch=number)
    witness.note(batch=2, generation=7)
    assert read_witness(directory) == Reached(b"saltsalt", batch=8, generation=7)
    file = tmp_path / WITNESS_FILE
    before = file.read_bytes()
    for slot in (0, 512):
        torn = bytearray(before)
        torn[slot + 20] ^= 1
        file.write_bytes(torn)
        assert read_witness(directory) in (Reached(b"saltsalt", 8, 7), Reached(b"saltsalt", 8))
    file.write_bytes(bytes(1024))
    assert read_witness(directory) is None


def test_a_closed_mark_that_cannot_be_taken_back_lets_nothing_be_written(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lower number asks for less; but a store that is closed has no other bytes than it had."""

    def fail(fd: int, buffers: object, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Witness(directory, Reached(b"saltsalt", batch=3)).close(None)
    monkeypatch.setattr(directory, "write", fail)
    Witness(directory, Reached(b"saltsalt", batch=4)).close(None)
    with pytest.raises(StoreFull, match="cannot write the store's file 'witness'"):
        Witness(directory, Reached(b"saltsalt", batch=4, is_closed=True))


def test_the_witness_says_what_a_sync_has_returned_for(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    give(store, b"one")
    work = store.plan_sync()
    give(store, b"two")
    assert reached(tmp_path).batch == 0
    run(work)
    assert reached(tmp_path).batch == 1
    run(store.plan_drain())
    assert reached(tmp_path).batch == 2
    store.close()
    assert reached(tmp_path).is_closed


def left_by_a_kill(path: Path) -> Path:
    """A store whose journal has batch 2, synced, and batch 3, not synced."""
    store = open_local(path)
    give(store, b"one")
    settle(store)
    give(store, b"two")
    run(store.plan_sync())
    give(store, b"three")
    left = path.with_name("left")
    shutil.copytree(path, left)
    store.close()
    return left


def journal_of(path: Path, content: bytes) -> Path:
    """The file of the journal that has these bytes."""
    (found,) = [file for file in path.glob("journal-*") if content in file.read_bytes()]
    return found


def test_a_journal_that_lost_what_was_synced_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    left = left_by_a_kill(tmp_path / "store")
    journal = journal_of(left, b"two")
    os.truncate(journal, journal.read_bytes().index(b"two"))
    with pytest.raises(StoreError, match=r"ends with batch 1, and batch 2 was on the disk.*repair"):
        open_local(left)
    journal.unlink()
    with pytest.raises(StoreError, match="the journal is cut short, lost or older"):
        open_local(left)


def test_a_journal_may_lose_what_was_not_synced(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    left = left_by_a_kill(tmp_path / "store")
    journal = journal_of(left, b"three")
    os.truncate(journal, journal.read_bytes().index(b"three"))
    store = open_local(left)
    assert store.findings == []
    store.close()


def test_an_older_file_of_l2_is_refused(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    give(store, b"one")
    store.close()
    older = (tmp_path / FILE).read_bytes()
    store = open_local(tmp_path)
    give(store, b"two")
    store.close()
    newer = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(older)
    with pytest.raises(StoreError, match=r"store\.lmdb is older than the rest of the store"):
        open_local(tmp_path)
    (tmp_path / FILE).write_bytes(newer)
    open_local(tmp_path).close()


def test_an_older_file_of_l2_is_refused_also_after_a_power_cut_behind_an_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the journal of before is deleted, only the witness tells that L2 has its batches."""
    synced: list[bytes] = []
    inner = Directory.sync

    def sync(self: Directory, fd: int, *, forgets: bool = False) -> None:
        inner(self, fd, forgets=forgets)
        if os.readlink(f"/proc/self/fd/{fd}").endswith(WITNESS_FILE):
            synced.append((tmp_path / "store" / WITNESS_FILE).read_bytes())

    (tmp_path / "made").mkdir()
    made = open_local(tmp_path / "made")
    give(made, b"one")
    killed = shutil.copytree(tmp_path / "made", tmp_path / "killed")
    made.close()
    shutil.copytree(killed, tmp_path / "store")
    monkeypatch.setattr(Directory, "sync", sync)
    store = open_local(tmp_path / "store")
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "store", cut)
    (cut / WITNESS_FILE).write_bytes(synced[-1])
    store.close()
    open_local(shutil.copytree(cut, tmp_path / "whole")).close()
    shutil.copyfile(killed / FILE, cut / FILE)
    with pytest.raises(StoreError, match=f"{FILE} is older than the rest of the store"):
        open_local(cut)


def test_an_older_witness_asks_for_less(tmp_path: Path) -> None:
    """A power cut may leave one, since it is not synced: L2 says that it has come further."""
    store = open_local(tmp_path)
    store.close()
    older = (tmp_path / WITNESS_FILE).read_bytes()
    store = open_local(tmp_path)
    give(store, b"one")
    store.close()
    (tmp_path / WITNESS_FILE).write_bytes(older)
    store = open_local(tmp_path)
    assert store.findings == []
    assert store.stats().objects == 1
    store.close()


def test_a_witness_of_another_store_is_told_of(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        open_local(tmp_path / name).close()
    shutil.copy(tmp_path / "a" / WITNESS_FILE, tmp_path / "b" / WITNESS_FILE)
    store = open_local(tmp_path / "b")
    assert "the file witness is that of another store" in store.findings
    store.close()
    store = open_local(tmp_path / "b")
    assert store.findings == []
    store.close()


def test_a_missing_witness_is_told_of(tmp_path: Path) -> None:
    open_local(tmp_path).close()
    (tmp_path / WITNESS_FILE).unlink()
    store = open_local(tmp_path)
    assert "the file witness is missing or damaged" in store.findings[0]
    store.close()
