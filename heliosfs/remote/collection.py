"""Garbage collection of a bucket: what no ref reaches is condemned, and deleted a day later.

One run does what is due: it finishes a sweep that has begun, or begins that of what was condemned
long enough ago, and then condemns what no ref reaches by now.  A run that dies anywhere has lost
nothing, and the next one, on any machine, goes on.

All times are those of the storage: that of a list, and that of an object which is written now.  So
clocks of machines may differ as they like.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from heliosfs.errors import Busy, HeliosError, MissingObject
from heliosfs.objects.ids import CommitId
from heliosfs.remote.boundary import (
    BOUNDARY_KEY,
    COLLECTIONS,
    CONDEMNED,
    CONDEMNED_MAX,
    IDLE,
    Boundary,
    CondemnedObject,
    list_key,
    read_boundary,
    read_list,
    write_boundary,
    write_list,
)
from heliosfs.remote.bucket import Bucket, Changed, NoObject, StoredObject
from heliosfs.remote.layout import INDEXES, PACKS, TREES, commit_of
from heliosfs.remote.merging import MERGES_PREFIX, merge
from heliosfs.remote.reach import Reach, read_roots
from heliosfs.remote.reading import READERS
from heliosfs.steps import Progress, Steps, on_thread, read_far, send_far

CONDEMNED_SECONDS = 86_400.0
CONDEMNED_MIN_SECONDS = 3_600.0
"""Shortest time between condemnation and deletion: more than any listing is late."""
_YOUNG_SECONDS = 3_600.0
"""Age below which nothing is condemned: pushes that are under way have no ref yet."""
_FORGOTTEN_SECONDS = 86_400.0
"""Age from which other objects of collections are taken for what a killed one has left."""
_DEAD_SECONDS = 7 * 86_400.0
"""Age from which a merge that is under way is taken for dead."""
_STAGE_SECONDS = 20.0
"""Time after which a sweep makes sure that nobody else has ended it."""
_DELETED_AT_ONCE = 4 * READERS
_WALKS = 3
"""Attempts to read what refs name, while others move them and delete."""
_TRIES = 50
"""Attempts to begin a sweep, in each of which a pusher may note something."""
_CLOCK = f"{COLLECTIONS}clock-"


class CollectionResult(NamedTuple):
    """The results of a collection."""

    object_count: int
    """Objects that were listed."""
    deleted_count: int = 0
    deleted_bytes: int = 0
    spared_count: int = 0
    """Condemned objects that are needed again, or are another version."""
    condemned_count: int = 0
    """Objects that wait for their deletion."""
    condemned_bytes: int = 0
    due_seconds: float = 0.0
    """Time until they may be deleted."""
    merged_count: int = 0
    """Objects with trees that became fewer."""


def collect(
    bucket: Bucket,
    *,
    grace_seconds: float = CONDEMNED_SECONDS,
    is_dry: bool = False,
    now: Callable[[], float] = time.monotonic,
) -> Steps[CollectionResult]:
    """Collect what no ref of a bucket reaches; `now` counts seconds while the process waits.

    MissingObject or CorruptObject if a ref needs what cannot be read, and nothing was deleted; Busy
    if another collection is quicker; Unreachable.
    """
    run = _Collection(bucket, grace_seconds, now)
    if is_dry:
        return (yield from run.preview())
    return (yield from run.run())


class _Collection:
    def __init__(self, bucket: Bucket, grace_seconds: float, now: Callable[[], float]) -> None:
        self._bucket = bucket
        self._grace_seconds = grace_seconds
        self._now = now
        self._result = CollectionResult(0)

    def run(self) -> Steps[CollectionResult]:
        stored_now = yield from send_far(self._storage_time)
        boundary, version = yield from read_far(partial(read_boundary, self._bucket))
        if boundary.state == CONDEMNED:
            objects, due_seconds = yield from read_far(partial(self._pending, boundary, stored_now))
            if due_seconds > 0:
                self._note_condemned(objects, due_seconds)
                return self._result
        if boundary.state != IDLE:
            boundary, version = yield from self._sweep(boundary, version)
        merged = yield from merge(self._bucket)
        self._result = self._result._replace(merged_count=merged.merged_count)
        yield from self._condemn(boundary, version, stored_now)
        yield from on_thread(partial(self._tidy, stored_now))
        return self._result

    def preview(self) -> Steps[CollectionResult]:
        """Return what a run would find, by the clock of this machine, without a change."""
        boundary, _ = yield from read_far(partial(read_boundary, self._bucket))
        if boundary.state == CONDEMNED:
            objects, due_seconds = yield from read_far(
                partial(self._pending, boundary, time.time())
            )
            self._note_condemned(objects, max(0.0, due_seconds))
            return self._result
        unreached = yield from self._unreached(boundary, time.time())
        self._note_condemned(unreached, self._grace_seconds)
        return self._result

    def _note_condemned(self, objects: list[CondemnedObject], due_seconds: float) -> None:
        self._result = self._result._replace(
            condemned_count=len(objects),
            condemned_bytes=sum(each.size for each in objects),
            due_seconds=due_seconds,
        )

    def _storage_time(self) -> float:
        """Return the time by the clock of the storage.  Busy if listings are too late."""
        key = f"{_CLOCK}{secrets.token_hex(8)}"
        self._bucket.create(key, b"")
        try:
            for each in self._bucket.list(key):
                return each.modified_at
        finally:
            self._bucket.delete(key)
        raise Busy("the remote does not list what was written just now: try again")

    def _pending(
        self, boundary: Boundary, stored_now: float
    ) -> tuple[list[CondemnedObject], float]:
        """Return what is condemned, and the time until it may be deleted."""
        key = list_key(boundary.condemned)
        condemned_at = next((each.modified_at for each in self._bucket.list(key)), stored_now)
        objects = self._listed(boundary)
        return objects, condemned_at + self._grace_seconds - stored_now

    def _sweep(self, boundary: Boundary, version: str | None) -> Steps[tuple[Boundary, str]]:
        """Delete what is condemned and not reached.  Return the boundary that is idle.  Busy."""
        if boundary.state == CONDEMNED:
            boundary, version = yield from on_thread(partial(self._begin_sweep, boundary, version))
        objects = yield from read_far(partial(self._listed, boundary))
        reached = yield from self._reached(boundary, objects)
        victims = [each for each in objects if each.key not in reached]
        # What is still there has all that it needs, wherever this ends.
        victims.sort(key=lambda each: not each.key.startswith(TREES))
        self._result = self._result._replace(spared_count=len(objects) - len(victims))
        yield from self._delete_all(boundary, victims)
        boundary = Boundary(boundary.stage + 1)
        version = yield from on_thread(partial(self._move, boundary, version))
        return boundary, version

    def _begin_sweep(self, boundary: Boundary, version: str | None) -> tuple[Boundary, str]:
        """Let the boundary say that the list is swept, with all that pushers have noted.  Busy."""
        for _ in range(_TRIES):
            after = boundary._replace(stage=boundary.stage + 1)
            try:
                return after, write_boundary(self._bucket, after, version)
            except Changed:
                now, version = read_boundary(self._bucket)
            if now.stage != boundary.stage:
                break
            boundary = now
        raise Busy("another collection of this remote is under way: try again")

    def _listed(self, boundary: Boundary) -> list[CondemnedObject]:
        try:
            return read_list(self._bucket, boundary.condemned)
        except NoObject:
            # It was taken for a killed one's, while its author was asleep: nothing is to go.
            return []

    def _move(self, boundary: Boundary, version: str | None) -> str:
        try:
            return write_boundary(self._bucket, boundary, version)
        except Changed:
            raise Busy("another collection of this remote is under way: try again") from None

    def _reached(
        self, boundary: Boundary, objects: list[CondemnedObject] | None
    ) -> Steps[set[str]]:
        """Return the keys that refs and pushers need; with a list, also trees left out of it."""
        others = list(boundary.noted)
        if objects is not None:
            others += yield from read_far(partial(self._left_out, boundary, objects))
        left = _WALKS
        while True:
            # I73: refs are read after the boundary says that a list is swept.
            roots = yield from read_far(partial(read_roots, self._bucket))
            reach = Reach(self._bucket)
            left -= 1
            try:
                yield from reach.walk(roots, others)
            except MissingObject:
                # What a ref named when it was read may be gone if this has slept for long.
                if not left:
                    raise
            else:
                return reach.keys

    def _left_out(self, boundary: Boundary, objects: list[CondemnedObject]) -> list[CommitId]:
        """Return the trees that no ref may reach, and that were not condemned.

        They were young, or were replaced since.  Newer ones rely on nothing that is condemned, but
        for what is noted.  So all sweeps of a list spare the same: one that sleeps, and goes on
        when another has ended, deletes nothing on which somebody relies by then.
        """
        versions = {each.key: each.version for each in objects}
        listed = self._bucket.list(list_key(boundary.condemned))
        condemned_at = max((each.modified_at for each in listed), default=0.0)
        found = []
        for each in self._bucket.list(TREES):
            is_replaced = versions.get(each.key, each.version) != each.version
            is_young = each.key not in versions and each.modified_at <= condemned_at
            commit = commit_of(each.key)
            if commit is not None and (is_young or is_replaced):
                found.append(commit)
        return found

    def _delete_all(self, boundary: Boundary, victims: list[CondemnedObject]) -> Steps[None]:
        # At first, too: refs may have been read for long, and another run may have spared since
        # what a ref named that is gone by now.
        looked_at = -math.inf
        for at in range(0, len(victims), _DELETED_AT_ONCE):
            if self._now() - looked_at > _STAGE_SECONDS:
                looked_at = self._now()
                yield from read_far(partial(self._check_stage, boundary))
            yield from on_thread(partial(self._delete, victims[at : at + _DELETED_AT_ONCE]))
            yield Progress(at, len(victims), "objects")

    def _check_stage(self, boundary: Boundary) -> None:
        """Check that this sweep has not been ended by another run: it may write anew.  Busy."""
        if read_boundary(self._bucket)[0].stage != boundary.stage:
            raise Busy("another collection of this remote has done the rest")

    def _delete(self, victims: list[CondemnedObject]) -> None:
        def delete(victim: CondemnedObject) -> bool:
            try:
                self._bucket.delete(victim.key, victim.version)
            except Changed:
                return False
            return True

        with ThreadPoolExecutor(READERS) as pool:
            deleted = list(pool.map(delete, victims))
        sizes = [each.size for each, is_gone in zip(victims, deleted, strict=True) if is_gone]
        result = self._result
        self._result = result._replace(
            deleted_count=result.deleted_count + len(sizes),
            deleted_bytes=result.deleted_bytes + sum(sizes),
            spared_count=result.spared_count + len(victims) - len(sizes),
        )

    def _condemn(self, boundary: Boundary, version: str | None, stored_now: float) -> Steps[None]:
        """Write a list of what is not reached, and then the boundary that names it.  Busy."""
        objects = (yield from self._unreached(boundary, stored_now))[:CONDEMNED_MAX]
        if not objects:
            return
        digest = yield from on_thread(partial(write_list, self._bucket, objects))
        after = Boundary(boundary.stage + 1, digest)
        yield from on_thread(partial(self._move, after, version))
        self._note_condemned(objects, self._grace_seconds)

    def _unreached(self, boundary: Boundary, stored_now: float) -> Steps[list[CondemnedObject]]:
        """Return the objects that no ref reaches, but for young ones."""
        # Listed first: what is pushed from here on is not in it.
        listed = yield from read_far(partial(self._list, stored_now))
        reached = yield from self._reached(boundary, None)
        return [each for each in listed if each.key not in reached]

    def _list(self, stored_now: float) -> list[CondemnedObject]:
        objects, last = [], stored_now - min(_YOUNG_SECONDS, self._grace_seconds)
        count = 0
        for each in _all_objects(self._bucket):
            count += 1
            if each.modified_at <= last:
                objects.append(CondemnedObject(each.key, each.version, each.size))
        self._result = self._result._replace(object_count=count)
        return objects

    def _tidy(self, stored_now: float) -> None:
        """Delete lists and the like that nothing names and that nobody is about to name."""
        for each in list(self._bucket.list(MERGES_PREFIX)):
            if each.modified_at < stored_now - _DEAD_SECONDS:
                self._bucket.delete(each.key, each.version)
        boundary, _ = read_boundary(self._bucket)
        kept = {BOUNDARY_KEY, list_key(boundary.condemned)}
        for each in list(self._bucket.list(COLLECTIONS)):
            if each.key not in kept and each.modified_at < stored_now - _FORGOTTEN_SECONDS:
                with suppress(HeliosError):
                    self._bucket.delete(each.key, each.version)


def _all_objects(bucket: Bucket) -> Iterator[StoredObject]:
    for prefix in (TREES, PACKS, INDEXES):
        yield from bucket.list(prefix)
