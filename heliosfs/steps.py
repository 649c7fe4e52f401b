"""Long work as a generator of steps, so that its driver can let other tasks run in between.

A generator runs on the owner's thread.  The value that it yields tells its driver what may happen
before it goes on:

- a `Work` is executed on a thread and applied; when it fails, the `yield` raises the error.  Of a
  `FarCall` the end is not waited for if the generator is closed;
- `TURN`: others may have their turn, and then everything but what the generator holds itself
  may have changed.  It costs 0.2 us, so it belongs after every piece of work, however small;
- a `Progress` is a turn that tells how far it is;
- `ALONE`: from here to its end no verb runs beside it.  Changes of refs and of working states
  belong there.  File requests still come in at every turn.

A step between two yields takes a few ms at most, and leaves nothing in the store's batch that
others must not publish.  The driver may close the generator at any yield before `ALONE`
(GeneratorExit), so until then it must not have changed anything that is visible.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from enum import Enum
from typing import Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

BACKLOG_BYTES = 128 * 1024 * 1024
"""Largest number of bytes that may be published and not drained while no other request waits."""

T = TypeVar("T")


class Work(Protocol):
    """A piece of long work in three steps.

    It is planned and applied on the owner's thread, and executed on any thread.  The plan has
    frozen the bytes that it needs, so `execute` touches nothing that the owner may change
    meanwhile.
    """

    def execute(self) -> None:
        """Do the work; may block, may run on any thread.  Raise StoreError on failure."""

    def apply(self) -> None:
        """Take over the result, on the owner's thread, after `execute` returned or raised."""


class DrainableStore(Protocol):
    """The part of a store that the scheduling of work needs."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of objects that are not in L2 yet, and therefore in memory."""

    def plan_drain(self) -> Work | None:
        """Return work that moves published batches into L2; None if there are none."""


class Turn(Enum):
    """The two permissions that a step can yield to its driver."""

    TURN = "others have their turn"
    ALONE = "no verb runs beside it any more"


TURN: Final = Turn.TURN
ALONE: Final = Turn.ALONE


class Progress(NamedTuple):
    """A report of how far long work has come."""

    done: int
    total: int
    """Number of all units; 0 while it is not known."""
    unit: str
    """Name of the unit that is counted, such as `commits`."""
    objects: int = 0
    """Objects read or written, if they show the speed better than the units do."""


Step: TypeAlias = Work | Progress | Turn
Steps: TypeAlias = Generator[Step, None, T]
"""Long work that returns a T."""


class _Call(Generic[T]):
    """A call on a thread, as work."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self.results: list[T] = []

    def execute(self) -> None:
        self.results.append(self._call())

    def apply(self) -> None:
        pass


def on_thread(call: Callable[[], T]) -> Steps[T]:
    """Call a function on a thread and return its result; it must not touch the owner's data.

    git = yield from on_thread(lambda: Git.find(path))
    """
    work = _Call(call)
    yield work
    return work.results[0]


class FarCall(_Call[T]):
    """Work that waits for a server far away, which may take minutes.

    Whoever does not want its result any more may leave it alone: what it does later harms nobody.
    """


def read_far(call: Callable[[], T]) -> Steps[T]:
    """Call a function as `on_thread` does, which only reads: a caller that is ended leaves it."""
    work = FarCall(call)
    yield work
    return work.results[0]


def send_far(call: Callable[[], T]) -> Steps[T]:
    """Call a function that sends: a caller that is ended leaves it, and cannot tell what was done.

    Each of its requests must be one that does no harm however late it is carried out: it creates
    what its name describes, or has the version that it replaces as its condition.
    """
    return (yield from read_far(call))


def perform(work: Work) -> None:
    """Execute and apply work at once, for a caller beside which no other request waits."""
    try:
        work.execute()
    finally:
        work.apply()


def perform_apart(work: Work) -> None:
    """Perform work on a thread that ends with the process, so that an interrupt ends the wait."""
    errors: list[BaseException] = []
    done = threading.Event()

    def execute() -> None:
        try:
            work.execute()
        except BaseException as error:  # noqa: BLE001 (raised below, where it is waited for)
            errors.append(error)
        done.set()

    threading.Thread(target=execute, name="far call", daemon=True).start()
    done.wait()
    work.apply()
    if errors:
        raise errors[0]


def call_apart(call: Callable[[], T]) -> T:
    """Call a function that waits for a server far away; an interrupt ends the wait."""
    work = FarCall(call)
    perform_apart(work)
    return work.results[0]


def drain(store: DrainableStore) -> None:
    """Move the published batches into L2 at once."""
    work = store.plan_drain()
    if work is not None:
        perform(work)


def at_once(steps: Steps[T]) -> T:
    """Drive steps that yield turns only, while nobody else waits; return their result."""
    while True:
        try:
            step = next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        assert isinstance(step, Turn), step


def run_to_end(
    steps: Steps[T],
    store: DrainableStore,
    report: Callable[[Progress], None] = lambda progress: None,
) -> T:
    """Drive steps while nobody else waits for the store; return their result."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Progress):
                report(step)
            elif not isinstance(step, Turn):
                try:
                    (perform_apart if isinstance(step, FarCall) else perform)(step)
                except Exception as error:  # noqa: BLE001 (raised where the work was planned)
                    step = steps.throw(error)
                    continue
            if store.pending_bytes > BACKLOG_BYTES:
                drain(store)
            step = next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()
