"""A fleet: many forks of a few machines, each pushed to a branch of its own."""

from __future__ import annotations

import random
from typing import NamedTuple

from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.collection import collect
from heliosfs.steps import run_to_end
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine

_HOUR = 3_600.0


class _Source:
    """Files of a project, and edits of them."""

    def __init__(self, seed: int, count: int) -> None:
        self._chance = random.Random(seed)
        words = [self._chance.randbytes(4).hex() for _ in range(2_000)]
        self._words = words
        self.files = {
            b"src/d%d/f%d" % (number % 9, number): self._text(1_200) for number in range(count)
        }

    def _text(self, count: int) -> bytes:
        return " ".join(self._chance.choices(self._words, k=count)).encode()

    def edited(self, name: bytes, data: bytes) -> bytes:
        at = self._chance.randrange(len(data))
        return data[:at] + self._text(5) + data[at:]


class FleetCost(NamedTuple):
    """The cost of a fleet, beside that of one machine which did the same."""

    requests_p95: int
    """Requests of a push, of which 95 % take no more."""
    fleet_bytes: int
    """Bytes in the bucket as it was pushed."""
    alone_bytes: int
    """The same, if one machine did it all, in one push for each fork."""
    fleet_merged_bytes: int
    alone_merged_bytes: int
    clone_requests: int
    """Requests of a clone after the merge."""


def measure(forks: int, commits: int, machines: int, files: int) -> FleetCost:
    """Let forks of some machines commit, each with a push of its own."""
    clock = [1_900_000_000.0]
    shared = MemoryBucket(lambda: clock[0])
    alone = MemoryBucket(lambda: clock[0])
    source = _Source(1, files)
    fleet = [Machine(shared) for _ in range(machines)]
    single = Machine(alone)
    for machine in (fleet[0], single):
        for path, data in source.files.items():
            machine.files.write(path, data)
        machine.commit("first")
        machine.push()
    for machine in fleet[1:]:
        machine.pull()
    requests = []
    for number in range(forks):
        machine, name = fleet[number % machines], f"agent{number}"
        edits = _edits(_Source(number, files), source.files, commits)
        for each in (machine, single):
            each.run("switch", "-q", "-c", name, "main")
        for path, edited in edits:
            machine.files.write(path, edited)
            machine.commit(name)
            shared.requests.clear()
            machine.push(name)
            requests.append(shared.requests.total())
            single.files.write(path, edited)
            single.commit(name)
        single.push(name)
    sizes = [_size(shared), _size(alone)]
    for bucket in (shared, alone):
        for _ in range(3):
            clock[0] += 25 * _HOUR
            run_to_end(collect(bucket), MemoryStore())
        sizes.append(_size(bucket))
    shared.requests.clear()
    reader = Machine(shared)
    reader.fetch()
    clone = shared.requests.total()
    reader.check()
    assert len(reader.tracked) == forks + 1
    p95 = sorted(requests)[len(requests) * 95 // 100]
    return FleetCost(p95, sizes[0], sizes[1], sizes[2], sizes[3], clone)


def _edits(source: _Source, files: dict[bytes, bytes], count: int) -> list[tuple[bytes, bytes]]:
    chance, now = random.Random(count), dict(files)
    edits = []
    for _ in range(count):
        path = chance.choice(sorted(now))
        now[path] = source.edited(path, now[path])
        edits.append((path, now[path]))
    return edits


def _size(bucket: MemoryBucket) -> int:
    return sum(each.size for each in bucket.list("") if not each.key.startswith("gc/"))


def test_forks_of_a_fleet_push_by_few_requests_and_share_their_space() -> None:
    cost = measure(forks=8, commits=30, machines=4, files=60)
    assert cost.requests_p95 <= 4
    assert cost.fleet_bytes <= 1.2 * cost.alone_bytes
    assert cost.fleet_merged_bytes <= 1.2 * cost.alone_merged_bytes
    # Of each fork the ref, the trees and a pack.
    assert cost.clone_requests <= 3 * 8 + 6


if __name__ == "__main__":
    print(measure(forks=100, commits=50, machines=4, files=200))
