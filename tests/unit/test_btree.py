"""Walking an LMDB file without LMDB: files that LMDB made, whole, short and damaged."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.errors import StoreError
from heliosfs.store.directory import Directory
from heliosfs.store.l2 import btree
from heliosfs.store.l2.btree import WalkResult
from heliosfs.store.l2.environment import FILE, check_file, open_environment, open_tables
from heliosfs.store.l2.pages import Damage

PAGE_BYTES = 4096


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    made = Directory(fd)
    os.close(fd)
    yield made
    made.close()


def make(path: Path, seed: int, transactions: int = 5) -> tuple[int, int]:
    """Have LMDB write a file as L2 does; returns its pages by its length, and by its own word."""
    rng = random.Random(seed)
    with open_environment(str(path), 1 << 26) as env:
        tables = open_tables(env)
        for _ in range(transactions):
            with env.begin(write=True) as txn:
                keys = [number.to_bytes(8, "big") for number in range(rng.randrange(1, 60))]
                for key in keys:
                    size = rng.choice([0, 10, 300, 1500, 5000, 20_000])
                    txn.put(key, bytes(size), db=tables.objects)
                    short = rng.choice([b"a", b"b", key])
                    txn.put(short, rng.randbytes(8), db=tables.ids)
                    txn.put(rng.randbytes(4), rng.randbytes(rng.randrange(200)), db=tables.state)
                for key in rng.sample(keys, rng.randrange(len(keys))):
                    txn.delete(key, db=tables.objects)
        last_page = env.info()["last_pgno"]
    return os.path.getsize(path) // PAGE_BYTES, last_page + 1


def walked(path: Path) -> WalkResult:
    fd = os.open(path, os.O_RDONLY)
    try:
        return btree.walk(fd)
    finally:
        os.close(fd)


def test_what_lmdb_writes_is_sound_also_when_it_is_short(tmp_path: Path) -> None:
    """A page that was given back before the commit is not written, and may be the last one."""
    short_count = 0
    for seed in range(60):
        path = tmp_path / f"{seed}"
        there, counted = make(path, seed)
        found = walked(path)
        assert found.reached + found.free <= counted
        assert found.highest < there
        short_count += there < counted
    assert short_count, "no seed made a file that is shorter than it says"


def test_many_values_of_few_keys_are_sound(tmp_path: Path) -> None:
    """They lie in trees of their own, whose pages LMDB counts at the table as well."""
    for keys in ([b"one"], [b"one", b"two", b"few"], [b"%d" % number for number in range(600)]):
        path = tmp_path / str(len(keys))
        with open_environment(str(path), 1 << 26) as env:
            tables = open_tables(env)
            for begin in range(0, 20_000, 4_000):
                with env.begin(write=True) as txn:
                    for number in range(begin, begin + 4_000):
                        key = keys[number % len(keys)] if number % 1000 else keys[-1]
                        txn.put(key, number.to_bytes(8, "big"), db=tables.ids)
        assert walked(path).reached > 40


def test_a_sound_file_that_is_short_is_opened(tmp_path: Path, directory: Directory) -> None:
    for seed in range(60):
        there, counted = make(tmp_path / FILE, seed)
        if there < counted:
            break
        os.unlink(tmp_path / FILE)
    fd = directory.open(FILE, os.O_RDONLY)
    assert btree.is_short(fd)
    os.close(fd)
    check_file(directory, FILE, is_thorough=False)


def test_a_file_that_lost_what_is_reachable_is_refused(
    tmp_path: Path, directory: Directory
) -> None:
    make(tmp_path / FILE, 1)
    highest = walked(tmp_path / FILE).highest
    os.truncate(tmp_path / FILE, highest * PAGE_BYTES)
    with pytest.raises(StoreError, match=rf"{FILE} is damaged: page {highest} is in use"):
        check_file(directory, FILE, is_thorough=False)
    os.truncate(tmp_path / FILE, 100)
    with pytest.raises(StoreError, match="neither of the two meta pages can be read"):
        check_file(directory, FILE, is_thorough=False)


def test_any_damage_is_told_or_harmless(tmp_path: Path) -> None:
    """A walk over any damaged page ends, with what it found or with Damage."""
    path = tmp_path / "whole"
    make(path, 3, transactions=1)
    whole = path.read_bytes()
    rng = random.Random(5)
    told = 0
    for number in range(400):
        data = bytearray(whole)
        page = rng.randrange(len(data) // PAGE_BYTES)
        how = number % 4
        if how == 0:
            data[page * PAGE_BYTES + rng.randrange(32)] ^= 1 << rng.randrange(8)
        elif how == 1:
            start = page * PAGE_BYTES
            data[start : start + PAGE_BYTES] = bytes(PAGE_BYTES)
        elif how == 2:
            other = rng.randrange(len(data) // PAGE_BYTES) * PAGE_BYTES
            start = page * PAGE_BYTES
            data[start : start + PAGE_BYTES] = data[other : other + PAGE_BYTES]
        else:
            at = page * PAGE_BYTES + rng.randrange(16, PAGE_BYTES - 8)
            struct.pack_into("<Q", data, at, rng.getrandbits(64))
        path.write_bytes(data)
        try:
            walked(path)
        except Damage:
            told += 1
    assert told > 80


def test_nothing_is_made_where_the_format_says_that_it_is(tmp_path: Path) -> None:
    from heliosfs.store.local import LocalStore

    def opened(*, create: bool = False) -> LocalStore:
        fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return LocalStore.open(fd, create=create)
        finally:
            os.close(fd)

    store = opened(create=True)
    store.put(b"key", b"value")
    store.publish()
    store.close()
    (tmp_path / "pack-7").write_bytes(b"bytes of somebody")
    (tmp_path / "journal-3").write_bytes(b"records of somebody")
    whole = (tmp_path / FILE).read_bytes()
    for lost in (None, b"", bytes(PAGE_BYTES * 4)):
        os.unlink(tmp_path / FILE)
        if lost is not None:
            (tmp_path / FILE).write_bytes(lost)
        for create in (False, True):
            with pytest.raises(StoreError, match=FILE):
                opened(create=create)
        assert (tmp_path / "pack-7").exists(), "nothing is deleted that nobody looked into"
        assert (tmp_path / "journal-3").exists()
        (tmp_path / FILE).write_bytes(whole)
    text = (tmp_path / "format").read_bytes()
    os.unlink(tmp_path / "format")
    with pytest.raises(StoreError, match="the file `format` is missing beside"):
        opened(create=True)
    (tmp_path / "format").write_bytes(text)
    os.unlink(tmp_path / "pack-7")
    os.unlink(tmp_path / "journal-3")
    store = opened()
    assert store.get(b"key") == b"value"
    store.close()


def test_every_damage_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    make(path, 7)
    fd = os.open(path, os.O_RDWR)
    leaves = []
    for number in range(2, os.fstat(fd).st_size // PAGE_BYTES):
        page = os.pread(fd, PAGE_BYTES, number * PAGE_BYTES)
        if struct.unpack_from("<H", page, 10)[0] == 0x02:
            leaves.append(number)
    assert btree.problems(fd) == []
    for number in leaves:
        os.pwrite(fd, b"\xff" * 8, number * PAGE_BYTES)
    found = btree.problems(fd)
    os.close(fd)
    assert sum("says that it is page" in text for text in found) >= 2


def test_keys_that_a_search_would_not_find_are_damage(tmp_path: Path) -> None:
    """All pages are there, and each key; but a search goes another way."""
    path = tmp_path / "file"
    with open_environment(str(path), 1 << 26) as env:
        tables = open_tables(env)
        with env.begin(write=True) as txn:
            for number in range(600):
                txn.put(b"key/%04d" % number, bytes(20), db=tables.state)
    whole = path.read_bytes()
    assert walked(path).reached
    for old, new in ((b"key/0100", b"key/0999"), (b"key/0100", b"kez/0100")):
        at = whole.index(old, 2 * PAGE_BYTES)
        path.write_bytes(whole[:at] + new + whole[at + len(new) :])
        with pytest.raises(Damage, match="not in order"):
            walked(path)


def test_a_file_that_says_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    make(path, 2)
    data = bytearray(path.read_bytes())
    for page in (0, 1):
        # The number of the last page, behind head, magic, version, address, size, two trees.
        struct.pack_into("<Q", data, page * PAGE_BYTES + 16 + 24 + 2 * 48, (1 << 40) - 1)
    path.write_bytes(data)
    with pytest.raises(Damage, match="the last page is 1099511627775, far beyond"):
        walked(path)
