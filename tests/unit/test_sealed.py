"""State of L2 behind seals, and their sum."""

from __future__ import annotations

import os
import random
from pathlib import Path

import lmdb
import pytest

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.store.l2.environment import FILE, TOTALS_KEY
from heliosfs.store.l2.sealed import SEAL_BYTES, seal, shown_key, unseal
from heliosfs.store.l2.totals import decode_totals
from heliosfs.store.rescue import DamagedStore
from tests.stores import open_local, settle


def test_a_seal_is_of_its_key_and_value() -> None:
    sealed = seal(b"tag/v1", b"value")
    assert unseal(b"tag/v1", sealed) == b"value"
    assert len(sealed) == len(b"value") + SEAL_BYTES
    for at in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[at] ^= 4
        with pytest.raises(CorruptObject, match="the state under tag/v1 is damaged"):
            unseal(b"tag/v1", bytes(damaged))
    for wrong in (b"", sealed[:3], sealed[:-1], sealed + b"\0", bytes(9)):
        with pytest.raises(CorruptObject):
            unseal(b"tag/v1", wrong)
    with pytest.raises(CorruptObject, match="the state under tag/v2"):
        unseal(b"tag/v2", sealed)


def alter(path: Path, act: object) -> None:
    """Change the state table behind the store's back."""
    env = lmdb.open(str(path / FILE), subdir=False, max_dbs=3, lib_version=0)
    table = env.open_db(b"state")
    with env.begin(write=True) as txn:
        act(txn, table)  # type: ignore[operator]
    env.close()


def fill(path: Path) -> None:
    store = open_local(path)
    numbers = random.Random(3)
    keys = [b"key/%d" % number for number in range(30)]
    series = [b"~log/" + bytes(8) + number.to_bytes(8, "big") for number in range(300)]
    for _ in range(12):
        for key in numbers.sample(keys, 9) + numbers.sample(series, 40):
            store.put(key, numbers.choice((None, b"", numbers.randbytes(20))))
        store.publish()
        settle(store)
    store.put(b"key/7", b"last")
    store.publish()
    store.close()


def problems(path: Path) -> list[str]:
    store = open_local(path)
    try:
        return store.findings
    finally:
        store.close()


def test_the_sum_follows_what_is_put_and_deleted(tmp_path: Path) -> None:
    fill(tmp_path)
    os.unlink(tmp_path / "witness")
    (found,) = problems(tmp_path)
    assert "witness is missing" in found
    assert problems(tmp_path) == []


def test_a_value_that_is_gone_is_told_of(tmp_path: Path) -> None:
    fill(tmp_path)
    alter(tmp_path, lambda txn, table: txn.delete(b"key/7", db=table))
    found = problems(tmp_path)
    assert found[0] == "store.lmdb is not as it was when the store was closed"
    assert "some state is missing, or of an earlier time" in found[1]


def test_an_earlier_value_is_told_of(tmp_path: Path) -> None:
    fill(tmp_path)
    alter(tmp_path, lambda txn, table: txn.put(b"key/7", seal(b"key/7", b"earlier"), db=table))
    assert "of an earlier time" in problems(tmp_path)[1]


def test_a_damaged_value_is_named_and_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    alter(tmp_path, lambda txn, table: txn.put(b"key/7", b"damaged", db=table))
    store = open_local(tmp_path)
    assert "store.lmdb: the state under key/7 is damaged" in store.findings
    with pytest.raises(CorruptObject, match="the state under key/7 is damaged"):
        store.get(b"key/7")
    with pytest.raises(CorruptObject):
        list(store.scan(b"key/"))
    store.close()


def test_damaged_totals_are_refused(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    store.close()
    env = lmdb.open(str(tmp_path / FILE), subdir=False, max_dbs=3, lib_version=0)
    with env.begin(write=True) as txn:
        raw = txn.get(TOTALS_KEY)
        assert raw is not None
        decode_totals(raw)
        txn.put(TOTALS_KEY, raw[:8] + bytes((raw[8] ^ 1,)) + raw[9:])
    env.close()
    with pytest.raises(StoreError, match="its totals cannot be read"):
        open_local(tmp_path)


@pytest.mark.parametrize(
    "key", [b"@list/" + b"12345", b"@list/" + bytes(33), b"~log/" + bytes(9), b"~1"]
)
def test_a_key_of_another_length_is_told_of_and_refused(tmp_path: Path, key: bytes) -> None:
    fill(tmp_path)
    alter(tmp_path, lambda txn, table: txn.put(key, seal(key, b""), db=table))
    wanted = f"the state has a damaged key, {shown_key(key)}"
    store = open_local(tmp_path)
    assert f"store.lmdb: {wanted}" in store.findings
    with pytest.raises(CorruptObject, match=wanted):
        list(store.scan(key[:3]))
    collection = store.collect()
    with collection.snapshot(), pytest.raises(CorruptObject, match=wanted):
        collection.listed(key[:3])
    collection.close()
    store.close()
    fd = os.open(tmp_path, os.O_RDONLY)
    damaged = DamagedStore(fd)
    assert key not in damaged.state()
    assert wanted in damaged.lost
    damaged.close()
    os.close(fd)
