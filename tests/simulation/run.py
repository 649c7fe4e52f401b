"""A simulation from a seed: its lives, what ends each of them, and the search for what is wrong."""

from __future__ import annotations

import re
import shutil
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import trio
import trio.testing
from trio._core import _run

from heliosfs.clock import FixedClock
from heliosfs.errors import StoreError
from heliosfs.repo.configuration import FILE as SETTINGS_FILE
from tests.simulation.checks import (
    check_belief,
    check_commits,
    check_long_verbs,
    check_stores,
    check_trees,
)
from tests.simulation.damage import contents_of, judge
from tests.simulation.disk import TMPFS, Died, Disk
from tests.simulation.effects import Oracle
from tests.simulation.formats import downgrade
from tests.simulation.model import Model, Tree, Work
from tests.simulation.mount import Fault, Hooks, Life, simulated
from tests.simulation.verb_actions import VerbActor

LIVES = (1, 2, 2, 3)
WEIGHTS = {
    "write": 10, "save": 3, "mkdir": 4, "symlink": 2, "link": 2, "unlink": 4, "rmdir": 2,
    "rename": 4, "chmod": 4, "truncate": 2, "stat": 2, "listdir": 4, "read": 3, "read_tree": 6,
    "open": 4, "close": 3, "write_open": 4, "read_open": 3, "fsync": 2,
    "forget": 3, "wait": 5, "reduce": 1, "drain": 2, "save_all": 2, "trim": 1,
    "commit": 14, "branch": 5, "delete_branch": 1, "checkout": 8, "detach": 3, "reset": 6,
    "undo": 4, "redo": 3, "tag": 1, "stash": 2, "pop": 2, "merge": 4, "status": 1, "gc": 1,
    "fsck": 1, "look_back": 2, "add": 2, "restore": 2, "remove": 1, "pick": 2, "conclude": 2,
    "merge_marked": 2, "amend": 1, "experiment": 1, "rename_branch": 1,
    "configure": 2, "collect_soon": 2, "interrupted": 2, "abandoned": 2, "set_xattr": 2,
    "list_xattrs": 1, "store_mapped": 5, "write_back": 1, "touch": 1, "write_large": 2,
    "import_directory": 1,
}  # fmt: skip
ABOUT_STORE = {
    "write_large": 8, "write": 4, "commit": 8, "drain": 6, "save_all": 4, "open": 4,
    "write_open": 4, "fsync": 4, "wait": 4, "gc": 3, "delete_branch": 2, "branch": 3,
    "reset": 4, "checkout": 3, "read_tree": 3, "fsck": 1, "unlink": 2, "look_back": 2,
}  # fmt: skip
"""Weights of a life in which most happens between memory and disk."""
ABOUT_COLLECTIONS = {
    "write": 8, "mkdir": 1, "save": 2, "unlink": 2, "commit": 10, "branch": 4, "checkout": 8,
    "delete_branch": 3, "detach": 2, "reset": 6, "undo": 4, "redo": 2, "stash": 3, "pop": 2,
    "add": 4, "tag": 1, "gc": 8, "collect_soon": 3, "abandoned": 2, "interrupted": 2, "wait": 4,
    "configure": 1, "drain": 2, "open": 3, "write_open": 3, "fsck": 2, "look_back": 3,
    "read_tree": 4, "experiment": 1, "amend": 1, "restore": 2,
}  # fmt: skip
"""Weights of a life in which most of what was made goes away again."""
RARE = {"fill_disk": 1, "free_disk": 3, "fail_sync": 1}
ENDS = ("unmount", "kill", "cut", "die", "die", "die and cut", "stop", "stop", "stop and cut")
"""A life ends when all is done, at a change of the disk ("die"), or at a moment ("stop")."""


@dataclass(frozen=True)
class Action:
    """Something that one of several actors does; its choices come from its own seed."""

    actor: int
    kind: str
    seed: int


