"""A survey of L2: what is reached by numbers is what is reached object by object."""

from __future__ import annotations

import random
import signal
import stat
import struct
import subprocess
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.commit import Commit, Signature, encode_commit
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.objects.references import Reference
from heliosfs.objects.tree import NO_OID, Entry, encode_entry, join_leaf
from heliosfs.repo.gc.closure import Closure
from heliosfs.store.base import Collection
from heliosfs.store.gc import listing, marking, survey, surveyors
from heliosfs.store.gc.recollection import decode_recollection
from heliosfs.store.l2 import database, encoder, reader, record
from heliosfs.store.l2.environment import FILE
from heliosfs.store.local import LocalStore
from tests.stores import give, open_local, settle

WHO = Signature(b"Ada", b"ada@example.org", 0, 0)


def entry(name: bytes, mode: int, oid: Oid = NO_OID, target: bytes = b"", size: int = 9) -> bytes:
    return encode_entry(Entry(name, mode, 0, 0, 0, size, oid, target=target))


class History:
    """Commits of a tree with directories, files and links, of which each changes a little."""

    def __init__(self, store: LocalStore, seed: int, *, orphans: float = 0.3) -> None:
        self.store = store
        self.orphans = orphans
        self.dice = random.Random(seed)
        self.commits: list[Oid] = []
        self._directories: list[dict[bytes, bytes]] = [{} for _ in range(4)]
        self._trees: list[Oid | None] = [None] * 4
        self._root: Oid | None = None

    def commit(self) -> None:
        dice = self.dice
        for at in dice.sample(range(4), dice.randrange(1, 3)):
            for _ in range(dice.randrange(1, 4)):
                self._change(self._directories[at])
            self._trees[at] = self._tree(self._directories[at], self._trees[at])
        root = {b"%d" % at: self._below(at) for at in range(4)}
        self._root = self._tree(root, self._root)
        parents = tuple(CommitId(each) for each in self.commits[-1:])
        base = parents[0] if parents else None
        if dice.random() < self.orphans:
            # Then it does not reach the commit to which its trees are deltas.
            parents = ()
        if len(self.commits) > 4 and dice.random() < 0.2:
            parents += (CommitId(dice.choice(self.commits[:-1])),)
        whole = Entry(b"", stat.S_IFDIR | 0o755, 0, 0, 0, 4, self._root)
        data = encode_commit(Commit(whole, parents, WHO, WHO, b"%d" % len(self.commits)))
        self.commits.append(self._add(Kind.COMMIT, data, base))
        self.store.publish()
        if dice.random() < 0.5:
            settle(self.store)

    def _below(self, at: int) -> bytes:
        oid = self._trees[at]
        if oid is None:
            return entry(b"%d" % at, stat.S_IFREG | 0o644, size=0)
        return entry(b"%d" % at, stat.S_IFDIR | 0o755, oid)

    def _change(self, entries: dict[bytes, bytes]) -> None:
        dice = self.dice
        name = b"%02d" % dice.randrange(30)
        if dice.random() < 0.2:
            entries.pop(name, None)
        elif dice.random() < 0.2:
            target = b"target %d" % dice.randrange(40)
            if dice.random() < 0.5:
                self._add(Kind.BLOB, target)
            entries[name] = entry(name, stat.S_IFLNK | 0o777, target=target, size=0)
        else:
            oid = self._add(Kind.BLOB, b"content %d" % dice.randrange(60) * 9)
            entries[name] = entry(name, stat.S_IFREG | 0o644, oid)

    def _tree(self, entries: dict[bytes, bytes], before: Oid | None) -> Oid:
        data = join_leaf(entries[name] for name in sorted(entries))
        return self._add(Kind.TREE, data, before)

    def _add(self, kind: Kind, data: bytes, base: Oid | None = None) -> Oid:
        oid = object_id(kind, data)
        self.store.add(oid, kind, data, base)
        return oid


