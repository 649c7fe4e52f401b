"""One life of the daemon on the fakes: store, repository, handlers, keeper and verbs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import ModuleType
from typing import Any, cast

import trio

from heliosfs.clock import FixedClock
from heliosfs.commands import gc as commands_gc
from heliosfs.commands import table
from heliosfs.commands.verb import NO_SCREEN, Screen
from heliosfs.daemon import auto_gc, driver, keeper, reader, verbs
from heliosfs.daemon.auto_gc import Collector
from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.rare_requests import Operations
from heliosfs.daemon.service import Service
from heliosfs.daemon.watchers import Watchers
from heliosfs.errors import HeliosError, StoreError
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.objects.ids import CommitId
from heliosfs.repo.configuration import FILE as SETTINGS_FILE
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.gc import collect, commits, forgetting, roots
from heliosfs.repo.identity import Identity
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.steps import Steps, Work
from heliosfs.store import directory, drain, witness
from heliosfs.store.encoding import packfiles, packs
from heliosfs.store.formats import format2
from heliosfs.store.gc import packcopy, repack, sweep
from heliosfs.store.journal import journal
from heliosfs.store.l2 import compact, database, encoder
from heliosfs.store.local import LocalStore
from heliosfs.store.sidefile import BesideFile
from heliosfs.vfs import control
from heliosfs.vfs.control_request import BegunBarrier
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace import inodes, link_groups
from heliosfs.workspace.inodes import FILE as INODES_FILE
from heliosfs.workspace.nodes import DirNode, FileNode, Node, SymlinkNode
from heliosfs.workspace.switch import Invalidation
from heliosfs.workspace.unloading import discard
from heliosfs.workspace.workspace import Workspace
from tests.simulation.disk import Died, Disk, SimulatedDirectory
from tests.simulation.kernel import GID, UID, CachingKernel, Handle
from tests.simulation.model import DETACHED, PathBytes, Picture, Shown
from tests.simulation.threads import GatedThreading, Worker

IDENTITY = Identity(b"Ada", b"ada@example.org", UID, GID)
_PREPARED_BYTES = 64 * 1024


LIMITS: tuple[tuple[ModuleType, str, int], ...] = (
    (encoder, "TXN_OBJECTS", 3),
    (packs, "PACK_MAX_BYTES", 150_000),
    (packfiles, "_OPEN_MAX", 2),
    (sweep, "_SCANNED", 4),
    (sweep, "_LISTED", 5),
    (sweep, "_REMOVED", 2),
    (packcopy, "_SCANNED", 4),
    (packcopy, "_COPY_STEP_BYTES", 80_000),
    (repack, "_SCANNED", 4),
    (repack, "_STEP_RECORDS", 3),
    (collect, "_MARK_COUNT", 3),
    (commits, "_READ_COUNT", 2),
    (forgetting, "_STATE_COUNT", 2),
    (roots, "_NODE_SLICE", 3),
    (database, "RECENT_MAX", 8),
    (compact, "_ITEMS_AT_ONCE", 4),
    (format2, "_ITEMS_AT_ONCE", 4),
    (inodes, "BLOCK_COUNT", 200),
)
"""Sizes of what is done at once, so small that all is done in several steps."""


class Fault(AssertionError):
    """Breach of a rule that must always hold."""


class Hooks:
    """Events that the simulation is told of, at the moment at which they happen."""

    is_in_verb = False
    """True while a verb runs whose effect the model does not have yet."""

    def published(self, number: int) -> None: ...

    def begins(self, view: View, verb: str) -> None: ...

    def went_on(self) -> None: ...

    def wrote_back(self, handle: Handle, offset: int, data: bytes) -> None: ...

    def checkpointed(self) -> None: ...

    def carried_out(self, view: View, name: str, argv: list[str]) -> None: ...

    def refused(self, name: str, argv: list[str], error: HeliosError) -> None: ...

    def collects(self, argv: list[str]) -> None: ...

    def writes_settings(self, text: bytes) -> None: ...

    def wrote_settings(self, text: bytes) -> None: ...


class SimulatedStore(LocalStore):
    """A store that keeps a copy of its state as of every batch."""

    hooks = Hooks()
    states: dict[int, dict[bytes, bytes]] | None = None

    def follow(self, states: dict[int, dict[bytes, bytes]], hooks: Hooks) -> None:
        """Begin to record; `states` gets the state by the number of the batch."""
        self.states = states
        self.hooks = hooks

    @property
    def number(self) -> int:
        """Number of the last batch that was published."""
        return self._journal.number

    def publish(self) -> None:
        before = self.number
        batch = self._state.batch
        if self.states is not None and (self._pending.batch or batch):
            state = dict(self.states[before])
            for key, value in batch.items():
                if value is None:
                    state.pop(key, None)
                else:
                    state[key] = value
            self.states[before + 1] = state
        super().publish()
        if self.number != before:
            self.hooks.published(self.number)


class SettingsFile(BesideFile):
    """`helios.yaml`, which tells of each change."""

    hooks = Hooks()

    def replace(self, data: bytes) -> None:
        self.hooks.writes_settings(data)
        super().replace(data)
        self.hooks.wrote_settings(data)


class SimulatedRepository(Repository):
    """A repository that tells when it was saved."""

    hooks = Hooks()

    def checkpoint(self) -> None:
        super().checkpoint()
        self.hooks.checkpointed()


class Pauses:
    """Moments at which other tasks may run, as many as chance will have."""

    def __init__(self, random: Random, disk: Disk) -> None:
        self._random = random
        self._disk = disk
        self.dies_at = 0
        """Number of the moment at which the process dies; 0 for none."""
        self._count = 0

    async def __call__(self, *, is_killed: bool = True) -> None:
        self._count += 1
        if self.dies_at and self._count >= self.dies_at:
            self._disk.is_dead = True
            # A thread that runs is ended by its next call of the disk.
            if is_killed:
                raise Died
        for _ in range(self._random.choice((0, 0, 1, 1, 2, 4))):
            await trio.lowlevel.checkpoint()


class _Errands:
    """Calls to the kernel from a thread, without the thread."""

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses

    async def run(self, call: Callable[[], None]) -> None:
        await self._pauses()
        call()
        await self._pauses()


class SimulatedKernel(Kernel):
    """The calls to the kernel, on the loop."""

    def __init__(self, notices: Notices, pauses: Pauses) -> None:
        super().__init__(RequestLoop(), Barrier("/", -1), notices)
        self._pauses = pauses
        self._errands = self._page_errands = _Errands(pauses)  # type: ignore[assignment]
        self.telling = 0
        """Number of invalidations that are under way."""

    async def barrier(self, begun: BegunBarrier | None = None) -> None:
        """Write all dirty pages back, as syncfs(2) does."""
        await self._pauses()
        cache = cast("CachingKernel", self._notices)
        for inode in cache.dirty_inodes():
            try:
                await cache.write_back(inode)
            except OSError as error:
                raise StoreError(f"a page could not be written back: {error}") from error
            await self._pauses()

    async def invalidate(self, stale: Invalidation) -> None:
        self.telling += 1
        try:
            await super().invalidate(stale)
        finally:
            self.telling -= 1

    @property
    def is_calm(self) -> bool:
        return not self.telling

    async def execute(self, work: Work) -> None:
        worker = Worker(work.execute)
        try:
            # A thread cannot be cancelled.
            with trio.CancelScope(shield=True):
                await self._pauses(is_killed=False)
                while not worker.step():
                    await self._pauses(is_killed=False)
                await self._pauses(is_killed=False)
        finally:
            work.apply()

    async def give_memory_back(self) -> None:
        await self._pauses()


class Callers:
    """The programs that wait for replies, and the signals that are pending for them."""

    def __init__(self) -> None:
        self._left: Counter[int] = Counter()

    def signal(self, pid: int, after: int) -> None:
        """Let a signal be pending for a program when it is asked about so often."""
        self._left[pid] = after + 1

    def calm(self, pid: int) -> None:
        """Take the signal back, or what is left of it."""
        del self._left[pid]

    def wants_to_end(self, pid: int) -> bool:
        if pid not in self._left:
            return False
        self._left[pid] -= 1
        return self._left[pid] <= 0


class RaisingLog:
    """Log of a task of the background, for which each error is a fault, unless the disk failed."""

    disk: Disk | None = None

    def info(self, *arguments: object) -> None: ...

    def warning(self, *arguments: object) -> None: ...

    def error(self, text: str, *arguments: object) -> None:
        disk = self.disk
        if disk is None or not (disk.is_full or disk.has_failed):
            raise Fault(text % arguments)

    def exception(self, text: str) -> None:
        raise Fault(f"{text}: an error in the background")


CALLERS = Callers()
LOG = RaisingLog()


class Life:
    """The daemon from its start to its end."""

    def __init__(self, disk: Disk, clock: FixedClock, random: Random) -> None:
        self.random = random
        self.disk = disk
        self.clock = clock
        self.store = SimulatedStore(SimulatedDirectory(disk), create=True, cache_bytes=1 << 20)
        self.found = self.store.number, dict(self.store.scan(b""))
        """The last batch that was left, and its state."""

    def begin(self, states: dict[int, dict[bytes, bytes]], hooks: Hooks) -> None:
        """Open the repository of the store."""
        self.store.follow(states, hooks)
        self.settings = SettingsFile(self.store._directory, SETTINGS_FILE)
        configuration = Configuration(self.settings)
        repository = SimulatedRepository.open(self.store, self.clock, IDENTITY)
        repository.configure(configuration)
        repository.keep_numbers(self.store.file_beside(INODES_FILE))
        self.repository = cast("SimulatedRepository", repository)

    def tell(self, hooks: Hooks) -> None:
        """Tell of all that happens from now on."""
        self.hooks = self.store.hooks = self.settings.hooks = self.repository.hooks = hooks

    def serve(self) -> None:
        """Put together what answers requests."""
        repository, random = self.repository, self.random
        self.cache = CachingKernel(random)
        self.pauses = Pauses(random, self.disk)
        notices = cast("Notices", self.cache)
        self.filesystem = FileSystem(repository)
        self.kernel = SimulatedKernel(notices, self.pauses)
        watchers = Watchers(repository, "/", notices)
        service = Service(repository, self.filesystem, self.kernel, notices, watchers)
        self.keeper, self.trimmer = service.keeper, service.trimmer
        self.verbs = service.verbs
        self.collector = Collector(repository, service.keeper, service.verbs.run_long)
        LOG.disk = self.disk
        if random.random() < 0.5:
            self.trimmer.prune = self.cache.prune
        self.cache.handlers = service.handlers
        self.cache.wrote_back = self.hooks.wrote_back
        self.cache.rare = Operations(self.filesystem, service.keeper, xattr=True)

    async def work(self) -> None:
        """Run the tasks of the background, until cancelled."""
        async with trio.open_nursery() as nursery:
            for task in (
                self.keeper.run, self.trimmer.run, self.kernel.run, self.collector.run,
            ):  # fmt: skip
                nursery.start_soon(task)

    @property
    def is_settled(self) -> bool:
        """True if the kernel has been told of all that verbs have changed."""
        return not self.kernel.telling and not self.repository.transaction.stale

    def abandon(self) -> None:
        """Close what a dead process had open, without a change of the disk."""
        self.store._l2.env.close()

    # What is there, by a look past the kernel.

    def picture_of(self, name: str) -> Picture:
        """The working tree of a branch, or the detached one."""
        repository = self.repository
        root = repository.root
        if (root.branch or DETACHED) == name:
            return read_picture(root.workspace)
        branch = repository.refs.find(name) if name else None
        view = repository.live.get(branch.slot) if branch else None
        if view is not None:
            return read_picture(view.workspace)
        state = repository.saved_state(branch) if branch else repository.kept_state(0)
        assert state is not None
        workspace = Workspace(
            repository.store,
            repository.clock,
            repository.inodes,
            repository.working_set,
            state.root,
            read_only=True,
        )
        try:
            return read_picture(workspace)
        finally:
            discard(workspace)

    def commit_picture(self, oid: bytes) -> Picture:
        workspace = self.repository.snapshot(CommitId(cast("Any", oid)))
        try:
            return read_picture(workspace)
        finally:
            discard(workspace)


def read_picture(workspace: Workspace) -> Picture:
    """All files of a tree."""
    files: dict[PathBytes, Shown] = {}
    names: dict[int, list[PathBytes]] = {}
    pending: list[tuple[PathBytes, DirNode]] = [((), workspace.root)]
    while pending:
        prefix, directory = pending.pop()
        for name in list(workspace.names(directory)):
            node = workspace.lookup(directory, name)
            assert isinstance(node, Node)
            path = (*prefix, name)
            data = b""
            if isinstance(node, DirNode):
                pending.append((path, node))
            elif isinstance(node, FileNode):
                data = bytes(workspace.working_set.read(node, 0, node.file_size))
            elif isinstance(node, SymlinkNode):
                data = node.target
            xattrs = tuple(sorted(node.xattrs.items())) if node.xattrs else ()
            files[path] = Shown(node.mode, data, xattrs)
            if not isinstance(node, DirNode):
                names.setdefault(node.ino, []).append(path)
    links = frozenset(frozenset(paths) for paths in names.values() if len(paths) > 1)
    return Picture(files, links)


def _run(
    repository: Repository,
    view: View,
    argv: list[str],
    cwd: str = "",
    *,
    screen: Screen = NO_SCREEN,
) -> str:
    name = view.branch or DETACHED
    hooks = cast("SimulatedRepository", repository).hooks
    hooks.begins(view, argv[0])
    hooks.is_in_verb = True
    try:
        reply = table.run(repository, view, argv, cwd, screen=screen)
    except HeliosError as error:
        hooks.refused(name, argv, error)
        raise
    finally:
        hooks.is_in_verb = False
    hooks.carried_out(view, name, argv)
    return reply


def _begin(
    repository: Repository,
    view: View,
    argv: list[str],
    cwd: str = "",
    screen: Screen = NO_SCREEN,
) -> Steps[str]:
    """The steps of a verb; whatever it changes, it changes after its last turn."""
    hooks = cast("SimulatedRepository", repository).hooks
    steps = table.begin(repository, view, argv, cwd, screen)
    if argv[0] == "gc":
        hooks.collects(argv)
    try:
        error: Exception | None = None
        while True:
            name = view.branch or DETACHED
            hooks.begins(view, argv[0])
            hooks.is_in_verb = True
            try:
                step = next(steps) if error is None else steps.throw(error)
            except StopIteration as done:
                hooks.carried_out(view, name, argv)
                return cast("str", done.value)
            except HeliosError as raised:
                hooks.refused(name, argv, raised)
                raise
            finally:
                hooks.is_in_verb = False
            hooks.went_on()
            error = None
            try:
                yield step
            except Exception as raised:  # noqa: BLE001 (raised where the work was planned)
                error = raised
    finally:
        steps.close()


def _automatic(repository: Repository) -> Steps[str]:
    """The steps of a collection that the mount begins by itself."""
    hooks = cast("SimulatedRepository", repository).hooks
    hooks.collects(["gc"])
    return commands_gc.automatic(repository)


class _Chance:
    """Chance that is the same in each simulation, in place of `secrets`."""

    def __init__(self) -> None:
        self._random = Random(0)

    def randbits(self, count: int) -> int:
        return self._random.getrandbits(count)


@contextmanager
def simulated() -> Iterator[None]:
    """Put the seams in place: verbs are told of, and every step lets others take their turn."""
    seams = (
        (control, "run", _run),
        (control, "begin", _begin),
        (driver, "SLICE_NS", -1),
        (driver, "CHECKED_NS", -1),
        (verbs, "TOLD_NS", -1),
        (verbs, "wants_to_end", CALLERS.wants_to_end),
        (reader, "wants_to_end", CALLERS.wants_to_end),
        (auto_gc, "automatic", _automatic),
        (auto_gc, "log", LOG),
        (keeper, "log", LOG),
        (journal, "_PREPARED_BYTES", _PREPARED_BYTES),
        # Link groups are told apart by chance, and a seed must give the same ones again.
        (link_groups, "secrets", _Chance()),
        (database, "unmap_pages", lambda device, inode: True),
        *LIMITS,
        *(
            (module, "threading", GatedThreading)
            for module in (database, directory, drain, packfiles, packs, witness)
        ),
    )
    kept = [(module, name, getattr(module, name)) for module, name, _ in seams]
    for module, name, value in seams:
        setattr(module, name, value)
    umask = os.umask(0)
    try:
        yield
    finally:
        os.umask(umask)
        for module, name, value in kept:
            setattr(module, name, value)
