"""First parents: jumps down a chain, where chains meet, and chains that have no records yet."""

from __future__ import annotations

import random

import pytest

from heliosfs.errors import StoreError
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo import first_parents, keys
from heliosfs.repo.ancestry import merge_bases, reaches
from heliosfs.repo.first_parents import FirstParents, decode_milestone
from heliosfs.repo.history import History
from heliosfs.steps import at_once
from heliosfs.store.memory import MemoryStore

ROOT = Entry(b"", 0o40755, 0, 0, 0, 0, Oid(bytes(32)))


class Ancestry:
    """Commits that consist of parents and a number."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.history = History(self.store)
        self.count = 0

    def commit(self, *parents: CommitId, is_listed: bool = True) -> CommitId:
        self.count += 1
        who = Signature(b"a", b"a@b", self.count, 0)
        commit = Commit(ROOT, parents, who, who, b"%d" % self.count)
        write = self.history.write if is_listed else self.history.add
        return write(commit)

    def line(self, start: CommitId | None, count: int, **options: bool) -> list[CommitId]:
        chain = [] if start is None else [start]
        for _ in range(count):
            chain.append(self.commit(*chain[-1:], **options))
        return chain if start is None else chain[1:]

    def forget_records(self) -> None:
        for key, _ in list(self.store.scan(keys.MILESTONE)):
            self.store.put(key, None)
        self.history = History(self.store)

    def ancestors(self, oid: CommitId) -> set[CommitId]:
        found = {oid}
        pending = [oid]
        while pending:
            for parent in self.history.read(pending.pop()).parents:
                if parent not in found:
                    found.add(parent)
                    pending.append(parent)
        return found

    def bases(self, one: CommitId, other: CommitId) -> set[CommitId]:
        common = self.ancestors(one) & self.ancestors(other)
        return common - {low for oid in common for low in self.ancestors(oid) - {oid}}

    def chain(self, oid: CommitId) -> list[CommitId]:
        chain = [oid]
        while parents := self.history.read(chain[-1]).parents:
            chain.append(parents[0])
        return chain


@pytest.fixture
def short_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a jump of the third kind need 64 commits instead of 262,144."""
    monkeypatch.setattr(first_parents, "STRIDES", (4, 16, 64))
    monkeypatch.setattr(first_parents, "_STRIDE", 4)


@pytest.mark.parametrize("is_indexed_later", [False, True])
def test_every_commit_below_is_found(short_strides: None, is_indexed_later: bool) -> None:
    graph = Ancestry()
    chain = graph.line(None, 300)[::-1]
    if is_indexed_later:
        graph.forget_records()
        at_once(graph.history.first_parents.index([chain[0]], graph.store.publish))
    # No commit but the one at hand is remembered, as in a process that has just begun.
    for start in (0, 1, 43, 44, 236, 299):
        for count in (*range(300 - start), 300 - start, 10**6):
            fresh = FirstParents(graph.store, graph.history.read)
            wanted = chain[start + count] if start + count < 300 else None
            assert fresh.below(chain[start], count) == wanted


def test_a_jump_reads_few_commits_and_records() -> None:
    graph = Ancestry()
    chain = graph.line(None, 10_000)[::-1]
    reads: list[CommitId] = []
    gets: list[bytes] = []

    class Counted:
        def get(self, key: bytes) -> bytes | None:
            gets.append(key)
            return graph.store.get(key)

        def put(self, key: bytes, value: bytes | None) -> None:
            raise AssertionError

    def read(oid: CommitId) -> Commit:
        reads.append(oid)
        return graph.history.read(oid)

    assert FirstParents(Counted(), read).below(chain[30], 9_900) == chain[9_930]
    assert len(reads) <= 127
    assert len(gets) <= 64 + 128 + 9_900 // 4_096


def test_records_are_a_function_of_the_commit() -> None:
    graph = Ancestry()
    chain = graph.line(None, 4_200)
    before = dict(graph.store.scan(keys.MILESTONE))
    assert {key[len(keys.MILESTONE) :] for key in before} == set(chain[64::64])
    record = decode_milestone(before[keys.MILESTONE + chain[4_096]])
    assert record.depth == 4_096
    assert record.jumps == [chain[4_032], chain[0]]
    graph.forget_records()
    at_once(graph.history.first_parents.index([chain[-1]], graph.store.publish))
    assert dict(graph.store.scan(keys.MILESTONE)) == before


def test_a_chain_without_records_is_walked() -> None:
    graph = Ancestry()
    chain = graph.line(None, 500)
    graph.forget_records()
    chain += graph.line(chain[-1], 300)
    assert graph.history.first_parents.below(chain[-1], 700) == chain[99]
    assert graph.history.first_parents.place(chain[-1]) is None
    assert not list(graph.store.scan(keys.MILESTONE))
    assert merge_bases(graph.history, chain[-1], chain[20]) == [chain[20]]


def test_a_damaged_record_is_one_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Ancestry()
    chain = graph.line(None, 300)
    graph.store.put(keys.MILESTONE + chain[192], b"short")
    graph.history = History(graph.store)
    assert graph.history.first_parents.below(chain[299], 290) == chain[9]
    graph.line(chain[-1], 100)

    def fail(key: bytes) -> bytes | None:
        raise StoreError("state is damaged")

    monkeypatch.setattr(graph.store, "get", fail)
    graph.history = History(graph.store)
    assert graph.history.first_parents.below(chain[299], 290) == chain[9]


def test_a_removed_commit_takes_its_record_along() -> None:
    graph = Ancestry()
    chain = graph.line(None, 200)
    graph.history.begin_removal(set(chain[100:]))
    while graph.history.forget(7):
        pass
    assert [key for key, _ in graph.store.scan(keys.MILESTONE)] == [keys.MILESTONE + chain[64]]


def test_a_commit_upon_a_missing_one_is_taken(short_strides: None) -> None:
    graph = Ancestry()
    missing = CommitId(Oid(bytes(31) + b"1"))
    tip = graph.commit(missing)
    assert graph.history.first_parents.place(tip) is None


@pytest.mark.parametrize("seed", range(60))
def test_bases_and_ancestors_are_those_of_a_walk(short_strides: None, seed: int) -> None:
    """Random histories, from lines to tangles; some have records for a part of them only."""
    choice = random.Random(seed)
    graph = Ancestry()
    merging = choice.choice((0, 0, 0.02, 0.2))
    oids = graph.line(None, 3)
    for _ in range(choice.randrange(20, 150)):
        if choice.random() < 0.02:
            oids.append(graph.commit())
        parents = [choice.choice(oids[-choice.choice((1, 1, 1, 40)) :])]
        if choice.random() < merging:
            parents += {choice.choice(oids)} - set(parents)
        oids.append(graph.commit(*parents))
    if choice.random() < 0.3:
        for key, _ in list(graph.store.scan(keys.MILESTONE)):
            if choice.random() < 0.3:
                graph.store.put(key, None)
        graph.history = History(graph.store)
    for _ in range(40):
        one, other = choice.choice(oids), choice.choice(oids)
        assert set(merge_bases(graph.history, one, other)) == graph.bases(one, other)
        third = choice.choice(oids)
        is_reached = any(one in graph.ancestors(tip) for tip in (other, third))
        assert at_once(reaches(graph.history, [other, third], one)) == is_reached
        chain = graph.chain(one)
        count = choice.randrange(len(chain) + 2)
        wanted = chain[count] if count < len(chain) else None
        assert graph.history.first_parents.below(one, count) == wanted