def reached(
    store: LocalStore,
    roots: list[Oid],
    *,
    surveys: bool,
    reads_blobs: bool,
    shallow: Container[Oid] = (),
) -> bytes:
    """Return a byte for each number, as the next collection would get them."""
    collection = store.collect(shallow)

    def enter(kind: Kind, oid: Oid) -> list[Reference] | None:
        return collection.enter(kind, oid, reads_blob=reads_blobs)

    with collection.snapshot():
        while surveys and collection.survey(reads_blobs=reads_blobs):
            pass
        closure = Closure(enter, collection.follow if surveys else lambda limit: None)
        closure.add((Kind.COMMIT, oid) for oid in roots)
        while closure.advance(7):
            pass
    data = collection.remember()
    collection.close()
    assert data is not None
    found = decode_recollection(data, data[:8], 1 << 40)
    assert found is not None
    assert closure.count <= sum(found.reached)
    return found.reached


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = open_local(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("reads_blobs", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_the_same_is_reached(
    store: LocalStore, seed: int, reads_blobs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 3 == 0:
        # What was met or held is forgotten soon.
        monkeypatch.setattr(survey, "_MET_COUNT", 5)
        monkeypatch.setattr(survey, "_BASE_COUNT", 3)
    if seed % 3 == 1:
        monkeypatch.setattr(database, "RECENT_MAX", 20)
        monkeypatch.setattr(listing, "_LISTED", 7)
    if seed % 4 == 1:
        monkeypatch.setattr(survey, "_READ", 20)
    history = History(store, seed)
    for _ in range(80):
        history.commit()
    settle(store)
    dice = history.dice
    for roots in (
        history.commits,
        history.commits[-1:],
        history.commits[:3],
        # Not the oldest first: bases are reached after what needs them.
        dice.sample(history.commits, 5),
        history.commits[20:40],
    ):
        one_by_one = reached(store, roots, surveys=False, reads_blobs=reads_blobs)
        assert sum(one_by_one) > 5
        assert reached(store, roots, surveys=True, reads_blobs=reads_blobs) == one_by_one


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_commits_on_the_edge_do_not_lead_to_their_parents(
    store: LocalStore, seed: int, is_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(store, seed, orphans=0.0)
    for _ in range(80):
        history.commit()
    settle(store)
    if is_shared:
        share(monkeypatch)
    tips = history.commits[-1:]
    whole = reached(store, tips, surveys=True, reads_blobs=False)
    for count in (1, 5, 20):
        shallow = set(history.dice.sample(history.commits, count))
        one_by_one = reached(store, tips, surveys=False, reads_blobs=False, shallow=shallow)
        found = reached(store, tips, surveys=True, reads_blobs=False, shallow=shallow)
        assert found == one_by_one
        assert sum(found) <= sum(whole)
    # The last one has its own tree alone.
    assert sum(reached(store, tips, surveys=True, reads_blobs=False, shallow=set(tips))) < 200
    assert sum(whole) > 300


def share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marking, "SHARED_FROM", 1)
    for module in (marking, surveyors):
        monkeypatch.setattr(module, "program_count", lambda: 3)


@pytest.mark.parametrize("reads_blobs", [False, True])
def test_programs_survey_the_same(
    store: LocalStore, reads_blobs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(store, 5)
    for _ in range(120):
        history.commit()
    settle(store)
    every = (history.commits, history.commits[-1:], history.dice.sample(history.commits, 9))
    one_by_one = [reached(store, each, surveys=False, reads_blobs=reads_blobs) for each in every]
    alone = surveyed(store, reads_blobs=reads_blobs)
    known = {oid: alone.links_of(oid) for oid in history.commits}
    share(monkeypatch)
    joined = surveyed(store, reads_blobs=reads_blobs, closing=alone)
    for oid in history.commits:
        assert known[oid] is not None and joined.links_of(oid) == known[oid]
    joined.close()
    for roots, expected in zip(every, one_by_one, strict=True):
        assert reached(store, roots, surveys=True, reads_blobs=reads_blobs) == expected


@pytest.mark.parametrize(
    "program", [["false"], ["head", "-c100"], ["sh", "-c", "kill -9 $$"], ["no such program"]]
)
def test_what_programs_did_not_survey_is_looked_up(
    store: LocalStore, program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(store, 6)
    for _ in range(40):
        history.commit()
    settle(store)
    one_by_one = reached(store, history.commits[-9:], surveys=False, reads_blobs=True)
    share(monkeypatch)
    monkeypatch.setattr(surveyors, "command", lambda *words: program)
    assert reached(store, history.commits[-9:], surveys=True, reads_blobs=True) == one_by_one


def test_programs_end_with_the_collection(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(store, 7)
    for _ in range(9):
        history.commit()
    settle(store)
    share(monkeypatch)
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def starting(*words: object, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(["sleep", "600"], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", starting)
    collection = store.collect()
    with collection.snapshot():
        for _ in range(5):
            assert collection.survey()
    collection.close()
    assert len(started) == 3
    for each in started:
        assert each.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("reads_blobs", [False, True])
@pytest.mark.parametrize(("short_bytes", "commits"), [(1, 8), (1, 30), (2, 80)])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_is_reached_when_short_ids_collide(
    tmp_path: Path,
    seed: int,
    short_bytes: int,
    commits: int,
    reads_blobs: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "RECENT_MAX", 30)
    monkeypatch.setattr(listing, "_LISTED", 5)
    monkeypatch.setattr(listing, "_ENTRY", struct.Struct(f">{short_bytes}sBI"))
    for module in (record, reader, encoder, database, listing, survey):
        monkeypatch.setattr(module, "SHORT_BYTES", short_bytes)
    store = open_local(tmp_path)
    history = History(store, seed)
    for _ in range(commits):
        history.commit()
    settle(store)
    for roots in (history.commits, history.commits[-1:], history.commits[::3]):
        one_by_one = reached(store, roots, surveys=False, reads_blobs=reads_blobs)
        assert reached(store, roots, surveys=True, reads_blobs=reads_blobs) == one_by_one
    store.close()


def surveyed(
    store: LocalStore, *, reads_blobs: bool, closing: Collection | None = None
) -> Collection:
    if closing is not None:
        closing.close()
    collection = store.collect()
    with collection.snapshot():
        while collection.survey(reads_blobs=reads_blobs):
            pass
    return collection


def test_a_surveyed_commit_is_entered_by_its_number(store: LocalStore) -> None:
    history = History(store, 3, orphans=0)
    for _ in range(9):
        history.commit()
    settle(store)
    collection = surveyed(store, reads_blobs=False)
    with collection.snapshot():
        assert collection.follow(100) is None
        assert collection.enter(Kind.COMMIT, history.commits[-1]) == []
        assert collection.enter(Kind.COMMIT, history.commits[-1]) is None
        found = collection.follow(1_000)
        assert found is not None and found[0] > 8
        assert collection.enter(Kind.COMMIT, history.commits[0]) is None
        links = collection.links_of(history.commits[-1])
        assert links is not None and links.parents[0] == history.commits[-2]
        # Once: a collection keeps it in memory itself.
        assert collection.links_of(history.commits[-1]) is None
    collection.close()


def single(store: LocalStore) -> tuple[Oid, Oid]:
    """Return a commit and its only file."""
    (oid,) = give(store, b"the only file" * 9)
    tree = join_leaf([entry(b"file", stat.S_IFREG | 0o644, oid)])
    tree_id = object_id(Kind.TREE, tree)
    store.add(tree_id, Kind.TREE, tree)
    whole = Entry(b"", stat.S_IFDIR | 0o755, 0, 0, 0, 0, tree_id)
    data = encode_commit(Commit(whole, (), WHO, WHO, b"one"))
    commit = object_id(Kind.COMMIT, data)
    store.add(commit, Kind.COMMIT, data)
    store.publish()
    settle(store)
    return commit, oid


def test_what_collides_with_a_link_is_not_taken_for_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (record, reader, encoder, database, listing, survey):
        monkeypatch.setattr(module, "SHORT_BYTES", 1)
    monkeypatch.setattr(listing, "_ENTRY", struct.Struct(">1sBI"))
    store = open_local(tmp_path)
    (file,) = give(store, b"the file" * 9)
    below = join_leaf([entry(b"file", stat.S_IFREG | 0o644, file)])
    tree = object_id(Kind.TREE, below)
    store.add(tree, Kind.TREE, below)
    targets = (b"%d" % number for number in range(10_000))
    target = next(each for each in targets if object_id(Kind.BLOB, each)[0] == tree[0])
    link = join_leaf([entry(b"link", stat.S_IFLNK | 0o777, target=target, size=0)])
    link_tree = object_id(Kind.TREE, link)
    store.add(link_tree, Kind.TREE, link)
    store.publish()
    settle(store)
    collection = store.collect()
    with collection.snapshot():
        assert collection.enter(Kind.TREE, link_tree) == []
        # Nor for a file that is missing.
        with pytest.raises(MissingObject):
            collection.enter(Kind.BLOB, object_id(Kind.BLOB, target))
        assert collection.enter(Kind.TREE, tree) == [(Kind.BLOB, file)]
    collection.close()
    store.close()


def walk(store: LocalStore, commit: Oid) -> None:
    collection = surveyed(store, reads_blobs=True)

    def enter(kind: Kind, oid: Oid) -> list[Reference] | None:
        return collection.enter(kind, oid, reads_blob=True)

    try:
        closure = Closure(enter, collection.follow)
        closure.add([(Kind.COMMIT, commit)])
        with collection.snapshot():
            while closure.advance(100):
                pass
    finally:
        collection.close()


def test_what_no_index_has_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that a sweep left behind when it was cut short is no object."""
    monkeypatch.setattr(database, "RECENT_MAX", 0)
    store = open_local(tmp_path)
    commit, file = single(store)
    walk(store, commit)
    store.close()
    with lmdb.open(str(tmp_path / FILE), subdir=False, max_dbs=3, lib_version=0) as env:
        ids = env.open_db(b"ids", dupsort=True, dupfixed=True)
        with env.begin(write=True) as txn:
            cursor = txn.cursor(ids)
            assert cursor.set_range_dup(b"\0", file[:7]) and cursor.value()[:7] == file[:7]
            cursor.delete()
    store = open_local(tmp_path)
    with pytest.raises(MissingObject, match=file.hex()):
        walk(store, commit)
    store.close()


def test_what_is_damaged_is_told_by_its_id(tmp_path: Path) -> None:
    store = open_local(tmp_path)
    commit, file = single(store)
    store.close()
    with lmdb.open(str(tmp_path / FILE), subdir=False, max_dbs=3, lib_version=0) as env:
        objects = env.open_db(b"objects")
        with env.begin(write=True) as txn:
            for key, value in list(txn.cursor(objects)):
                txn.put(key, value.replace(b"only", b"ONLY"), db=objects)
    store = open_local(tmp_path)
    with pytest.raises(CorruptObject, match=file.hex()):
        walk(store, commit)
    store.close()
