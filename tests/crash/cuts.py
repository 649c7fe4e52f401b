"""Power cuts: which states a recorded life may leave on the disk, and what must be true of each."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from lmdb.verify import verify

from heliosfs.clock import FixedClock
from heliosfs.repo.check import check_store
from heliosfs.repo.repository import Repository
from heliosfs.steps import Work, perform, run_to_end
from heliosfs.store.l2.environment import FILE
from tests.crash.disk import (
    LOCKS,
    PAGE,
    SECTOR,
    Disk,
    Torn,
    every_other,
    first_half,
    lay_out,
    record,
    second_half,
)
from tests.crash.lives import SIDE_FILES, Life, Picture, WatchedStore, abandon, picture_of
from tests.stores import open_local
from tests.tree_builder import IDENTITY, TreeBuilder

_LATER_NS = 1_800_000_000 * 10**9
_SHAPES = (first_half, second_half, every_other)
_RANDOM_EACH = 4


class Cut(NamedTuple):
    """A power cut: when, and what of the changes that were not safe does not reach the disk."""

    moment: int
    lost: frozenset[int]
    torn: Torn | None = None
    has_sizes: bool = False

    def __str__(self) -> str:
        torn = ""
        if self.torn:
            torn = f", torn {self.torn.change} ({self.torn.kept.__name__} of {self.torn.block} B)"
        sizes = ", sizes kept" if self.has_sizes else ""
        return f"cut at {self.moment}, lost {sorted(self.lost)}{torn}{sizes}"


def moments(disk: Disk) -> list[int]:
    """Return moments that differ in what a cut may take: after each change and each sync."""
    found: list[int] = []
    before: tuple[int, ...] | None = None
    ends = {sync.end + 1 for sync in disk.syncs} | {change.at + 1 for change in disk.changes}
    for moment in sorted(ends):
        last = max((change.at for change in disk.changes if change.at < moment), default=0)
        unsafe = (last, *(change.at for change in disk.unsafe_at(moment)))
        if unsafe != before:
            found.append(moment)
            before = unsafe
    return found


def cuts(disk: Disk, seed: int) -> Iterator[Cut]:
    """Yield all cuts of a life, in an order of which any beginning is a good sample.

    Those in which all is lost, or nothing, take turns with the many others.
    """
    chance = random.Random(seed)
    found = moments(disk)
    plain = [cut for moment in found for cut in _plain_at(disk, moment)]
    others = [cut for moment in found for cut in _others_at(disk, moment, chance)]
    chance.shuffle(plain)
    chance.shuffle(others)
    for both in itertools.zip_longest(plain, others):
        yield from filter(None, both)


def _plain_at(disk: Disk, moment: int) -> Iterator[Cut]:
    all_lost = frozenset(change.at for change in disk.unsafe_at(moment))
    yield Cut(moment, frozenset())
    if all_lost:
        yield Cut(moment, all_lost)
        yield Cut(moment, all_lost, has_sizes=True)


def _others_at(disk: Disk, moment: int, chance: random.Random) -> Iterator[Cut]:
    """Yield the cuts in which each change alone is lost, is kept, or is torn; some at random."""
    unsafe = disk.unsafe_at(moment)
    all_lost = frozenset(change.at for change in unsafe)
    # The order in which they were made: what came after is lost.
    for at, change in enumerate(unsafe):
        yield Cut(moment, frozenset(each.at for each in unsafe[at + 1 :]))
        yield Cut(moment, frozenset((change.at,)))
        yield Cut(moment, all_lost - {change.at})
        yield Cut(moment, all_lost - {change.at}, has_sizes=True)
    for change in unsafe:
        if change.verb != "write":
            continue
        for block, kept in itertools.product((SECTOR, PAGE), _SHAPES):
            if len(change.data) > block:
                torn = Torn(change.at, block, kept)
                yield Cut(moment, frozenset(), torn)
                yield Cut(moment, all_lost - {change.at}, torn)
    for _ in range(_RANDOM_EACH):
        lost = frozenset(at for at in all_lost if chance.random() < 0.5)
        writes = [each for each in unsafe if each.verb == "write" and each.at not in lost]
        torn_at = chance.choice(writes).at if writes and chance.random() < 0.5 else None
        shape = None
        if torn_at is not None:
            shape = Torn(torn_at, chance.choice((SECTOR, PAGE)), chance.choice(_SHAPES))
        yield Cut(moment, lost, shape, chance.random() < 0.3)


def digest(files: dict[str, bytes]) -> bytes:
    found = blake2b(digest_size=16)
    for name, data in sorted(files.items()):
        found.update(b"%d %d " % (len(name), len(data)) + name.encode() + data)
    return found.digest()


class Seen(NamedTuple):
    """Result of opening one state: what the store holds, or the fault."""

    picture: Picture | None
    fault: str = ""


class Examiner:
    """Opens states, and looks at what is there; a state that was seen is not opened again."""

    def __init__(self, scratch: Path, locks: Sequence[bytes | None] = LOCKS) -> None:
        self._scratch = scratch
        self._locks = locks
        self._seen: dict[bytes, Seen] = {}
        self._count = 0
        self.checked = 0
        """Cuts that were compared with what was promised."""

    @property
    def states(self) -> int:
        """Different states that were opened."""
        return len(self._seen)

    def examine(self, life: Life, cut: Cut) -> str:
        """Return what is wrong after a cut, or ""."""
        files = life.disk.state(cut.moment, cut.lost, cut.torn, has_sizes=cut.has_sizes)
        self.checked += 1
        for name in SIDE_FILES:
            if files.get(name) not in life.told[name].allowed_at(cut.moment):
                return f"{name} is {files.get(name)!r}"
        known = digest(files)
        seen = self._seen.get(known)
        if seen is None:
            seen = self._seen[known] = self._open(files, int.from_bytes(known[:4], "big"))
        if seen.fault:
            return seen.fault
        assert seen.picture is not None
        for part, found in zip(("state", "apart"), seen.picture, strict=True):
            told = life.told[part]
            if found not in told.allowed_at(cut.moment):
                where = told.versions.index(found) if found in told.versions else None
                return (
                    f"{part} is version {where}, and {told.safe_at(cut.moment)} of "
                    f"{len(told.allowed_at(cut.moment))} was promised"
                )
        return ""

    def _open(self, files: dict[str, bytes], seed: int) -> Seen:
        self._count += 1
        path = self._scratch / f"{self._count}"
        again = self._scratch / f"{self._count}-again"
        try:
            lay_out(path, files, seed, self._locks)
            return self._use(path, again, files, seed)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a fault of the state)
            return Seen(None, f"{type(error).__name__}: {error}")
        finally:
            for each in (path, again):
                abandon(each)
                shutil.rmtree(each, ignore_errors=True)

    def _use(self, path: Path, again: Path, files: dict[str, bytes], seed: int) -> Seen:
        """Open a state, look at all of it, write, sync, and let the power fail once more."""
        chance = random.Random(seed)
        disk = Disk(files)
        disk.adopt(path)
        store = _opened(path, disk)
        picture = picture_of(store)
        repository = Repository.open(store, FixedClock(_LATER_NS), IDENTITY)
        problems = run_to_end(check_store(repository), store).problems
        if problems:
            return Seen(None, f"fsck: {problems[0].place}: {problems[0].text}")
        TreeBuilder(repository.root.workspace).write(b"after", b"after the cut\n" * 5_000)
        repository.checkpoint()
        ways: list[Callable[[], Work | None]] = [store.plan_drain, store.plan_sync]
        for way in ways if chance.random() < 0.5 else ways[1:]:
            work = way()
            if work is not None:
                perform(work)
        wanted = picture_of(store)
        disk.seal()
        unsafe = disk.unsafe_at(disk.now + 1)
        lost = frozenset(each.at for each in unsafe if chance.random() < 0.8)
        left = disk.state(disk.now + 1, lost)
        store.close()
        lay_out(again, left, seed + 1)
        fault = _look_again(again, wanted)
        return Seen(picture, fault)


def _opened(path: Path, disk: Disk) -> WatchedStore:
    store = WatchedStore(record(path, disk), create=True, cache_bytes=1 << 20)
    store.recorded = disk
    store.on_publish = lambda begun: None
    return store


def _look_again(path: Path, wanted: Picture) -> str:
    for _ in range(2):
        store = open_local(path)
        found = picture_of(store)
        if found != wanted:
            return "what was written and synced after the cut was lost in the next one"
        repository = Repository.open(store, FixedClock(2 * _LATER_NS), IDENTITY)
        problems = run_to_end(check_store(repository), store).problems
        store.close()
        if problems:
            return f"fsck after the next cut: {problems[0].place}: {problems[0].text}"
    return "" if verify(str(path / FILE)) == [] else f"{FILE} is not sound"
