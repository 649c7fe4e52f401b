"""Versions of a file that are read one after another are not decoded from the beginning again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid
from heliosfs.store.l2.bases import DecodedBases
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import Payload
from heliosfs.store.local import LocalStore
from tests.stores import blob, open_local, run

COUNT = 40


def versions() -> list[bytes]:
    """Versions of a text of which each changes one line of the one before."""
    rng = random.Random(7)
    lines = [rng.randbytes(40).hex().encode() for _ in range(100)]
    found = []
    for _ in range(COUNT):
        lines[rng.randrange(100)] = rng.randbytes(40).hex().encode()
        found.append(b"\n".join(lines))
    return found


@pytest.fixture
def filled(tmp_path: Path) -> tuple[LocalStore, list[Oid]]:
    """A store that was opened again, with nothing in memory, and the ids of the versions."""
    store = open_local(tmp_path)
    oids: list[Oid] = []
    for data in versions():
        oid, kind, _ = blob(data)
        store.add(oid, kind, data, oids[-1] if oids else None)
        store.publish()
        run(store.plan_drain())
        oids.append(oid)
    store.close()
    return open_local(tmp_path), oids


def test_each_version_takes_about_one_delta(
    filled: tuple[LocalStore, list[Oid]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, oids = filled
    chains: list[int] = []
    chain = Snapshot.chain

    def counted(self: Snapshot, *words: object) -> list[Payload]:
        found = chain(self, *words)  # type: ignore[arg-type]
        chains.append(len(found))
        return found

    monkeypatch.setattr(Snapshot, "chain", counted)
    for oid, data in zip(oids, versions(), strict=True):
        assert store.read(oid, Kind.BLOB) == data
    with_bases = sum(chains)
    assert with_bases < 1.5 * COUNT
    assert store.memory_bytes >= store._l2.bases.used_bytes > 0
    chains.clear()
    store.tune(0, prefer_zstd=False)
    store._l2.bases.known.clear()
    for oid in oids:
        store.read(oid, Kind.BLOB)
    assert sum(chains) > 4 * with_bases
    store.close()


def test_the_newest_first(filled: tuple[LocalStore, list[Oid]]) -> None:
    store, oids = filled
    for oid, data in reversed(list(zip(oids, versions(), strict=True))):
        assert store.read(oid, Kind.BLOB) == data
    store.close()


def test_a_base_that_is_another_object_by_now_is_not_believed(
    filled: tuple[LocalStore, list[Oid]],
) -> None:
    store, oids = filled
    expected = versions()
    store.read(oids[-2], Kind.BLOB)
    known = store._l2.bases.known
    assert known
    for number, (oid, data) in list(known.items()):
        known[number] = oid, data[::-1]
    assert store.read(oids[-1], Kind.BLOB) == expected[-1]
    for number in list(known):
        known[number] = b"", b""
    assert store.read(oids[-3], Kind.BLOB) == expected[-3]
    store.close()


def test_what_is_kept_is_bounded(filled: tuple[LocalStore, list[Oid]]) -> None:
    store, oids = filled
    store.tune(0, prefer_zstd=False)
    for oid in oids:
        store.read(oid, Kind.BLOB)
    assert store._l2.bases.used_bytes == 0
    store.close()
    bases, size = DecodedBases(100_000), 6_000
    for number in range(1, 200):
        bases.keep(Payload(number, 0, Kind.BLOB, b"", size, None, 0, b""), bytes(size))
        assert bases.used_bytes <= bases.capacity_bytes
        assert bases.used_bytes == sum(len(data) + 300 for _, data in bases.known.values())
    assert list(bases.known) == list(range(185, 200))
    # A version takes the place of its base, and one that is too large leaves none.
    bases.keep(Payload(200, 0, Kind.BLOB, b"", size, 199, 0, b""), bytes(size))
    assert 199 not in bases.known
    bases.keep(Payload(201, 0, Kind.BLOB, b"", size, 200, 0, b""), bytes(50_000))
    assert {200, 201}.isdisjoint(bases.known)
    assert bases.used_bytes == sum(len(data) + 300 for _, data in bases.known.values())


def test_a_damaged_object_is_refused_as_before(filled: tuple[LocalStore, list[Oid]]) -> None:
    store, oids = filled
    store.read(oids[3], Kind.BLOB)
    missing = Oid(bytes(32))
    assert store._l2.load(missing) is None
    snapshot_of = store._l2.guarded_reading
    with snapshot_of() as snapshot:
        (number,) = snapshot.candidates(oids[4])
    # Another id with the same beginning finds the object, and is not answered with it.
    other = Oid(oids[4][:7] + bytes(25))
    with pytest.raises(CorruptObject, match="another id"):
        store.read(other, Kind.BLOB)
    assert number
    store.close()
