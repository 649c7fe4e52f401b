"""Collections of a remote beside pushers and fetchers that sleep and die, in schedules by a seed.

With `--long SECONDS`, seeds go on for that time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import current_thread
from typing import Any

import pytest

from heliosfs import steps
from heliosfs.errors import Busy, HeliosError, MissingObject, NotFound, NotPermitted, Stale
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.references import references
from heliosfs.remote import (
    boundary,
    collection,
    contents,
    foundrefs,
    mergeplan,
    packfile,
    places,
    push,
    reach,
    reading,
    treesfile,
    upload,
)
from heliosfs.remote.boundary import LostObjects, Reliance
from heliosfs.remote.collection import collect
from heliosfs.remote.contents import make_whole
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.experiments import push_experiment
from heliosfs.remote.fetch import fetch
from heliosfs.remote.push import BesideRef, delete
from heliosfs.remote.shallow import DOWN_TO_KNOWN, Extent
from heliosfs.repo.experiments import Experiment
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import Steps, perform, run_to_end
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine
from tests.remote.schedules import (
    HOUR,
    Actor,
    Hole,
    Schedule,
    SerialPool,
    SerialThreads,
    serially_mapped,
)
from tests.remote.shallow import check_whole_or_cut

GRACE = 6 * HOUR
_SEEDS_COUNT = 60
_MUTANT_SEEDS = 200
_MOVES_COUNT = 12


@pytest.fixture(autouse=True)
def _one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (foundrefs, mergeplan, places, reach, reading):
        monkeypatch.setattr(module, "mapped", serially_mapped)
    monkeypatch.setattr(collection, "ThreadPoolExecutor", SerialPool)
    # The requests of an actor are told by its thread.
    monkeypatch.setattr(steps, "perform_apart", perform)
    monkeypatch.setattr(contents, "DaemonThreads", SerialThreads)
    # Packs are made of a few bytes, and a list is deleted in several pieces.
    monkeypatch.setattr(upload, "SMALL_BYTES", 600)
    monkeypatch.setattr(packfile, "PACK_FULL_BYTES", 1_500)
    monkeypatch.setattr(collection, "_DELETED_AT_ONCE", 2)
    monkeypatch.setattr(mergeplan, "RUN_BYTES", 3_000)
    monkeypatch.setattr(mergeplan, "_SMALL_PACK_BYTES", 1_000)
    # Small trees, too, are in dictionaries.
    monkeypatch.setattr(treesfile, "OLDER_MIN_BYTES", 1)
    monkeypatch.setattr(treesfile, "_GAIN_MIN_BYTES", -1_000)


class _Run:
    """One schedule: its actors, and what must be true of it."""

    def __init__(
        self, seed: int, *, pause_seconds: float, death: float, is_strict: bool, grace: float
    ) -> None:
        self.schedule = Schedule(
            seed, pause_seconds=pause_seconds, death=death, is_strict=is_strict
        )
        self.shared = self.schedule.shared
        self.grace = grace
        self.random = self.schedule.random
        self.deleted_count = 0
        self.lazy: list[Machine] = []
        """Machines whose fetches leave contents there."""
        self.shallow: list[Machine] = []
        """Machines that have the last commits alone."""

    def run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(boundary, "awake_and_asleep", lambda: self.shared.now)
        monkeypatch.setattr(push, "pause", self._pause)
        monkeypatch.setattr(push, "_SWEPT_WAITS", 100_000)
        for number in range(3):
            self.schedule.add(f"pusher {number}", self._pusher(number))
        self.schedule.add("fetcher", self._fetcher)
        self.schedule.add("lazy reader", self._lazy_reader)
        self.schedule.add("shallow pusher", self._shallow_pusher)
        for number in range(2):
            self.schedule.add(f"collector {number}", self._collector)
        self.schedule.run()
        self._check_end()

    def _pause(self, seconds: float) -> None:
        """Let the actor sleep that waits."""
        actor = next(each for each in self.schedule.actors if each.thread is current_thread())
        actor.sleep(60 * seconds)

    def _pusher(self, number: int) -> Callable[[Actor], None]:
        def act(actor: Actor) -> None:
            machine = Machine(actor)
            branches = [f"own{number}"]
            machine.run("switch", "-q", "-c", branches[0])
            for count in range(_MOVES_COUNT):
                actor.sleep(self.random.choice((0.0, self.random.uniform(0.0, 12 * HOUR))))
                try:
                    self._move(machine, branches, f"{number}-{count}")
                except (Stale, Busy, NotFound):
                    continue
                except HeliosError as error:
                    if "nothing to" not in str(error):
                        raise

        return act

    def _move(self, machine: Machine, branches: list[str], word: str) -> None:
        drawn = self.random
        what = drawn.random()
        if what < 0.4 or machine.view.head is None:
            name = drawn.choice(("a", "b", "c"))
            machine.commit(word, **{name: drawn.randbytes(drawn.choice((10, 700, 2_000)))})
            if drawn.random() < 0.3:
                self._push_experiment(machine, branches[-1])
            machine.push(branches[-1])
        elif what < 0.5:
            self._fetch(machine)
        elif what < 0.75:
            # From what was seen elsewhere, however long ago that was.
            seen = [name for _, name in machine.tracked]
            if seen:
                branches.append(f"{branches[0]}.{word}")
                machine.run("switch", "-q", "-c", branches[-1], f"origin/{drawn.choice(seen)}")
                machine.push(branches[-1])
        elif what < 0.92:
            names = [name for _, name in machine.tracked if name.startswith(branches[0])]
            if names:
                gone = drawn.choice(names)
                run_to_end(
                    delete(machine.repository, machine.bucket, "origin", gone), machine.store
                )
        elif (HEADS, branches[-1]) in machine.tracked:
            machine.run("commit", "-q", "--allow-empty", "--amend", "-m", word)
            machine.push(branches[-1], with_lease=True)

    def _push_experiment(self, machine: Machine, name: str) -> None:
        """Push the branch beside an experiment, whose record has a new score each time."""
        repository = machine.repository
        branch = repository.refs.branch(name)
        assert branch.head is not None
        found = repository.experiments.of_slot(branch.slot)
        if found is None:
            found = Experiment(name, branch.slot, branch.head, repository.clock.now_ns())
        with repository.transaction:
            repository.experiments.put(found)
            repository.experiments.add_commit(found, branch.head)
            now = repository.clock.now_ns()
            repository.experiments.record(branch.head, {"score": f"{now}"}, {"score": now})
        beside = BesideRef(name, branch.head)
        steps = push_experiment(repository, machine.bucket, "origin", found, name, beside)
        run_to_end(steps, machine.store)

    def _fetch(self, machine: Machine, extent: Extent = DOWN_TO_KNOWN) -> None:
        begun_at = self.shared.now
        try:
            steps = fetch(machine.repository, machine.bucket, "origin", extent=extent)
            run_to_end(steps, machine.store)
        except DamagedRemote:
            # Who takes longer than things wait for their deletion may find them gone.
            if self.shared.is_strict and self.shared.now - begun_at < self.grace:
                raise

    def _fetcher(self, actor: Actor) -> None:
        for _ in range(_MOVES_COUNT // 2):
            actor.sleep(self.random.uniform(0.0, 12 * HOUR))
            self._fetch(Machine(actor))

    def _lazy_reader(self, actor: Actor) -> None:
        machine = Machine(actor, is_lazy=True)
        self.lazy.append(machine)
        for _ in range(_MOVES_COUNT // 2):
            actor.sleep(self.random.uniform(0.0, 12 * HOUR))
            self._fetch(machine)
            actor.sleep(self.random.uniform(0.0, 12 * HOUR))
            if self.random.random() < 0.5:
                self._bring_contents(machine)

    def _shallow_pusher(self, actor: Actor) -> None:
        """Have the last commits alone, and push new ones on top of any of them."""
        machine = Machine(actor)
        self.shallow.append(machine)
        drawn = self.random
        for count in range(_MOVES_COUNT // 2):
            actor.sleep(drawn.uniform(0.0, 12 * HOUR))
            self._fetch(machine, drawn.choice((Extent(1), Extent(2), DOWN_TO_KNOWN)))
            seen = [name for kind, name in machine.tracked if kind == HEADS]
            if not seen:
                continue
            with suppress(Stale, Busy, NotPermitted):
                name = f"shallow{count}"
                machine.run("switch", "-q", "-c", name, f"origin/{drawn.choice(seen)}")
                machine.commit(name, shallow=drawn.randbytes(700))
                machine.push(name)

    def _check_shallow(self, machine: Machine) -> None:
        """Check that nothing is cut but at the edge, and that all history can be had."""
        machine.bucket = self.shared.bucket
        check_whole_or_cut(machine.repository)
        machine.fetch(prunes=True)
        self._fetch(machine, Extent(is_whole=True))
        check_whole_or_cut(machine.repository)
        for seen in machine.tracked.values():
            walk = machine.repository.history.walk(seen.commit)
            assert not any(oid in machine.repository.history.edge for oid, _ in walk)

    def _bring_contents(self, machine: Machine) -> None:
        """Read what is promised; what only a branch had that is gone may be gone, too."""
        steps = make_whole(machine.repository, lambda url: machine.bucket)
        with suppress(DamagedRemote):
            run_to_end(steps, machine.store)

    def _check_lazy(self, machine: Machine) -> None:
        """Check that all contents can be had that a branch needs which is there."""
        machine.bucket = self.shared.bucket
        machine.fetch(prunes=True)
        self._bring_contents(machine)
        pending = [(Kind.COMMIT, Oid(each.commit)) for each in machine.tracked.values()]
        seen = set(pending)
        while pending:
            kind, oid = pending.pop()
            for each in references(kind, machine.store.read(oid, kind)):
                if each not in seen:
                    seen.add(each)
                    pending.append(each)

    def _collector(self, actor: Actor) -> None:
        for _ in range(2 * _MOVES_COUNT):
            actor.sleep(self.random.uniform(0.0, 5 * HOUR))
            steps = collect(actor, grace_seconds=self.grace, now=lambda: self.shared.now)
            try:
                self.deleted_count += run_to_end(steps, MemoryStore()).deleted_count
            except Busy:
                continue
            except MissingObject:
                # A pusher that slept longer than things wait has moved a ref, and is about to see
                # what it has to send again: nothing is deleted meanwhile.
                if self.shared.is_strict:
                    raise

    def _check_end(self) -> None:
        self.shared.check()
        for machine in self.lazy:
            self._check_lazy(machine)
        for machine in self.shallow:
            self._check_shallow(machine)
        reader = Machine(self.shared.bucket)
        assert not reader.fetch().damaged
        reader.check()
        for _ in range(4):
            self.shared.now += self.grace + 2 * HOUR
            run_to_end(collect(self.shared.bucket, grace_seconds=self.grace), MemoryStore())
        self.shared.check()
        reader = Machine(self.shared.bucket)
        assert not reader.fetch().damaged
        reader.check()


def _short(seed: int, monkeypatch: pytest.MonkeyPatch, grace: float = GRACE) -> _Run:
    """Run a schedule in which nobody sleeps as long as things wait, and anybody may die."""
    run = _Run(seed, pause_seconds=4 * HOUR, death=0.002, is_strict=True, grace=grace)
    run.run(monkeypatch)
    return run


def _long(seed: int, monkeypatch: pytest.MonkeyPatch) -> _Run:
    """Run a schedule in which anybody sleeps for days at any request, and wakes up again."""
    run = _Run(seed, pause_seconds=30 * HOUR, death=0.0, is_strict=False, grace=GRACE)
    run.run(monkeypatch)
    return run


@pytest.mark.parametrize("kind", [_short, _long])
def test_no_schedule_loses_an_object(
    kind: Callable[..., _Run], monkeypatch: pytest.MonkeyPatch, long_seconds: float
) -> None:
    end = time.monotonic() + long_seconds
    seed = deleted_count = 0
    while seed < _SEEDS_COUNT or time.monotonic() < end:
        try:
            deleted_count += kind(seed, monkeypatch).deleted_count
        except BaseException:
            print(f"seed {seed}")
            raise
        seed += 1
    assert deleted_count > seed


def _no_look(patch: pytest.MonkeyPatch) -> None:
    nothing = LostObjects(set(), is_swept=False)
    patch.setattr(Reliance, "look", lambda self: nothing)


def _no_second_look(patch: pytest.MonkeyPatch) -> None:
    def settle(sending: object) -> Steps[None]:
        yield from ()

    patch.setattr(push._Sending, "settle", settle)


def _no_first_look(patch: pytest.MonkeyPatch) -> None:
    def look(sending: object) -> Steps[LostObjects]:
        yield from ()
        return LostObjects(set(), is_swept=False)

    patch.setattr(push._Sending, "_look", look)


def _no_second_reading(patch: pytest.MonkeyPatch) -> None:
    before = collection._Collection._reached

    def reached(run: Any, boundary: Any, objects: Any) -> Steps[set[str]]:
        if objects is not None:
            return set()
        return (yield from before(run, boundary, objects))

    patch.setattr(collection._Collection, "_reached", reached)


_MUTANTS = [_no_look, _no_second_look, _no_first_look, _no_second_reading]


@pytest.mark.parametrize("mutate", _MUTANTS)
def test_a_rule_that_is_left_out_is_found(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    for seed in range(_MUTANT_SEEDS):
        for kind in (_short, _long):
            try:
                kind(seed, monkeypatch)
            except (Hole, DamagedRemote, MissingObject):
                return
    pytest.fail("no schedule shows it")


def test_things_that_wait_for_nothing_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((Hole, DamagedRemote)):
        # Those before show nothing.
        for seed in range(_MUTANT_SEEDS, 2 * _MUTANT_SEEDS):
            _short(seed, monkeypatch, grace=0.0)
