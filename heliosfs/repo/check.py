"""Check of a repository: no file is damaged, and no reachable object is missing or damaged."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from heliosfs.emptying import Container, empty_later
from heliosfs.errors import CorruptObject, StoreError
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.objects.references import Reference
from heliosfs.pace import paced
from heliosfs.repo.gc.closure import Closure
from heliosfs.repo.gc.roots import (
    log_of,
    nameless_files,
    saved_states,
    saves_of,
    slots,
    staged_before,
    staged_roots,
    state_references,
)
from heliosfs.repo.history import listed_in
from heliosfs.repo.repository import Repository
from heliosfs.repo.working_state import DETACHED, State
from heliosfs.steps import TURN, Progress, Steps, on_thread
from heliosfs.store.base import Collection

_STEP_COUNT = 2_000
"""Objects that are read and hashed in one go on the thread."""


class Problem(NamedTuple):
    """An unreadable object or value, or damage to a file."""

    place: str
    """The first thing found that needs it, or the files that are damaged."""
    text: str


class CheckResult(NamedTuple):
    """The results of a check."""

    commits: int
    operations: int
    objects: int
    """Number of objects that were read, decoded and compared with their ids."""
    promised: int
    """Number of contents that remotes have, and that were not fetched yet."""
    shallow: int
    """Number of commits whose parents are not here, as they were not fetched."""
    problems: list[Problem]


def check_store(repository: Repository) -> Steps[CheckResult]:
    """Read every object that commits, working states and operations reach.

    Problems are collected, not raised.  L1 is not used.  Busy while a garbage collection runs.
    """
    # Only to mark what was read: nothing is swept, and no collection can remove objects meanwhile.
    collection = repository.store.collect(repository.history.edge)
    check = _Check(repository, collection)
    try:
        return (yield from check.steps())
    finally:
        collection.close()
        empty_later(*check.containers())


class _Check:
    def __init__(self, repository: Repository, collection: Collection) -> None:
        self._repository = repository
        self._collection = collection
        self._closure = Closure(self._enter, collection.follow)
        self._listed_commits: deque[CommitId] = deque()
        """Listed commits from which the walk has not begun yet."""
        self._roots: deque[tuple[str, Iterable[Reference]]] = deque()
        """Roots after these, each with its place."""
        self._place = ""
        self._shallow_count = 0
        self._problems: list[Problem] = []

    def containers(self) -> tuple[Container, ...]:
        """Return what grows with the history, for whoever empties it."""
        return self._listed_commits, *self._closure.containers()

    def steps(self) -> Steps[CheckResult]:
        repository = self._repository
        repository.checkpoint()
        yield TURN
        while (work := self._collection.plan_settle()) is not None:
            yield work
        self._problems += [Problem("when it was opened", text) for text in repository.findings]
        files = yield from on_thread(repository.store.inspect().problems)
        files += yield from on_thread(repository.store.promises.problems)
        self._problems += [Problem("the files of the store", text) for text in files]
        while (yield from on_thread(self._survey)):
            yield TURN
        commit_count = yield from on_thread(self._take_listed)
        yield from self._walk()
        self._try("the working states", self._take_states)
        self._try("what is staged", self._take_staged)
        for found in nameless_files(repository):
            self._roots.append(("an open file without a name", found))
            yield TURN
        operations = 0
        for slot in slots(repository):
            operations += yield from self._take_operations(slot)
            self._try(f"the saves of {self._name(slot)}", partial(self._take_saves, slot))
            yield TURN
        yield from self._walk()
        return CheckResult(
            commit_count,
            operations,
            self._closure.count,
            self._collection.promised_count,
            self._shallow_count,
            self._problems,
        )

    def _survey(self) -> bool:
        with self._collection.snapshot():
            return self._collection.survey(reads_blobs=True)

    def _take_listed(self) -> int:
        """Let the walk begin from all listed commits; return their number."""
        edge = self._repository.history.edge
        with self._collection.snapshot():
            try:
                self._listed_commits.extend(listed_in(self._collection))
                self._shallow_count = sum(each in edge for each in paced(self._listed_commits))
            except StoreError as error:
                self._problems.append(Problem("the list of commits", str(error)))
        return len(self._listed_commits)

    def _try(self, place: str, take: Callable[[], None]) -> None:
        """Add roots to the check; record an unreadable one as a problem, and continue."""
        try:
            take()
        except (StoreError, ValueError, struct.error) as error:
            self._problems.append(Problem(place, str(error)))

    def _take_states(self) -> None:
        for state in list(saved_states(self._repository)):
            place = f"the working state of {self._name(state.slot)}"
            self._roots.append((place, list(state_references(state))))

    def _take_staged(self) -> None:
        self._roots.append(("what is staged", list(staged_roots(self._repository))))
        for slot, sequence, found in staged_before(self._repository):
            place = f"what was staged before operation {sequence} of {self._name(slot)}"
            self._roots.append((place, found))

    def _take_operations(self, slot: int) -> Steps[int]:
        count = 0
        name = self._name(slot)
        try:
            log = log_of(self._repository, slot)
            last, first = log.last.sequence if log.last else 0, log.first
        except StoreError as error:
            self._problems.append(Problem(f"the operation log of {name}", str(error)))
            return 0
        for sequence in range(last, first - 1, -1):
            place = f"operation {sequence} of {name}"
            try:
                operation = log.read(sequence)
            except StoreError as error:
                self._problems.append(Problem(place, str(error)))
                continue
            states: list[State] = [operation.before, operation.after]
            found = [each for state in states for each in state_references(state)]
            self._roots.append((place, found))
            count += 1
            yield TURN
        return count

    def _take_saves(self, slot: int) -> None:
        saves = saves_of(self._repository, slot)
        for save in saves.all():
            found = list(state_references(saves.read(save)))
            self._roots.append((f"a save of {self._name(slot)}", found))

    def _name(self, slot: int) -> str:
        branch = self._repository.refs.of_slot(slot)
        return "the detached HEAD" if slot == DETACHED or branch is None else branch.name

    def _walk(self) -> Steps[None]:
        is_more = True
        while is_more:
            is_more = yield from on_thread(self._advance)
            total = self._repository.store.stats().objects
            yield Progress(self._closure.count, max(total, self._closure.count), "objects")

    def _advance(self) -> bool:
        """Read some objects, on a thread; return True if there are more."""
        with self._collection.snapshot():
            return self._read_some()

    def _read_some(self) -> bool:
        closure = self._closure
        left = _STEP_COUNT
        while left > 0:
            before = closure.count
            try:
                if not closure.advance(left) and not self._add_root():
                    return False
            except StoreError as error:
                self._problems.append(Problem(self._place, str(error)))
            left -= closure.count - before
        return True

    def _add_root(self) -> bool:
        """Let the closure go on with the next root; return False if there is none."""
        if self._listed_commits:
            self._place = "the list of commits"
            # Not made roots before: a tuple for each commit of a long history takes a while.
            self._closure.add([(Kind.COMMIT, self._listed_commits.popleft())])
        elif self._roots:
            self._place, found = self._roots.popleft()
            self._closure.add(found)
        else:
            return False
        return True

    def _enter(self, kind: Kind, oid: Oid) -> list[Reference] | None:
        """Read a new object.  Objects after a commit in the walk belong to that commit."""
        try:
            found = self._collection.enter(kind, oid, reads_blob=True)
        except CorruptObject:
            self._note_place(kind, oid)
            raise
        if found is not None:
            self._note_place(kind, oid)
        return found

    def _note_place(self, kind: Kind, oid: Oid) -> None:
        if kind is Kind.COMMIT:
            self._place = f"commit {oid.hex()[:12]}"
