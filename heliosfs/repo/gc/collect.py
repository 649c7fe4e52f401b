"""Garbage collection: removal of all that nothing needs, while the workspace is in use.

*Judge* decides which operations and commits stay, *mark* marks the objects that these, and all
other roots in `repo/gc/roots.py`, reach, and *sweep* removes the state that names other objects,
and then these objects.

It is safe beside other work because of one moment in which nothing else runs (`_freeze`).  From
then on the removed commits cannot be found.  So an object that is used later was either reachable
at that moment, and is marked; or it is added to the store again, which keeps it.  Code that
remembers ids of objects that no root reaches must forget them in `Repository.on_collect`.  State
that names removed objects leaves L2 before them, so that a crash leaves no name without its object.
Refused: reference counts, and copies of live objects (docs/decisions, 2026-11-25).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from heliosfs.emptying import Container, empty_later
from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.objects.references import Reference
from heliosfs.repo import keys
from heliosfs.repo.gc.closure import Closure
from heliosfs.repo.gc.commits import CommitReader
from heliosfs.repo.gc.forgetting import count_operations, forget_commits, forget_operations
from heliosfs.repo.gc.recall import Lost, Recall
from heliosfs.repo.gc.retention import KeepDecision, KeptLog, Retention, kept_operations
from heliosfs.repo.gc.roots import (
    changed_slots,
    commit_roots,
    heads,
    log_of,
    nameless_files,
    saved_states,
    saves_of,
    slots,
    staged_before,
    staged_roots,
    state_references,
)
from heliosfs.repo.repository import Repository
from heliosfs.repo.stash import stashed_since
from heliosfs.repo.working_state import State
from heliosfs.steps import TURN, Progress, Steps, Work, on_thread
from heliosfs.store.base import Collection, Store
from heliosfs.workspace.flush import file_slices

_RECORD = struct.Struct("<qqQQQQQQ")
_MARK_COUNT = 2_000
"""Objects that are marked in one go: 50 ms."""
_FLUSH_BYTES = 2 * 1024 * 1024
_LOGGED_COUNT = 64
"""States of a log that are looked at before a turn: 0.3 ms."""


class GcParticipant(Protocol):
    """State that a layer above keeps in the store, and that names objects."""

    def commits(self) -> Iterable[CommitId]:
        """Return the commits that must stay though no ref reaches them yet."""

    def forget(self, collection: Collection) -> Steps[None]:
        """Drop and publish the state that names unmarked objects."""


class GcResult(NamedTuple):
    """The results of a garbage collection, or of a dry run."""

    time_ns: int
    """Time at which it ended."""
    duration_ns: int
    commits: int
    operations: int
    objects: int
    stored_bytes: int
    packed_bytes: int = 0
    """Number of bytes that new encodings saved."""
    undo_commits: int = 0
    """Number of commits that stay only because `undo` leads to them."""


def last_collected(store: Store) -> GcResult | None:
    """Return the results of the last collection, of this run or an earlier one."""
    data = store.get(keys.GC_LAST)
    return GcResult(*_RECORD.unpack(data)) if data else None


def collect_garbage(
    repository: Repository,
    retention: Retention,
    guests: Sequence[GcParticipant] = (),
    *,
    dry_run: bool = False,
    packs: bool = False,
) -> Steps[GcResult]:
    """Remove everything that no root reaches; with `dry_run`, find out how much that is.

    With `packs`, the rest is encoded in less space, which takes ten times as long.  Busy while
    another collection runs.  MissingObject, CorruptObject: an object that must stay is damaged, and
    nothing was removed.  If it is ended early, it has removed only a part.
    """
    history = repository.history
    # What is kept is encoded anew with `packs`, so all of it must be known to stay.
    recalls = not packs
    while True:
        collection = repository.store.collect(history.edge)
        history.announced, history.changed_slots = set(), set()
        run = _Run(repository, collection, retention, guests)
        try:
            return (yield from run.steps(dry_run=dry_run, packs=packs, recalls=recalls))
        except Lost:
            recalls = False
        except (MissingObject, CorruptObject) as error:
            # What the last collection has kept may be damaged, and not even be wanted any more.
            if not run.relies_on_the_last:
                text = f"nothing was removed, since {error}: 'helios fsck' tells more"
                raise type(error)(text) from None
            recalls = False
        finally:
            history.announced = history.changed_slots = None
            history.cancel_removal()
            collection.close()
            empty_later(*run.containers)


class _Run:
    def __init__(
        self,
        repository: Repository,
        collection: Collection,
        retention: Retention,
        guests: Sequence[GcParticipant],
    ) -> None:
        self._repository = repository
        self._store = repository.store
        self._collection = collection
        self._retention = retention
        self._guests = guests
        self._keep_decision = KeepDecision(retention, collection.is_old, repository.history.edge)
        self._commits = CommitReader(collection, self._keep_decision)
        self._recall = Recall(repository.store, collection)
        self._named: set[CommitId] = set()
        """Commits that working states name."""
        self._logs: dict[int, KeptLog] = {}
        self._saves: dict[int, int] = {}
        """Sequence, by slot, of the last save that is known to stay."""
        self._undo_commits = 0
        self._closure = Closure(collection.enter, collection.follow)
        self.containers: list[Container] = [
            *self._keep_decision.containers(),
            *self._closure.containers(),
            *self._recall.containers(),
        ]
        """Containers that grow with the history, for whoever empties them."""

    @property
    def relies_on_the_last(self) -> bool:
        """True if what the last collection kept is not looked at again."""
        return self._recall.is_used

    def steps(self, *, dry_run: bool, packs: bool, recalls: bool) -> Steps[GcResult]:
        clock = self._repository.clock
        begun_ns = clock.now_ns()
        if recalls:
            self._closure.add(self._recall.begin())
        yield from self._decide_what_stays()
        yield from self._flush()
        doomed_count = self._freeze(dry_run=dry_run)
        yield from on_thread(partial(self._check, self._store.stats().objects))
        yield from self._mark()
        if dry_run:
            commits = doomed_count
            operations = yield from count_operations(self._repository, self._logs)
            yield from self._drive(self._collection.plan_count)
        else:
            operations = yield from forget_operations(
                self._repository, self._logs, self._retention.since_ns
            )
            commits = yield from forget_commits(self._repository)
            self._recall.forget()
            yield from self._forget_rest()
            # I47: what names an object is gone from L2 before the object goes.
            yield from self._settle()
            if packs:
                # Before the sweep, whose scan must see the bases of new deltas.
                yield from self._drive(self._collection.plan_pack)
            yield from self._drive(self._collection.plan_sweep)
            yield from self._drive(self._collection.plan_promises)
        now_ns = clock.now_ns()
        swept = self._collection.swept
        collected = GcResult(
            now_ns,
            now_ns - begun_ns,
            commits,
            operations,
            swept.objects,
            swept.stored_bytes,
            self._collection.packed_bytes,
            self._undo_commits,
        )
        if not dry_run:
            handed = yield from on_thread(partial(self._recall.hand_over, self._keep_decision))
            self._store.put(keys.GC_HANDOVER, handed)
            self._store.put(keys.GC_LAST, _RECORD.pack(*collected))
            self._store.publish()
        return collected

    def _add(self, roots: Iterable[Reference]) -> None:
        """Let objects be marked, with all that they reach."""
        added = list(roots)
        self._closure.add(added)
        self._recall.note(added)

    def _check(self, object_count: int) -> None:
        with self._collection.snapshot():
            self._recall.check(self._keep_decision, self._named, object_count)

    def _decide_what_stays(self) -> Steps[None]:
        """Decide about operations and commits, as far as that is possible before `_freeze`."""
        decision = self._keep_decision
        saved: list[State] = []
        for slot in slots(self._repository):
            for kept in kept_operations(log_of(self._repository, slot), self._retention):
                self._logs[slot] = kept
                yield TURN
            saved += self._new_saves(slot)
            yield TURN
        # The list is read from L2 on a thread, where pending state is not seen: so it is drained
        # first.
        yield from self._settle()
        yield from self._commits.survey()
        yield from self._commits.note_listed()
        tips = [*decision.young(), *self._tips(), *self._recall.tips(decision)]
        yield from self._commits.keep([*tips, *(yield from self._scored())])
        # What is kept in addition from here on is reached by undo and by saves alone.
        count = len(decision.kept)
        named = {*heads(saved)}
        for states in self._states_of_logs():
            named.update(heads(states))
            yield TURN
        self._named |= named
        yield from self._commits.keep(list(named))
        self._undo_commits = len(decision.kept) - count
        # Their commits are known to stay by now; what is marked are their trees.
        for states in self._states_of_logs():
            for state in states:
                self._add(state_references(state))
            yield TURN
        for kept in self._logs.values():
            kept.states = []
        for state in saved:
            self._add(state_references(state))

    def _states_of_logs(self) -> Iterator[list[State]]:
        """Yield the states to which undo and redo lead, some at a time."""
        for kept in list(self._logs.values()):
            for at in range(0, len(kept.states), _LOGGED_COUNT):
                yield kept.states[at : at + _LOGGED_COUNT]

    def _new_saves(self, slot: int) -> list[State]:
        """Return the states of the saves that stay, without those returned before."""
        saves, known = saves_of(self._repository, slot), self._saves.get(slot, 0)
        found = saves.since(self._retention.since_ns, known)
        if found:
            self._saves[slot] = found[-1].sequence
        return [saves.read(save) for save in found]

    def _scored(self) -> Steps[list[CommitId]]:
        """Return the scored commits of running experiments, including those that a reset left."""
        experiments, history = self._repository.experiments, self._repository.history
        found = []
        for experiment in list(experiments.running.values()):
            for oid in experiments.commits(experiment):
                if oid in history and experiments.scores(oid):
                    found.append(oid)
                yield TURN
        return found

    def _flush(self) -> Steps[None]:
        """Flush in steps, so that little is left for the flush in `_freeze`."""
        for view in self._repository.views():
            for _ in file_slices(view.workspace, _FLUSH_BYTES):
                yield TURN

    def _freeze(self, *, dry_run: bool) -> int:
        """Decide, in one moment, that what can be reached now stays; count the doomed commits."""
        repository, history = self._repository, self._repository.history
        # The uncommitted changes of every view become objects, which can be marked.
        repository.checkpoint()
        saved: list[State] = []
        for slot in changed_slots(repository, self._logs):
            self._take_new_operations(slot)
            saved += self._new_saves(slot)
        states = [*saved, *saved_states(repository), *(view.state() for view in repository.views())]
        assert history.announced is not None
        states += (state for kept in self._logs.values() for state in kept.states)
        self._named.update(heads(states))
        # `announced` are the commits that were written since the collection began, listed or not.
        tips = [*self._tips(), *history.announced, *heads(states)]
        tips += stashed_since(self._store, {slot: log.first for slot, log in self._logs.items()})
        while tips := self._commits.keep_known(tips):
            # Commits made after `_decide_what_stays` are unknown: few, and read here at once.
            for oid in tips:
                commit = history.read_whole(oid)
                links = CommitLinks(commit.tree, commit.parents, commit.committer.seconds)
                self._keep_decision.note(oid, links)
        for state in states:
            self._add(state_references(state))
        self._add(staged_roots(repository))
        for slot, sequence, staged in staged_before(repository):
            # The tree that was staged before an operation is needed as long as its undo is.
            if slot in self._logs and sequence >= self._logs[slot].first:
                self._add(staged)
        # I47: from here on nobody can find what goes, nor remember its id.
        doomed = self._keep_decision.doomed
        doomed_count = len(doomed)
        if not dry_run:
            history.begin_removal(doomed)
            for forget in repository.on_collect:
                forget()
        return doomed_count

    def _tips(self) -> Iterator[CommitId]:
        """Yield the commits that something other than an operation log names."""
        repository, retention = self._repository, self._retention
        yield from commit_roots(repository)
        for time_ns, oid in repository.dropped:
            if retention.keeps_unreached and time_ns >= retention.since_ns:
                yield oid
        for guest in self._guests:
            yield from guest.commits()

    def _take_new_operations(self, slot: int) -> None:
        """Keep the operations that were recorded since the log was read."""
        log = log_of(self._repository, slot)
        # The log of a branch that was created meanwhile is new as a whole.
        kept = self._logs.setdefault(slot, KeptLog(log.first, log.first - 1))
        for operation in log.operations():
            if operation.sequence <= kept.last:
                break
            kept.states += (operation.before, operation.after)
        kept.last = log.last.sequence if log.last else 0

    def _mark(self) -> Steps[None]:
        closure = self._closure
        yield from on_thread(self._enter_kept)
        for found in nameless_files(self._repository):
            self._add(found)
            yield TURN
        is_more = True
        while is_more:
            is_more = yield from on_thread(self._advance)
            yield Progress(closure.count, self._store.stats().objects, "objects marked")

    def _enter_kept(self) -> None:
        kept = (oid for oid, _ in self._keep_decision.kept_trees())
        further = self._collection.enter_surveyed(kept)
        # In the order in which they came to the store.
        self._closure.add((Kind.COMMIT, oid) for oid in further)

    def _advance(self) -> bool:
        with self._collection.snapshot():
            return self._closure.advance(_MARK_COUNT)

    def _forget_rest(self) -> Steps[None]:
        dropped, retention = self._repository.dropped, self._retention
        for time_ns, oid in list(dropped):
            if not retention.keeps_unreached or time_ns < retention.since_ns:
                dropped.forget(oid, time_ns)
        self._store.publish()
        for guest in self._guests:
            yield from guest.forget(self._collection)

    def _settle(self) -> Steps[None]:
        while (work := self._collection.plan_settle()) is not None:
            yield work

    def _drive(self, plan: Callable[[], Work | None]) -> Steps[None]:
        while (work := plan()) is not None:
            yield work
            yield Progress(self._collection.swept.objects, 0, "objects removed")
