"""Schedule of pushers, fetchers and collectors of one bucket, who take turns at each request.

Each actor runs on a thread of its own, of which one runs at a time: before every request it hands
over to the schedule, which draws who is next, and how much time passes.  So a seed is always the
same schedule.  Time is virtual; a listing may be late, and an actor may die at any request.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from blake3 import blake3

from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.remote.bucket import Got, StoredObject
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.frames import Frame, objects_of
from heliosfs.remote.layout import decode_ref, index_key, pack_key, ref_of, trees_key
from heliosfs.remote.packfile import PackName, RemoteObject, read_pack
from heliosfs.remote.treesfile import read_trees

HOUR = 3600.0
LATE_SECONDS = 600.0
"""Longest time for which a listing does not show a change."""
_START = 1_800_000_000.0


class DiedError(BaseException):
    """The process of an actor ends here."""


class Hole(AssertionError):
    """A ref names something that is not there."""


class SerialPool:
    """Pool that does all work at once, on the thread of who asks: requests have one order."""

    def __init__(self, max_workers: int = 1) -> None:
        pass

    def __enter__(self) -> SerialPool:  # noqa: PYI034 (not before Python 3.11)
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def map(self, call: Callable[..., Any], *items: Sequence[Any]) -> list[Any]:
        return [call(*each) for each in zip(*items, strict=True)]


def serially_mapped(call: Callable[[Any], Any], items: Sequence[Any], most: int) -> list[Any]:
    """Stand for `mapped`, on the thread of who asks."""
    return [call(each) for each in items]


class SerialThreads:
    """Threads that do all work at once, on the thread of who asks."""

    def __init__(self, name: str, most: int) -> None:
        pass

    def start(self, call: Callable[[], object]) -> None:
        call()


_Frame = tuple[list[Oid], Callable[[], list[Oid]]]


class SharedBucket:
    """The bucket of all actors, with its clock, and the check that no ref ever has a hole."""

    def __init__(self, seed: int, *, is_strict: bool) -> None:
        self._objects: dict[Oid, bytes] = {}
        """Trees and the like that were ever reached."""
        self._ids: dict[Hashable, list[Oid]] = {}
        """Ids in each frame that was ever read."""
        self.now = _START
        self.is_strict = is_strict
        """True if a hole is wrong at any moment; else only where it is looked for."""
        self.bucket = MemoryBucket(lambda: self.now)
        self.random = random.Random(seed)
        self._before: dict[str, list[tuple[float, StoredObject | None]]] = defaultdict(list)
        """Times of changes of each key, and what was there before each of them."""

    def stored(self, key: str) -> StoredObject | None:
        return self.bucket._stored.get(key)

    def note_change(self, key: str, before: StoredObject | None) -> None:
        self._before[key].append((self.now, before))
        is_about_refs = key.startswith("refs/") or before is not None
        if self.is_strict and is_about_refs:
            self.check()

    def listed(self, prefix: str) -> list[StoredObject]:
        """Return what a listing shows, in which changes of the last minutes may be missing."""
        there = {key: each for key, each in self.bucket._stored.items() if key.startswith(prefix)}
        for key, changes in self._before.items():
            if not key.startswith(prefix):
                continue
            seen_at = self.now - self.random.choice((0.0, self.random.uniform(0.0, LATE_SECONDS)))
            late = [before for at, before in changes if at > seen_at]
            if late and late[0] is None:
                there.pop(key, None)
            elif late and late[0] is not None:
                there[key] = late[0]
        return [there[key] for key in sorted(there)]

    def check(self) -> None:
        """Check that all that refs name is there.  Raise Hole."""
        data = self.bucket._data
        refs = [key for key in data if ref_of(key) is not None]
        pending = [decode_ref(key, data[key]).trees for key in refs]
        seen = set(pending)
        while pending:
            commit = pending.pop()
            key = trees_key(commit)
            if key not in data:
                raise Hole(key)
            trees = read_trees(key, data[key])
            needed = [pack_key(each.name.digest) for each in trees.packs]
            needed += [index_key(each.digest) for each in trees.table.indexes]
            for each in needed:
                if each not in data:
                    raise Hole(each)
            pending += [each for each in trees.bases if each not in seen]
            seen.update(trees.bases)
        self._check_dictionaries(seen)

    def _check_dictionaries(self, reached: Iterable[CommitId]) -> None:
        """Check that all frames can be decoded with what is reached.  Raise Hole."""
        waiting = [each for oid in reached for each in self._frames(self.bucket._data, oid)]
        there: set[Oid] = set()
        while waiting:
            left = []
            for needed, read in waiting:
                if there.issuperset(needed):
                    there.update(read())
                else:
                    left.append((needed, read))
            if len(left) == len(waiting):
                raise Hole(f"an object of a dictionary: {left[0][0]}")
            waiting = left

    def _frames(self, data: dict[str, bytes], commit: CommitId) -> list[_Frame]:
        """Return what each frame needs, and a call for the ids in it; so, too, packs of trees."""
        trees = read_trees("trees", data[trees_key(commit)])
        digests = [each.name.digest for each in trees.packs if each.holds_trees]
        packs = [partial(self._read_pack, data[pack_key(digest)]) for digest in digests]
        found: list[_Frame] = [([], each) for each in packs]
        for frame in trees.frames():
            needed = [oid for _, oid in frame.needed]
            found.append((needed, partial(self._read_frame, frame)))
        return found

    def _read_pack(self, data: bytes) -> list[Oid]:
        if data not in self._ids:
            name = PackName(blake3(data).digest(), len(data))
            self._ids[data] = self._known(read_pack(name, data))
        return self._ids[data]

    def _read_frame(self, frame: Frame) -> list[Oid]:
        key = frame.body, *(oid for _, oid in frame.needed)
        if key not in self._ids:
            older = [self._objects[oid] for _, oid in frame.needed]
            self._ids[key] = self._known(objects_of("trees", frame, older))
        return self._ids[key]

    def _known(self, objects: Iterable[RemoteObject]) -> list[Oid]:
        """Return the ids of objects, and remember their bytes for later dictionaries."""
        found = {each.oid: each.data for each in objects if each.kind is not Kind.BLOB}
        self._objects |= found
        return list(found)


class Actor:
    """Somebody who makes requests, one at a time, when the schedule says so; a bucket to it."""

    def __init__(self, name: str, schedule: Schedule, act: Callable[[Actor], None]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self.is_done = False
        self.is_doomed = False
        """True if it dies at its next request."""
        self._schedule = schedule
        self._shared = schedule.shared
        self.asleep_until = 0.0
        self._is_dead = False
        self.turn = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, args=(act,), daemon=True)

    def _run(self, act: Callable[[Actor], None]) -> None:
        self.turn.acquire()
        try:
            act(self)
        except BaseException as error:  # noqa: BLE001 (raised by the schedule)
            self.error = error
        self.is_done = True
        self._schedule.turn.release()

    def pause(self) -> None:
        """Let others make requests."""
        if not self._is_dead:
            self._schedule.turn.release()
            self.turn.acquire()
        # What it would still do as it goes, it does not do, either.
        self._is_dead = self._is_dead or self.is_doomed
        if self._is_dead:
            raise DiedError

    def sleep(self, seconds: float) -> None:
        """Do nothing for a while."""
        self.asleep_until = self._shared.now + seconds
        self.pause()

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        self.pause()
        return self._shared.bucket.get(key, start, length)

    def create(self, key: str, data: bytes) -> str:
        self.pause()
        version = self._shared.bucket.create(key, data)
        self._shared.note_change(key, None)
        return version

    def swap(self, key: str, data: bytes, expected: str) -> str:
        self.pause()
        before = self._shared.stored(key)
        version = self._shared.bucket.swap(key, data, expected)
        self._shared.note_change(key, before)
        return version

    def delete(self, key: str, expected: str | None = None) -> None:
        self.pause()
        before = self._shared.stored(key)
        self._shared.bucket.delete(key, expected)
        if before is not None:
            self._shared.note_change(key, before)

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        self.pause()
        return iter([each for each in self._shared.listed(prefix) if each.key > after])


class Schedule:
    """Actors that take turns, and the time that passes between these."""

    def __init__(
        self, seed: int, *, pause_seconds: float, death: float, is_strict: bool = True
    ) -> None:
        """Let pauses be `pause_seconds` at most, and actors die at a request by a chance."""
        self.random = random.Random(seed)
        self.shared = SharedBucket(seed, is_strict=is_strict)
        self.turn = threading.Semaphore(0)
        self.actors: list[Actor] = []
        self._pause_seconds = pause_seconds
        self._death = death

    def add(self, name: str, act: Callable[[Actor], None]) -> Actor:
        actor = Actor(name, self, act)
        self.actors.append(actor)
        actor.thread.start()
        return actor

    def run(self) -> None:
        """Let actors go on until all have ended.  Raise what they met and did not expect."""
        running = list(self.actors)
        while running:
            awake = [each for each in running if each.asleep_until <= self.shared.now]
            if not awake:
                self.shared.now = min(each.asleep_until for each in running)
                continue
            actor = self.random.choice(awake)
            actor.is_doomed = self.random.random() < self._death
            actor.turn.release()
            self.turn.acquire()
            self.shared.now += self.random.uniform(0.01, 0.5)
            if actor.is_done:
                running.remove(actor)
                actor.thread.join()
                if actor.error is not None and not isinstance(actor.error, DiedError):
                    self._end(running)
                    raise actor.error
            elif self.random.random() < 0.05:
                actor.asleep_until = max(
                    actor.asleep_until,
                    self.shared.now + self.random.uniform(0.0, self._pause_seconds),
                )

    def _end(self, running: list[Actor]) -> None:
        for each in running:
            each.is_doomed = True
            each.turn.release()
            self.turn.acquire()
            each.thread.join()