@dataclass
class Plan:
    """All that happens in a life, and how it ends."""

    actions: list[Action]
    end: str
    dies_after: int = 0
    """Number of changes of the disk after which the process dies; 0 for never."""
    dies_early: bool = False
    """True if these changes are counted from the opening of the store on."""
    stops_after: int = 0
    """Number of moments between two steps after which the process dies; 0 for never."""
    damage: int = 0
    """Seed of the damage that is done to a copy of what is left; 0 for none."""
    becomes_old: bool = False
    """True if what is left becomes a store of an earlier format, which the next life upgrades."""


@dataclass
class Figures:
    """Counts of what was done in one or in many simulations."""

    seeds: int = 0
    actions: int = 0
    verbs: int = 0
    requests: int = 0
    adoptions: int = 0
    ends: dict[str, int] = field(default_factory=dict)

    def add(self, other: Figures) -> None:
        self.seeds += other.seeds
        self.actions += other.actions
        self.verbs += other.verbs
        self.requests += other.requests
        self.adoptions += other.adoptions
        for name, count in other.ends.items():
            self.ends[name] = self.ends.get(name, 0) + count


def plan(seed: int) -> list[Plan]:
    """Choose what happens."""
    random = Random(seed)
    # Swarm testing: what is left out makes room for the rest (Groce and others, 2012).
    weights = {kind: share for kind, share in WEIGHTS.items() if random.random() < 0.75}
    weights |= {"write": 10, "commit": 14}
    theme = random.random()
    if theme < 0.3:
        weights = dict(ABOUT_STORE if theme < 0.15 else ABOUT_COLLECTIONS)
    for kind in random.sample(sorted(weights), 3):
        weights[kind] *= 4
    if random.random() < 0.2:
        weights |= RARE
    kinds, shares = list(weights), list(weights.values())
    actors = random.choice((1, 2, 3))
    plans = []
    lives = random.choice(LIVES)
    for _ in range(lives):
        count = random.randint(10, 70) // lives + 4
        actions = [
            Action(random.randrange(actors), kind, random.getrandbits(32))
            for kind in random.choices(kinds, shares, k=count)
        ]
        for at in sorted(random.sample(range(count), 2)):
            actions.insert(
                at, Action(random.randrange(actors), "read_tree", random.getrandbits(32))
            )
        end = random.choice(ENDS)
        dies_after = random.randint(1, random.choice((8, 40))) if end.startswith("die") else 0
        stops_after = random.randint(1, 2 * count) if end.startswith("stop") else 0
        is_early = random.random() < 0.3
        damage = random.getrandbits(32) if random.random() < 0.3 else 0
        becomes_old = random.random() < 0.05
        plans.append(Plan(actions, end, dies_after, is_early, stops_after, damage, becomes_old))
    return plans


class Opening(Hooks):
    """Batches that are published before a life is served: they change nothing that users see."""

    def __init__(self, model: Model) -> None:
        self._worlds = model.worlds

    def published(self, number: int) -> None:
        world = self._worlds.get(number - 1)
        if world is not None:
            self._worlds[number] = world


