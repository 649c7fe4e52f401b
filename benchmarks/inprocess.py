"""The core without a mount: commit, the other verbs, L0, L1, L2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress

from benchmarks.git import git_figures
from benchmarks.measure import Plan
from benchmarks.table import Figure, Row, Unit, figure_of
from benchmarks.trees import HOT_BYTES, Tree, text
from benchmarks.worlds import World, collector_as_mounted, world
from heliosfs.commands.status.uncommitted import uncommitted
from heliosfs.errors import NothingToCommit
from heliosfs.objects.ids import Kind, object_id
from heliosfs.repo.branching import create_branch
from heliosfs.steps import drain

SMALL = Tree(1_000)
LARGE = Tree(100_000)
WIDE = Tree(100_000, directories=1_000)
_TURNS = 10
_COMMITS = 100
_US = 1_000.0
_MS = 1_000_000.0
_OBJECT_COUNT = 1_000
_OBJECT_BYTES = 250


def commit(plan: Plan) -> Iterator[Row]:
    """Commit with one 10 KB file changed, in trees of 1,000 and 100,000 files."""
    trees = (SMALL, LARGE, WIDE)
    with ExitStack() as stack:
        worlds = [stack.enter_context(world(plan, tree)) for tree in trees]
        stack.enter_context(collector_as_mounted())
        samples: list[list[float]] = [[] for _ in trees]
        for each in worlds:
            _commits(plan, each)
        # In turns: what disturbs the machine disturbs them all.
        for _ in range(_TURNS):
            for each, taken in zip(worlds, samples, strict=True):
                taken += _commits(plan, each)
    small = figure_of(samples[0])
    for tree, taken in zip(trees, samples, strict=True):
        figure = figure_of(taken)
        has_peer = tree is SMALL or (tree is LARGE and not plan.quick)
        peers = (git_figures(plan, tree).peer("commit"),) if has_peer else ()
        what = f"commit, one 10 KB file changed, {tree.name}"
        yield Row("commit", what, figure, budget=60 * _US if tree is SMALL else None, peers=peers)
        if tree is not SMALL:
            yield _flatness(f"  that, in times of {SMALL.name}", figure, small)


def _commits(plan: Plan, where: World) -> list[float]:
    return plan.sample(
        lambda: where.repository.root.commit("message"), _COMMITS, before=where.change
    )


def _flatness(what: str, figure: Figure, small: Figure) -> Row:
    ratio = Figure(figure.median / small.median, figure.p95 / small.p95, figure.samples)
    return Row("commit", what, ratio, Unit.TIMES, budget=1.2)


def verbs(plan: Plan) -> Iterator[Row]:
    """A commit of nothing, branch, checkout, reset, status."""
    trees = (SMALL,) if plan.quick else (SMALL, LARGE)
    for tree in trees:
        git = git_figures(plan, tree)
        with world(plan, tree) as where, collector_as_mounted():
            for what, taken, budget_us, command in _verbs(plan, where):
                budget = budget_us * _US if budget_us else None
                peers = (git.peer(command),) if command else ()
                figure = figure_of(taken)
                yield Row("verbs", f"{what}, {tree.name}", figure, budget=budget, peers=peers)


def _verbs(plan: Plan, where: World) -> Iterator[tuple[str, list[float], float, str]]:
    repository = where.repository
    view = repository.root
    head = view.head
    assert head is not None
    numbers = iter(range(1_000_000))

    def commit_nothing() -> None:
        with suppress(NothingToCommit):
            view.commit("message")

    yield "commit, nothing changed", plan.sample(commit_nothing, 500), 20, ""
    branches = plan.sample(lambda: create_branch(repository, f"branch-{next(numbers)}", head), 500)
    yield "branch", branches, 60, "branch"
    statuses = plan.sample(lambda: uncommitted(view), 500, before=where.change_first)
    yield "status, one file changed", statuses, 0, "status"
    resets = plan.sample(lambda: view.reset(head), 500, before=where.change_first)
    yield "reset --hard, one file changed", resets, 100, "reset"
    where.change_first()
    create_branch(repository, "other", view.commit("message"))
    view.reset(head)
    names = iter(("other", "main") * 500_000)
    checkouts = plan.sample(
        lambda: repository.checkout_branch(next(names)), 500, before=repository.take_stale
    )
    yield "checkout, branches differ in one file", checkouts, 100, "checkout"


def working_state(plan: Plan) -> Iterator[Row]:
    """L0: read and write a loaded file of 4 KB."""
    with world(plan, SMALL) as where, collector_as_mounted():
        files = where.files
        node = where.find(SMALL.hot[0])
        handle = files.handles[files.open_node(node, writing=True)]
        data = bytes(4096)
        files.truncate(node, 0)
        files.write(handle, 0, data)
        for what, action in (
            ("read", lambda: files.read(handle, 0, 4096)),
            ("write", lambda: files.write(handle, 0, data)),
        ):
            figure = figure_of(plan.sample(action, 500, batch=200))
            yield Row("L0", f"{what} 4 KB of a loaded file", figure, budget=1 * _US)


def store(plan: Plan) -> Iterator[Row]:
    """L1 and L2: read a cached object, write 1,000 objects in one batch."""
    with world(plan, SMALL) as where, collector_as_mounted():
        held = where.store
        oid = where.find(SMALL.hot[0]).oid
        assert oid is not None
        held.read(oid, Kind.BLOB)
        hits = held.stats().hits
        figure = figure_of(plan.sample(lambda: held.read(oid, Kind.BLOB), 500, batch=20))
        assert held.stats().hits > hits
        yield Row("store", f"L1 hit, {HOT_BYTES // 1024} KB", figure, budget=10 * _US)
        batches = iter(range(1_000_000))
        drained = plan.sample(
            lambda: drain(held), 50, before=lambda: _publish_batch(where, next(batches))
        )
        what = f"{_OBJECT_COUNT:,} objects of {_OBJECT_BYTES} B in one batch to L2"
        yield Row("store", what, figure_of(drained), budget=5 * _MS)


def _publish_batch(where: World, number: int) -> None:
    for at in range(_OBJECT_COUNT):
        data = text(f"{number}-{at}", _OBJECT_BYTES)
        where.store.add(object_id(Kind.BLOB, data), Kind.BLOB, data)
    where.store.publish()
