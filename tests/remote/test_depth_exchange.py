"""Shallow machines beside whole ones, in random order: nothing is cut that is not on the edge.

With `--long SECONDS`, seeds go on for that time.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from heliosfs.errors import HeliosError
from heliosfs.remote import packfile, upload, within
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.merging import merge
from heliosfs.remote.push import push
from heliosfs.remote.shallow import Extent
from heliosfs.repo.remotes import HEADS, TAGS
from heliosfs.steps import run_to_end
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine
from tests.remote.shallow import WHOLE, ShallowMachine, check_whole_or_cut, last_commits
from tests.stores import open_local, settle

_SEEDS_COUNT = 30
_BRANCHES_MAX = 6


class _Writer(Machine):
    """A machine with all history, whose branches leave and join each other anywhere."""

    def grow(self, drawn: random.Random, count: int) -> None:
        for _ in range(count):
            names = [branch.name for branch in self.repository.refs if branch.head is not None]
            every = list(self.repository.history.ids())
            what = drawn.randrange(10)
            with suppress(HeliosError):
                if what == 0 and len(names) < _BRANCHES_MAX:
                    name = f"b{drawn.randrange(10**6)}"
                    self.run("checkout", "-q", "-b", name, drawn.choice(every).hex())
                elif what == 1:
                    self.run("checkout", "-q", drawn.choice(names))
                elif what == 2:
                    self.run("merge", "-q", "--ours", drawn.choice(names))
                elif what == 3:
                    self.run("tag", f"t{drawn.randrange(10**6)}", drawn.choice(every).hex())
                else:
                    path = f"d{drawn.randrange(3)}/e{drawn.randrange(2)}/f{drawn.randrange(4)}"
                    self.clock.time_ns += drawn.randrange(-2, 5) * 10**9
                    self.commit("work", **{path: drawn.randbytes(drawn.randrange(3_000))})
        self.run("checkout", "-q", "main")

    def push_some(self, drawn: random.Random) -> None:
        for branch in list(self.repository.refs):
            if branch.name == "main" or drawn.random() < 0.8:
                with suppress(HeliosError):
                    self.push(branch.name, with_lease=True)
        for name, oid in list(self.repository.refs.tags.items()):
            if (TAGS, name) not in self.tracked:
                steps = push(self.repository, self.bucket, "origin", TAGS, name, oid)
                run_to_end(steps, self.store)


def _move(machine: ShallowMachine, writer: _Writer, drawn: random.Random) -> None:
    what = drawn.randrange(7)
    if what == 0:
        machine.collect(dry_run=True)
        machine.collect()
    elif what == 1:
        writer.grow(drawn, drawn.randrange(10))
        writer.push_some(drawn)
    elif what == 2:
        machine.commit("own", own=drawn.randbytes(100))
        with suppress(HeliosError):
            machine.push()
        writer.fetch()
        with suppress(HeliosError):
            writer.run("merge", "-q", "--ours", "origin/main")
    elif what == 3:
        machine.fetch_extent(Extent(drawn.randrange(1, 6)))
    elif what == 4:
        machine.run("commit", "-q", "--amend", "-m", "amended")
    elif what == 5:
        run_to_end(merge(cast("MemoryBucket", machine.bucket)), machine.store)
    else:
        machine.fetch()
        if drawn.random() < 0.5:
            with suppress(HeliosError):
                machine.run("merge", "-q", "--ours", "origin/main")


def run_seed(seed: int, path: Path) -> None:
    drawn = random.Random(seed)
    bucket = MemoryBucket()
    writer = _Writer(bucket)
    writer.commit("first", a=b"1")
    writer.grow(drawn, drawn.randrange(30))
    writer.push_some(drawn)
    depth = drawn.randrange(1, 5)
    path.mkdir()
    store = cast("MemoryStore", open_local(path)) if seed % 2 else None
    machine = ShallowMachine(bucket, depth, store, is_lazy=bool(seed % 3))
    there = [name for kind, name in machine.tracked if kind == HEADS]
    assert machine.listed == last_commits(writer, there, depth)
    check_whole_or_cut(machine.repository)
    for _ in range(drawn.randrange(9)):
        _move(machine, writer, drawn)
        if store is not None and drawn.random() < 0.5:
            settle(store)
        check_whole_or_cut(machine.repository)
    machine.fetch_extent(WHOLE)
    assert not machine.edge
    check_whole_or_cut(machine.repository)
    _compare(machine, writer)
    machine.collect()
    check_whole_or_cut(machine.repository)
    if store is not None:
        store.close()


def _compare(machine: Machine, writer: Machine) -> None:
    """Check that what both have is the same."""
    ours, theirs = machine.repository.history, writer.repository.history
    for seen in machine.tracked.values():
        if seen.commit not in theirs:
            continue
        assert {oid for oid, _ in ours.walk(seen.commit)} == {
            oid for oid, _ in theirs.walk(seen.commit)
        }
        for count in (1, 3, 70):
            below = ours.first_parents.below(seen.commit, count)
            assert below == theirs.first_parents.below(seen.commit, count)


def test_shallow_machines_exchange_with_whole_ones(
    tmp_path: Path, long_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = time.monotonic() + long_seconds
    held, full, small = within.HELD_BYTES_MAX, packfile.PACK_FULL_BYTES, upload.SMALL_BYTES
    seed = 0
    while seed < _SEEDS_COUNT or time.monotonic() < end:
        monkeypatch.setattr(within, "HELD_BYTES_MAX", held if seed % 5 else 100)
        monkeypatch.setattr(packfile, "PACK_FULL_BYTES", full if seed % 4 > 1 else 3_000)
        monkeypatch.setattr(upload, "SMALL_BYTES", small if seed % 4 > 1 else 0)
        run_seed(seed, tmp_path / str(seed))
        seed += 1
