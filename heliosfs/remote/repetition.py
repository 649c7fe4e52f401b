"""Repetitions of a verb that meets promised contents, until all that it needs is here.

A verb is abandoned where it needs a content that is still at a remote, which is safe because
nothing has changed before its last step, and begun again once that has come.  The first time, only
the content and its neighbours are read; each further time twice as much as before, in the order
in which a push has written contents, which is that of a walk of the tree.  So a verb that reads
everything, a search or a history with its differences, begins again a few times only, and no more
than twice of what it needs is read.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from heliosfs.errors import PromisedObject, Unfetched
from heliosfs.objects.ids import Oid
from heliosfs.remote.hydration import ARRIVAL_SECONDS, FETCHERS, Fetch, Hydration
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Progress, Steps, run_to_end
from heliosfs.store.promisefile import Promise

_ROUNDS_MAX = 9
"""Repetition from which no more is read than before: some hundred ranges."""
_ROUND_BYTES = 1024 * 1024
"""Bytes of the first repetition that reads more than neighbours; then twice as many each time."""
_SPAN_MAX_BYTES = 4 * 1024 * 1024
_GAP_BYTES = 64 * 1024
"""Most bytes between two contents of a range that are read for nothing."""
_LOOKED_SECONDS = 0.1
_SAME_MAX = 3

T = TypeVar("T")


class Repetition:
    """The repetitions of one verb."""

    def __init__(self, hydration: Hydration) -> None:
        self._hydration = hydration
        self._round = -1
        self._missed: PromisedObject | None = None
        self._same_count = 0

    def missed(self, error: PromisedObject) -> None:
        """Note what the verb was abandoned for; `fetch` reads it.

        Raise Unfetched if that was read several times, and is still not there.
        """
        before, self._missed = self._missed, error
        self._same_count = self._same_count + 1 if before and before.oid == error.oid else 0
        if self._same_count > _SAME_MAX:
            raise Unfetched(f"{error}: it was fetched, and is not there")
        self._round += 1

    def fetch(self) -> Steps[None]:
        """Read what the verb was abandoned for, and, from the second time on, more.

        Raise Unfetched, or StoreFull.
        """
        error = self._missed
        if error is None:
            return
        first = self._hydration.begin(Oid(error.oid))
        promise = self._hydration.promise(Oid(error.oid))
        if promise is None or first is None:
            return
        groups = (yield from self._following(promise)) if self._round > 0 else []
        total = sum(_length(rows) for rows in groups) + first.limit_bytes
        done = 0
        waiting = [first]
        yield Progress(done, total, "bytes")
        while waiting or groups:
            while groups and len(waiting) < FETCHERS:
                rows = groups.pop(0)
                waiting.append(self._hydration.read(rows[0], rows))
            fetch = waiting.pop(0)
            yield from arrival(self._hydration, fetch, Oid(error.oid))
            # Of the others, the verb itself tells what it misses.
            if fetch is first and (failure := fetch.failure(Oid(error.oid))):
                raise failure
            done += fetch.received_bytes
            yield Progress(done, max(done, total), "bytes")

    def steps(self, begin: Callable[[], Steps[T]]) -> Steps[T]:
        """Read what the verb was abandoned for, and begin it again."""
        yield from self.fetch()
        return (yield from begin())

    def _following(self, promise: Promise) -> Steps[list[list[Promise]]]:
        """Return further ranges, twice as much as in the round before, of what is not here."""
        most = 1 << min(self._round, _ROUNDS_MAX)
        hydration = self._hydration
        left_bytes = most * _ROUND_BYTES
        groups: list[list[Promise]] = []
        for each in hydration.after(promise):
            yield TURN
            if hydration.is_coming(each) or hydration.contains(each.oid):
                continue
            if not groups or not _fits(groups[-1], each):
                if len(groups) == most:
                    break
                groups.append([])
            groups[-1].append(each)
            left_bytes -= each.stored_bytes
            if left_bytes <= 0:
                break
        return groups


def arrival(hydration: Hydration, fetch: Fetch, oid: Oid) -> Steps[None]:
    """Wait until a range has come, and is stored, or has failed.  Raise Unfetched if it hangs."""
    is_kept_elsewhere = hydration.on_landed is not None
    event = fetch.kept if is_kept_elsewhere else fetch.landed
    for _ in range(int(ARRIVAL_SECONDS / _LOOKED_SECONDS)):
        if event.is_set():
            break
        # In short waits, so that a caller who is interrupted is noticed.
        yield ArrivalWait(fetch, event)
    else:
        raise hydration.give_up(fetch, oid)
    if not is_kept_elsewhere:
        yield from hydration.keep(fetch)


class ArrivalWait:
    """Work that waits for a range for a moment; a driver with a loop need not use a thread."""

    def __init__(self, fetch: Fetch, event: Event) -> None:
        self.fetch = fetch
        self._event = event

    def execute(self) -> None:
        self._event.wait(_LOOKED_SECONDS)

    def apply(self) -> None:
        pass


def repeated(
    repository: Repository,
    call: Callable[[], T],
    report: Callable[[Progress], None] = lambda progress: None,
    hydration: Hydration | None = None,
) -> T:
    """Call a function, again and again, until all promised contents that it needs are here.

    Nobody else waits for the store meanwhile.  Raise Unfetched, and what the function raises.
    """
    again: Repetition | None = None
    while True:
        try:
            return call()
        except PromisedObject as error:
            again = again or Repetition(hydration or Hydration(repository))
            again.missed(error)
        run_to_end(again.fetch(), repository.store, report)


def _fits(rows: list[Promise], each: Promise) -> bool:
    last = rows[-1]
    if each.pack != last.pack or each.offset < last.offset:
        return False
    # Several may share their bytes.
    is_near = each.offset - last.offset - last.stored_bytes <= _GAP_BYTES
    return is_near and each.offset + each.stored_bytes - rows[0].offset <= _SPAN_MAX_BYTES


def _length(rows: list[Promise]) -> int:
    return rows[-1].offset + rows[-1].stored_bytes - rows[0].offset