class Simulation:
    """The lives of a plan, on one disk."""

    def __init__(self, seed: int, plans: list[Plan]) -> None:
        self.seed = seed
        self.plans = plans
        self.random = Random(seed)
        self.figures = Figures(seeds=1)
        self.model = Model()
        self.states: dict[int, dict[bytes, bytes]] = {}
        self.log: list[str] = []
        self.clock = FixedClock()
        self.promised = 0
        """The last batch that an answer called safe, or that an open has found."""
        self.is_witnessed = True
        """False from a power cut to the end of the next open: nothing may be left until then that
        says which batch was safe."""
        self.published = 0
        """The last batch that was published, which a death leaves."""
        self.left_before: dict[str, bytes] = {}
        """Files of the store as the life before left them."""
        self.is_closed = True
        """True if the last life, if any, was ended by an unmount."""

    def run(self) -> None:
        """Live through all of it.  Fault, or whatever the product raises."""
        path = Path(tempfile.mkdtemp(prefix="simulation-", dir=TMPFS))
        try:
            with simulated():
                self.disk = Disk(path, Random(self.seed))
                for each in self.plans:
                    self._live(each)
                self._live(Plan([], "unmount"))
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _live(self, plan: Plan) -> None:
        disk = self.disk
        _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
        _run._r.seed(self.random.getrandbits(32))
        oracle = self.oracle = Oracle(self.model, disk)
        life = None
        self.log.append(f"-- a life that ends with {plan.end!r}")
        ended = "died"
        try:
            disk.begin(dies_after=plan.dies_after if plan.dies_early else 0)
            life = Life(disk, self.clock, Random(self.random.getrandbits(32)))
            self._begin(life, oracle)
            if plan.dies_after and not plan.dies_early:
                disk.dies_at = disk.change_count + plan.dies_after
            life.pauses.dies_at = plan.stops_after
            clock = trio.testing.MockClock(autojump_threshold=0)
            trio.run(self._main, life, oracle, plan, clock=clock)
            ended = plan.end
            if plan.end not in ("kill", "cut"):
                ended = self._close(life)
        except BaseException as error:
            if not _is_death(error):
                raise
        self.log.append(f"-- {ended}")
        number = life.store.number if life is not None else 0
        if life is not None:
            life.abandon()
            self.figures.verbs += oracle.verbs
            self.figures.adoptions += oracle.adoptions
            if hasattr(life, "cache"):
                self.figures.requests += life.cache.requests
        self.is_closed = ended == "unmount"
        disk.end(is_killed=not ended.startswith("unmount"))
        is_cut = plan.end.endswith("cut")
        self._count(ended)
        if is_cut:
            disk.cut_power()
            self.published = 0
            self.is_witnessed = False
            self._count("power cut")
        else:
            self.published = max(self.published, number)
        if plan.damage and self.states and (disk.path / "format").exists():
            random = Random(plan.damage)
            promised = self.promised if self.is_witnessed else 0
            told = judge(
                disk.path, random, self.states, self.model.commits, promised, self.left_before
            )
            self._count(f"damage {told}")
        self.left_before = contents_of(disk.path)
        if plan.becomes_old and downgrade(disk):
            self._count("format 2")

    def _count(self, what: str) -> None:
        self.figures.ends[what] = self.figures.ends.get(what, 0) + 1

    def _close(self, life: Life) -> str:
        """Unmount; says how that went."""
        disk = self.disk
        disk.is_full = False
        try:
            life.repository.inodes.end()
            life.repository.close()
        except StoreError:
            if not (disk.has_failed or disk.failing_syncs):
                raise
            return "unmount after a failure"
        self.promised = max(self.promised, life.store.number)
        return "unmount"

    def _begin(self, life: Life, oracle: Oracle) -> None:
        """Compare what a life finds with what was left."""
        number, found = life.found
        model = self.model
        promised = max(self.promised, self.published)
        if number < promised:
            raise Fault(f"batch {promised} was promised, and {number} is the last one")
        if number:
            if number not in self.states:
                raise Fault(f"batch {number} was never published: {sorted(self.states)[-3:]}")
            if found != self.states[number]:
                raise Fault(f"the state is not that of batch {number}")
        if max(self.states, default=0) > number:
            # A power cut took batches, whose numbers are given once more.  That a journal ends too
            # early is noticed; not that a file of it goes on with what was lost then.
            self.left_before = {
                name: data
                for name, data in self.left_before.items()
                if not name.startswith("journal-")
            }
        # What an open has found is in L2; what it makes new is not safe yet.
        self.promised, self.published, self.is_witnessed = number, 0, True
        self.states = {number: found}
        world = model.worlds.get(number)
        model.worlds = {} if world is None else {number: world}
        life.begin(self.states, Opening(model))
        oracle.attach(life)
        self._check_findings(life)
        if number:
            oracle.come_back(life.store.number, world)
        else:
            # A store that was just made, or of which nothing is left.
            model.works, model.root, model.tags, model.stash = {}, "main", {}, ()
            model.works["main"] = Work(None, Tree())
            model.works["main"].note()
            model.worlds = {life.store.number: model.freeze()}
        life.serve()
        check_commits(life, oracle, self.random)

    def _check_findings(self, life: Life) -> None:
        """Check the settings, and that damage is told of only where there is some."""
        text = life.settings.read() or b""
        if text not in self.model.settings:
            raise Fault(f"the settings are {text!r}, not {self.model.settings}")
        self.model.settings = [text]
        told = life.repository.findings
        if not self.is_closed:
            # A death may come between the file and the batch that has its digest.
            told = [line for line in told if not line.startswith(SETTINGS_FILE)]
        if told:
            raise Fault(f"damage is told of, where there is none: {told}")

    async def _main(self, life: Life, oracle: Oracle, plan: Plan) -> None:
        async with trio.open_nursery() as background:
            background.start_soon(life.work)
            actors = [
                VerbActor(life, oracle, self.disk, Random(0), pid)
                for pid in range(1, 2 + max((each.actor for each in plan.actions), default=0))
            ]
            async with trio.open_nursery() as nursery:
                for number, actor in enumerate(actors):
                    mine = [each for each in plan.actions if each.actor == number]
                    nursery.start_soon(self._act, life, actor, mine)
            if plan.end == "kill":
                self.disk.is_dead = True
            elif plan.end == "cut":
                self.disk.is_dead = True
                self.promised = max(self.promised, *(actor.promised for actor in actors))
            else:
                await self._settle(life, oracle, actors)
            background.cancel_scope.cancel()

    async def _act(self, life: Life, actor: VerbActor, actions: list[Action]) -> None:
        for action in actions:
            await life.pauses()
            self.figures.actions += 1
            self.log.append(f"{action.actor} {action.kind} {action.seed}")
            actor.log = self.log
            try:
                await actor.act(action.kind, Random(action.seed))
            finally:
                self.promised = max(self.promised, actor.promised)
            if self.disk.is_dead:
                # Another task has met its end, and the kernel waits for its notices for ever.
                return
            check_stores(life)
            if life.is_settled and action.seed % 4 == 0:
                check_belief(life)

    async def _settle(self, life: Life, oracle: Oracle, actors: list[VerbActor]) -> None:
        """Let all come to an end, and look at everything."""
        check_belief(life)
        check_trees(life, oracle)
        for actor in actors:
            while actor.open_files:
                await actor.do_close()
        check_commits(life, oracle, self.random)
        await check_long_verbs(life)


