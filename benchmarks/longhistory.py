"""Long histories: what verbs, collections, checks and the report cost in them."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Iterator

from benchmarks.measure import Plan, disk_bytes
from benchmarks.table import Figure, Row, Unit, figure_of
from benchmarks.trees import Tree, text
from benchmarks.worlds import World
from heliosfs.commands.table import begin
from heliosfs.objects.commit import Commit, encode_commit
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.objects.tree import OID_AT, encode_file, entry_name, join_leaf, split_leaf
from heliosfs.repo import keys
from heliosfs.repo.branching import create_branch
from heliosfs.steps import drain, perform, run_to_end

_TREE = Tree(1_000)
_SIZES = (1_000, 10_000, 100_000)
_ENORMOUS = 1_000_000
_BRANCHES = (100, 10_000)
_WRITTEN_COUNT = 10_000
"""Commits that are written to the store together."""
_COMMITS = 100
"""Commits between two collections."""
_CALLS = 100


def history(plan: Plan) -> Iterator[Row]:
    """Histories of 1,000 to 1,000,000 commits, and of up to 10,000 branches."""
    sizes = _SIZES[:2] if plan.quick else _SIZES
    for count in sizes:
        yield from _rows(plan, count, 1)
    for branch_count in _BRANCHES[:1] if plan.quick else _BRANCHES:
        yield from _rows(plan, sizes[1], branch_count)
    if not plan.quick:
        yield from _rows(plan, _ENORMOUS, 1)


def _rows(plan: Plan, count: int, branch_count: int) -> Iterator[Row]:
    directory = plan.directory("history")
    made = World(directory, _TREE)
    add_commits(made, count)
    add_branches(made, branch_count - 1)
    made.close()
    name = f"{count:,} commits"
    if branch_count > 1:
        name += f", {branch_count:,} branches"
    figure = _once(disk_bytes(directory) / count)
    yield Row("history", f"disk for a commit, {name}", figure, Unit.BYTES)
    began = time.perf_counter_ns()
    opened = World(directory, _TREE, is_new=False)
    yield Row("history", f"open, {name}", _once(time.perf_counter_ns() - began))
    try:
        for what, taken in _measured(plan, opened, count):
            yield Row("history", f"{what}, {name}", figure_of(taken))
    finally:
        opened.close()
        shutil.rmtree(directory)


def _once(value: float) -> Figure:
    return Figure(value, value, 1)


def _measured(plan: Plan, where: World, count: int) -> Iterator[tuple[str, list[float]]]:
    repository = where.repository
    names = iter(range(1_000_000))
    commit = lambda: repository.root.commit("message")  # noqa: E731
    yield "commit", plan.sample(commit, _CALLS, before=where.change)
    branch = lambda: create_branch(repository, f"new-{next(names)}", repository.root.head)  # noqa: E731
    yield "branch", plan.sample(branch, _CALLS)
    yield "log -n 20", plan.sample(_verb(where, "log -n 20"), _CALLS)
    yield "rev-parse of the middle", plan.sample(_verb(where, f"rev-parse HEAD~{count // 2}"), 20)
    drain(where.store)
    repeats = 3 if count < _ENORMOUS else 1
    yield "report", plan.sample(_verb(where, "report"), repeats)
    yield "gc, the first one", plan.sample(_verb(where, "gc"), 1)
    more = lambda: _commit_more(where)  # noqa: E731
    yield f"gc after {_COMMITS} commits", plan.sample(_verb(where, "gc"), repeats, before=more)
    if count < _ENORMOUS:
        whole = lambda: repository.store.put(keys.GC_HANDOVER, None)  # noqa: E731
        yield "gc that looks at everything", plan.sample(_verb(where, "gc"), 3, before=whole)
        yield "fsck", plan.sample(_verb(where, "fsck"), 1)


def _verb(where: World, line: str) -> Callable[[], object]:
    repository = where.repository

    def run() -> object:
        return run_to_end(begin(repository, repository.root, line.split()), repository.store)

    return run


def _commit_more(where: World) -> None:
    for _ in range(_COMMITS):
        where.change()
        where.repository.root.commit("more")
    drain(where.store)


def add_branches(where: World, count: int) -> None:
    """Add branches, each at an own commit of the history."""
    repository = where.repository
    walked = repository.history.walk(repository.root.head)
    oids = [oid for oid, _ in zip((oid for oid, _ in walked), range(max(count, 1)), strict=False)]
    for number in range(count):
        create_branch(repository, f"branch-{number}", oids[number % len(oids)])
    drain(where.store)


def add_commits(where: World, count: int) -> None:
    """Add commits of one changed file each, past the journal, and check out the last one."""
    repository = where.repository
    drain(repository.store)
    head = repository.root.head
    assert head is not None
    bulk = repository.store.bulk()
    try:
        for number, (oid, objects) in enumerate(_commits(where, head, count), 1):
            for kind, each, data, base in objects:
                bulk.add(each, kind, data, base)
            bulk.put_all({keys.COMMIT + oid: b""})
            head = oid
            if number % _WRITTEN_COUNT == 0 or number == count:
                work = bulk.plan_write()
                assert work is not None
                perform(work)
    finally:
        bulk.close()
    create_branch(repository, "long", head)
    run_to_end(begin(repository, repository.root, ["checkout", "long"]), repository.store)
    drain(repository.store)
    gc.collect()


Added = tuple[Kind, Oid, bytes, Oid | None]


def _commits(where: World, head: CommitId, count: int) -> Iterator[tuple[CommitId, list[Added]]]:
    store, history = where.repository.store, where.repository.history
    commit = history.read(head)
    root = {entry_name(raw): raw for raw in split_leaf(store.read(commit.tree, Kind.TREE))}
    below: dict[bytes, dict[bytes, bytes]] = {}
    for number in range(count):
        directory, name = where.tree.hot[number % len(where.tree.hot)].encode().split(b"/")
        oid = Oid(root[directory][OID_AT : OID_AT + 32])
        if directory not in below:
            raws = split_leaf(store.read(oid, Kind.TREE))
            below[directory] = {entry_name(raw): raw for raw in raws}
        data = text(f"{number}", 200)
        blob = object_id(Kind.BLOB, data)
        raw = encode_file(0o100644, 0, 0, number, len(data), blob, name)
        before = Oid(below[directory][name][OID_AT : OID_AT + 32])
        below[directory][name] = raw
        leaf = join_leaf(below[directory].values())
        tree = object_id(Kind.TREE, leaf)
        entry = root[directory]
        root[directory] = entry[:OID_AT] + tree + entry[OID_AT + 32 :]
        top = join_leaf(root.values())
        top_id = object_id(Kind.TREE, top)
        made = Commit(
            commit.root._replace(oid=top_id),
            (head,),
            commit.author,
            commit.committer,
            b"%d" % number,
        )
        encoded = encode_commit(made)
        new = CommitId(object_id(Kind.COMMIT, encoded))
        yield (
            new,
            [
                (Kind.BLOB, blob, data, before),
                (Kind.TREE, tree, leaf, oid),
                (Kind.TREE, top_id, top, commit.root.oid),
                (Kind.COMMIT, new, encoded, head),
            ],
        )
        commit, head = made, new
