"""Long work as a generator of steps, so that whoever drives it can let others in between.

A generator runs on the owner's thread.  What it yields says what may happen before it goes on:

- a `Work` is executed on a thread and applied; when it fails, the `yield` raises the error;
- `TURN`: others may have their turn, and then everything but what the generator holds itself
  may have changed.  It costs 0.2 us, so it belongs after every piece of work, however small;
- a `Progress` is a turn that tells how far it is;
- `ALONE`: from here to its end no verb runs beside it.  Changes of refs and of working states
  belong there.  File requests still come in at every turn.

A step between two yields takes a few ms at most, and leaves nothing in the store's batch that
may not be published by others.  Whoever drives it may close it at any yield before `ALONE`
(GeneratorExit): what it did until then must be nothing that shows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import Enum
from typing import Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

BACKLOG_BYTES = 128 * 1024 * 1024
"""How much may be published and not drained, where nobody waits."""

T = TypeVar("T")


class Work(Protocol):
    """Long work in three steps: planned and applied on the owner's thread, executed on any.

    The plan froze the bytes it needs, so `execute` touches nothing that the owner may change.
    """

    def execute(self) -> None:
        """Do it; may block, may run on any thread.  StoreError when it failed."""

    def apply(self) -> None:
        """Take up the result, on the owner's thread, after `execute` returned or raised."""


class Drained(Protocol):
    """A store, as far as the scheduling of work has to do with it."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of objects that are not in L2 yet, and so take memory."""

    def plan_drain(self) -> Work | None:
        """Return work that moves what is published into L2; None when there is nothing to move."""


class Turn(Enum):
    """What may happen before the next step."""

    TURN = "others have their turn"
    ALONE = "no verb runs beside it any more"


TURN: Final = Turn.TURN
ALONE: Final = Turn.ALONE


class Progress(NamedTuple):
    """How far long work is."""

    done: int
    total: int
    """Of how many; 0 while that is not known."""
    unit: str
    """What is counted: `commits`."""
    objects: int = 0
    """Objects read or written, where these tell the speed better."""


Step: TypeAlias = Work | Progress | Turn
Steps: TypeAlias = Generator[Step, None, T]
"""Long work that results in a T."""


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
    """What a call results in that touches nothing which the owner may change.

    git = yield from on_thread(lambda: Git.find(path))
    """
    work = _Call(call)
    yield work
    return work.results[0]


def perform(work: Work) -> None:
    """Execute and apply at once, for callers that have nobody waiting."""
    try:
        work.execute()
    finally:
        work.apply()


def drain(store: Drained) -> None:
    """Move what is published into L2 at once."""
    work = store.plan_drain()
    if work is not None:
        perform(work)


def at_once(steps: Steps[T]) -> T:
    """Drive steps that ask for nothing but turns, where nobody else waits; return the result."""
    while True:
        try:
            step = next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        assert isinstance(step, Turn), step


def run_to_end(
    steps: Steps[T], store: Drained, report: Callable[[Progress], None] = lambda progress: None
) -> T:
    """Drive `steps` where nobody else waits for the store; gives what they result in."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Progress):
                report(step)
            elif not isinstance(step, Turn):
                try:
                    perform(step)
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
