"""Push and fetch over a storage that fails at random: nothing is lost, and all can be read."""

from __future__ import annotations

import random
import time

import pytest

from heliosfs.errors import HeliosError
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.refplace import NotFastForward
from tests.remote.faulty import FaultyBucket
from tests.remote.machines import Machine

_SEEDS_COUNT = 12
_MOVES_COUNT = 40
_TRIES_COUNT = 20


def _move(machine: Machine, number: int, drawn: random.Random) -> set[str]:
    """Let a machine do something; return the commits that a push told it are there."""
    what = drawn.randrange(4)
    if machine.view.head is None:
        machine.pull()
    elif what == 0:
        machine.files.write(b"file%d" % number, drawn.randbytes(drawn.randrange(3_000)))
        machine.commit()
    elif what == 1:
        machine.push()
        return machine.commits()
    elif what == 2:
        machine.fetch()
    else:
        machine.pull()
    return set()


def _settle(machine: Machine) -> None:
    for _ in range(_TRIES_COUNT):
        machine.fetch()
        if machine.tracked:
            machine.pull()
        try:
            machine.push()
            return
        except NotFastForward:
            continue
    pytest.fail("it never comes through")


def run_seed(seed: int) -> None:
    drawn = random.Random(seed)
    shared: Bucket = MemoryBucket()
    buckets = [FaultyBucket(shared, 2 * seed + number) for number in range(2)]
    machines = [Machine(bucket) for bucket in buckets]
    promised: set[str] = set()
    first = machines[0]
    first.files.write(b"first", b"1")
    first.commit()
    for number in range(_MOVES_COUNT):
        machine = drawn.choice(machines)
        try:
            promised |= _move(machine, number, drawn)
        except HeliosError:
            continue
    made = set().union(*(each.commits() for each in machines if each.view.head is not None))
    for bucket in buckets:
        bucket.calm()
    for machine in (*machines, first):
        _settle(machine)
    reader = Machine(shared)
    reader.pull()
    reader.check()
    there = reader.commits()
    assert promised <= there
    assert made <= there


def test_nothing_is_lost_in_a_storage_that_fails(long_seconds: float) -> None:
    end = time.monotonic() + long_seconds
    seed = 0
    while seed < _SEEDS_COUNT or time.monotonic() < end:
        run_seed(seed)
        seed += 1
