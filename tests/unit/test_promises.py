"""Promises: rows that outlive the process, lookups among many, and files that are damaged."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from heliosfs.errors import CorruptObject, MissingObject, PromisedObject, StoreFormat, StoreFull
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store import version
from heliosfs.store.directory import Directory
from heliosfs.store.memory import MemoryStore
from heliosfs.store.promisefile import MemoryPromises, Promise
from heliosfs.store.promises import PackRows, Promises
from tests.stores import open_local

_SIZE = 100


def _oid(number: int) -> Oid:
    return object_id(Kind.BLOB, b"%d" % number)


def _pack(name: int, numbers: range | list[int]) -> PackRows:
    """Return a pack whose contents lie one after another in the order of the numbers."""
    rows = [(_oid(each), 0, _SIZE, _SIZE, 16 + at * _SIZE) for at, each in enumerate(numbers)]
    return PackRows(bytes([name]) * 32, 16 + len(rows) * _SIZE, rows)


def _promises(files: MemoryPromises | None = None) -> Promises:
    return Promises(files or MemoryPromises(), lambda has_promises: None)


def _drop(promises: Promises, *needed: int) -> int:
    """Forget all but some promises."""
    marks = promises.marks()
    for number in needed:
        assert marks.mark(_oid(number))
        assert marks.mark(_oid(number)) is False
    assert marks.mark(_oid(10**9)) is None
    assert marks.marked() == set(map(_oid, needed))
    return promises.drop(marks)


def test_every_promise_is_found_and_nothing_else() -> None:
    files = MemoryPromises()
    promises = _promises(files)
    numbers = list(range(3_000))
    random.Random(5).shuffle(numbers)
    for at in range(0, 3_000, 100):
        promises.add("origin", [_pack(at // 100, numbers[at : at + 100])])
        promises.settle("origin")
    for known in (promises, _promises(files)):
        assert len(known) == 3_000
        for place, number in enumerate(numbers):
            pack, at = bytes([place // 100]) * 32, 16 + place % 100 * _SIZE
            wanted = Promise(_oid(number), "origin", pack, 16 + 100 * _SIZE, 0, _SIZE, _SIZE, at)
            assert known.find(wanted.oid) == wanted
            assert wanted.oid in known
        assert known.find(_oid(3_000)) is None
        assert _oid(3_000) not in known
        assert sorted(each.oid for each in known) == sorted(map(_oid, numbers))
    assert len(files.names()) <= 8


def test_neighbours_lie_in_one_range() -> None:
    promises = _promises()
    promises.add("origin", [_pack(1, range(10)), _pack(2, range(10, 20))])
    asked = promises.find(_oid(4))
    assert asked is not None
    few = promises.neighbours(asked, 3 * _SIZE)
    assert [each.oid for each in few] == [_oid(4), _oid(5), _oid(6)]
    # At the end of the pack those before it come, too.
    more = promises.neighbours(asked, 8 * _SIZE)
    assert [each.oid for each in more] == list(map(_oid, range(2, 10)))
    assert promises.neighbours(asked, 10_000) == [
        found for number in range(10) if (found := promises.find(_oid(number)))
    ]
    assert promises.neighbours(asked, 1) == [asked]


def test_the_newest_promise_of_an_object_counts() -> None:
    files = MemoryPromises()
    promises = _promises(files)
    for name in range(1, 30):
        promises.add("origin", [_pack(name, [name, 0])])
        promises.settle("origin")
        found = promises.find(_oid(0))
        assert found is not None and found.pack == bytes([name]) * 32
    _drop(promises, *(each for each in range(30) if each != 5))
    known = _promises(files)
    found = known.find(_oid(0))
    assert found is not None and found.pack == bytes([29]) * 32


def test_what_is_promised_after_the_marks_stays() -> None:
    files = MemoryPromises()
    promises = _promises(files)
    promises.add("origin", [_pack(1, range(10))])
    promises.add("origin", [_pack(2, range(5, 15))])
    marks = promises.marks()
    assert marks.mark(_oid(7))
    promises.add("origin", [_pack(3, [7, 8, 20])])
    assert promises.drop(marks) == 18
    for known in (promises, _promises(files)):
        assert {each.oid for each in known} == {_oid(7), _oid(8), _oid(20)}
        # That of the newest pack, though the others were written later.
        found = known.find(_oid(7))
        assert found is not None and found.pack == bytes([3]) * 32
    # A file that was replaced since the marks were made is left alone.
    stale = promises.marks()
    _drop(promises, 7, 8)
    promises.drop(stale)
    assert {each.oid for each in promises} == {_oid(7), _oid(8)}


def test_large_files_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what fits into memory together becomes one; the newest promise counts all the same."""
    monkeypatch.setattr("heliosfs.store.promises._MERGED_ROWS", 25)
    files = MemoryPromises()
    promises = _promises(files)
    for name in range(1, 41):
        promises.add("origin", [_pack(name, range(5 * name, 5 * name + 10))])
        promises.settle("origin")
    assert len(files.names()) <= 20
    for known in (promises, _promises(files)):
        for number in range(10, 200):
            found = known.find(_oid(number))
            assert found is not None and found.pack == bytes([number // 5]) * 32


def test_what_is_taken_back_is_gone(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    name = store.promises.add("origin", [_pack(1, range(10))])
    other = store.promises.add("origin", [_pack(2, range(10, 20))])
    store.promises.take_back([name])
    assert _oid(1) not in store.promises and _oid(11) in store.promises
    store.promises.add("team", [_pack(3, range(10, 30))])
    store.promises.take_back(remote="team")
    assert _oid(25) not in store.promises and _oid(11) in store.promises
    store.promises.take_back([other])
    assert (tmp_path / "format").read_text() == "heliosfs store\nversion 3\n"
    store.close()


def test_dropping_all_undoes_the_format(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    assert not store.promises and store.promises.remotes == []
    store.promises.add("origin", [_pack(1, range(10))])
    assert (tmp_path / "format").read_text() == "heliosfs store\nversion 4\n"
    store.close()
    store = open_local(tmp_path)
    assert store.promises.remotes == ["origin"]
    assert _drop(store.promises, 3) == 9
    assert (tmp_path / "format").read_text() == "heliosfs store\nversion 4\n"
    assert _drop(store.promises) == 1
    assert (tmp_path / "format").read_text() == "heliosfs store\nversion 3\n"
    assert not [name for name in tmp_path.iterdir() if "promises" in name.name]
    store.close()


def test_an_earlier_version_refuses_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_local(tmp_path)
    store.promises.add("origin", [_pack(1, range(10))])
    store.close()
    monkeypatch.setattr(version, "_NEWEST", version.VERSION)
    with pytest.raises(StoreFormat, match="install a newer heliosfs"):
        open_local(tmp_path)


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_reading_names_the_remote(kind: str, tmp_path: Path) -> None:
    store = MemoryStore() if kind == "memory" else open_local(tmp_path)
    store.promises.add("team", [_pack(1, range(10))])
    with pytest.raises(PromisedObject, match="at the remote 'team'") as caught:
        store.read(_oid(3), Kind.BLOB)
    assert (caught.value.oid, caught.value.remote) == (_oid(3), "team")
    assert not store.contains(_oid(3))
    with pytest.raises(MissingObject) as missing:
        store.read(_oid(10), Kind.BLOB)
    assert not isinstance(missing.value, PromisedObject)
    # One that is here, too, is simply here.
    store.add(_oid(3), Kind.BLOB, b"3")
    store.publish()
    assert store.read(_oid(3), Kind.BLOB) == b"3"
    assert store.contains(_oid(3))
    store.close()


def test_a_file_that_was_cut_off_is_a_finding(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    store.promises.add("origin", [_pack(1, range(10))])
    store.close()
    file = tmp_path / "promises-1"
    data = file.read_bytes()
    for damaged in (b"", data[:-1], b"x" + data[1:], data[:30]):
        file.write_bytes(damaged)
        store = open_local(tmp_path)
        assert any("promises-1" in each for each in store.findings)
        assert store.promises.find(_oid(1)) is None
        # What others promise can still be added and dropped; the damaged file is left alone.
        store.promises.add("origin", [_pack(2, range(20, 30))])
        _drop(store.promises)
        assert file.read_bytes() == damaged
        store.close()
        assert (tmp_path / "format").read_text() == "heliosfs store\nversion 4\n"


def test_no_damage_crashes_a_lookup() -> None:
    """Each byte of a file is altered: look-ups answer or say what is damaged, a check finds it."""
    files = MemoryPromises()
    _promises(files).add("origin", [_pack(1, range(6)), _pack(2, range(6, 8))])
    (name,) = files.names()
    sound = files.open(name)
    for at in range(len(sound)):
        changed = bytearray(sound)
        changed[at] ^= 0xFF
        damaged = MemoryPromises()
        damaged.write(name, [bytes(changed)])
        promises = _promises(damaged)
        assert promises.problems() != []
        for number in range(8):
            try:
                found = promises.find(_oid(number))
                if found is not None:
                    promises.neighbours(found, 300)
            except CorruptObject:
                continue


def test_what_a_crash_left_unfinished_is_removed(tmp_path: Path) -> None:
    open_local(tmp_path).close()
    (tmp_path / "promises-7.new").write_bytes(b"half")
    store = open_local(tmp_path)
    assert not store.promises
    store.promises.add("origin", [_pack(1, range(10))])
    assert not (tmp_path / "promises-7.new").exists()
    store.close()


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_local(tmp_path)
    store.promises.add("origin", [_pack(1, range(10))])

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Directory, "write", full)
        with pytest.raises(StoreFull, match="cannot write promises-2"):
            store.promises.add("origin", [_pack(2, range(10, 20))])
        marks = store.promises.marks()
        marks.mark(_oid(3))
        with pytest.raises(StoreFull):
            store.promises.drop(marks)
    assert len(store.promises) == 10
    assert sorted(each.name for each in tmp_path.glob("promises*")) == ["promises-1"]
    store.promises.add("origin", [_pack(2, range(10, 20))])
    assert len(store.promises) == 20
    store.close()