def causes(error: BaseException) -> list[BaseException]:
    """The errors in a group of errors, or the one that it is."""
    # A BaseExceptionGroup, which has no name of its own before Python 3.11.
    inner: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if inner is not None:
        return [cause for each in inner for cause in causes(each)]
    return [error]


def _is_death(error: BaseException) -> bool:
    """Return True if nothing but the death of the process is the cause."""
    return all(isinstance(each, (Died, trio.Cancelled)) for each in causes(error))


class Failure(Exception):
    """A simulation that went wrong, and what happened before."""

    def __init__(self, seed: int, plans: list[Plan], error: BaseException, log: list[str]) -> None:
        self.seed = seed
        self.plans = plans
        self.causes = [each for each in causes(error) if not isinstance(each, trio.Cancelled)]
        self.log = log
        super().__init__(f"seed {seed}: {self.kind}")

    @property
    def kind(self) -> str:
        """The error without the values in it, by which two failures are compared."""
        cause = self.causes[0]
        place = traceback.extract_tb(cause.__traceback__)[-1]
        text = re.sub(r"[0-9a-f]{8,}|\d+|'[^']*'", "-", str(cause))
        return f"{type(cause).__name__} in {place.name}: {text[:100]}"

    def report(self) -> str:
        """All that is known of it."""
        lines = [f"seed {self.seed}", *self.log]
        for cause in self.causes:
            lines += traceback.format_exception(type(cause), cause, cause.__traceback__)
        return "\n".join(lines)


def simulate(seed: int, plans: list[Plan] | None = None) -> Figures:
    """Run the simulation of a seed, or of a plan that was made of one.  Failure."""
    simulation = Simulation(seed, plan(seed) if plans is None else plans)
    try:
        simulation.run()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is told)
        raise Failure(seed, simulation.plans, error, simulation.log[-60:]) from None
    return simulation.figures
