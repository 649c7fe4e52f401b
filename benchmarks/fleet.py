"""A fleet on one remote: forks of several mounts, each of which pushes its commits to its own ref.

The S3 server keeps its objects in memory and has no latency: what counts are requests and bytes.
Beside it is one machine that makes the same commits and pushes, and one that pushes each fork once.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import Plan, run
from benchmarks.remotes import HELIOS
from benchmarks.table import Peer, Row, Unit, figure_of
from benchmarks.trees import HOT_BYTES, Tree, revised, text
from benchmarks.worlds import Mount, make_repository, serving
from tests.remote.s3_server import S3Server, s3_server

_MACHINES = 4
_FORKS, _COMMITS = 100, 50
_QUICK_FORKS, _QUICK_COMMITS = 8, 10
_REQUESTS_MAX = 4
_BYTES_LIMIT = 1.2


def fleet(plan: Plan) -> Iterator[Row]:
    """Forks of 4 mounts that push each commit to refs of their own, beside one machine."""
    forks = _QUICK_FORKS if plan.quick else _FORKS
    commits = _QUICK_COMMITS if plan.quick else _COMMITS
    tree = Tree(1_000)
    requests: list[float] = []
    with ExitStack() as stack:
        root = plan.directory("fleet")
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        server = stack.enter_context(s3_server())
        _let_clients_know(stack, server)
        sizes: dict[str, float] = {}
        for name, count in (("shared", _MACHINES), ("alone", 1), ("at-once", 1)):
            with ExitStack() as mounted:
                mounts = _machines(plan, mounted, root / name, name, tree, count)
                before = _stored_bytes(server, name)
                if name == "at-once":
                    _pushed_at_once(mounts[0], tree, forks, commits)
                else:
                    taken = _pushed_one_by_one(server, mounts, tree, forks, commits)
                    requests = requests if name == "alone" else taken
                sizes[name] = float(_stored_bytes(server, name) - before)
    what = f"{forks} forks of {commits} commits on {_MACHINES} mounts"
    yield Row(
        "fleet",
        f"{what}: requests of a push",
        figure_of(requests),
        Unit.CALLS,
        budget=_REQUESTS_MAX,
        budget_p95=_REQUESTS_MAX,
    )
    alone = Peer("one machine", figure_of([sizes["alone"]]), _BYTES_LIMIT)
    at_once = Peer("one machine, a push for each fork", figure_of([sizes["at-once"]]))
    yield Row(
        "fleet",
        f"{what}: bytes in the bucket",
        figure_of([sizes["shared"]]),
        Unit.BYTES,
        peers=(alone, at_once),
        note="what the forks added, before a collection",
    )


def _let_clients_know(stack: ExitStack, server: S3Server) -> None:
    before = dict(os.environ)
    stack.callback(os.environ.update, before)
    stack.callback(os.environ.clear)
    os.environ.update(
        AWS_ENDPOINT_URL=server.endpoint,
        AWS_ACCESS_KEY_ID="access",
        AWS_SECRET_ACCESS_KEY="any",
        AWS_REGION="us-east-1",
    )


def _machines(
    plan: Plan, stack: ExitStack, root: Path, name: str, tree: Tree, count: int
) -> list[Mount]:
    """Mount the first machine, which pushes the tree, and clones of what it pushed."""
    url, first = f"s3://bucket/{name}", root / "machine-0"
    first.mkdir(parents=True)
    make_repository(first, tree)
    run(*HELIOS, "remote", "add", "origin", url, cwd=first)
    run(*HELIOS, "push", "-q", "origin", "main", cwd=first)
    for number in range(1, count):
        run(*HELIOS, "clone", "-q", "--no-mount", url, f"machine-{number}", cwd=root)
    places = [root / f"machine-{number}" for number in range(count)]
    return [stack.enter_context(serving(plan, place)) for place in places]


def _pushed_one_by_one(
    server: S3Server, mounts: list[Mount], tree: Tree, forks: int, commits: int
) -> list[float]:
    """Let each mount make its share of the forks and push every commit; return their requests."""
    taken: list[float] = []
    one_push = threading.Lock()

    def work(machine: int) -> None:
        for fork in range(machine, forks, len(mounts)):
            for _ in _commits(mounts[machine], tree, fork, commits):
                # One after another, or a request could be that of another push.
                with one_push:
                    before = Counter(server.requests)
                    mounts[machine].ask("push", f"-q origin {_name(fork)}")
                    taken.append((server.requests - before).total())

    with ThreadPoolExecutor(len(mounts)) as pool:
        list(pool.map(work, range(len(mounts))))
    return taken


def _pushed_at_once(mount: Mount, tree: Tree, forks: int, commits: int) -> None:
    for fork in range(forks):
        for _ in _commits(mount, tree, fork, commits):
            pass
        mount.ask("push", f"-q origin {_name(fork)}")


def _commits(mount: Mount, tree: Tree, fork: int, count: int) -> Iterator[None]:
    """Make a fork, and a commit with one changed file in its live view for each step."""
    mount.ask("branch", f"{_name(fork)} main")
    live = Path(mount.control("")).parent / "branches" / _name(fork)
    within = Mount(live, mount.pid)
    now = {path: text(path, HOT_BYTES) for path in tree.hot}
    for number in range(count):
        edit = fork * count + number
        path = tree.hot[edit * 7 % len(tree.hot)]
        now[path] = revised(now[path], edit)
        (live / path).write_bytes(now[path])
        within.ask("commit", f"edit {edit}")
        yield


def _name(fork: int) -> str:
    return f"agent-{fork}"


def _stored_bytes(server: S3Server, prefix: str) -> int:
    with server.lock:
        objects = list(server.objects.items())
    return sum(len(each.data) for key, each in objects if key.startswith(f"{prefix}/"))
