"""Clones, pushes and fetches over a throttled link, beside git's over the same link.

Ours is an S3 server that keeps its objects in memory, git's is `git daemon` with a packed
repository and a bitmap.  Both are behind one relay each, with the same latency and bandwidth.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.git import Changes, make_git_tree
from benchmarks.link import throttled
from benchmarks.longhistory import add_commits
from benchmarks.measure import COMMAND_SECONDS, Plan, run
from benchmarks.table import Figure, Peer, Row, Unit, figure_of
from benchmarks.trees import Tree, text
from benchmarks.worlds import World, make_repository, serving
from heliosfs.store.encoding.codecs import encode
from tests.remote.s3_server import S3Server, s3_server

LATENCY_MS = 20
MEGABYTES_PER_SECOND = 100
_REPEATS = 5
_FILE_BYTES = 50_000
_COMMITS = 1_000
_NOTE = f"{LATENCY_MS} ms, {MEGABYTES_PER_SECOND} MB/s, both through the same kind of relay"
HELIOS = (str(Path(sys.executable).with_name("helios")),)
_LISTED = ("ls", "-lR")


@dataclass(frozen=True)
class _LargeTree(Tree):
    """A tree of files of `_FILE_BYTES`, half of which does not compress."""

    def files(self) -> Iterator[tuple[str, bytes]]:
        dice = random.Random(1)
        lines = text("shared", _FILE_BYTES)
        for index in range(self.file_count):
            start = dice.randrange(_FILE_BYTES // 2)
            half = lines[start : start + _FILE_BYTES // 2]
            yield self.path(index), half + dice.randbytes(_FILE_BYTES // 2)


@dataclass
class _Taken:
    """The samples of one way to do something."""

    ns: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)


def remotes(plan: Plan) -> Iterator[Row]:
    """Clone, cat, push and fetch over a link of 20 ms and 100 MB/s, beside git."""
    tree = _LargeTree(2_000, 100) if plan.quick else _LargeTree(20_000, 1_000)
    with _places(plan, tree) as places:
        yield from _clones(plan, places)
        yield from _pushes(plan, places)
        for each in (Tree(2_000), Tree(2_000, 10)):
            yield _sent(plan, places, each)
        yield from _fetches(plan, places)


class _Places:
    """The two sources, and the addresses of what they were pushed to."""

    def __init__(self, root: Path, tree: Tree, server: S3Server, git_url: str) -> None:
        self.root = root
        self.tree = tree
        self.server = server
        self.git_url = git_url
        self.url = "s3://bucket/shared"
        self.ours = root / "ours"
        self.git = root / "git"

    def timed(self, what: Callable[[], object], taken: _Taken) -> None:
        """Run something; add its time and the requests that the S3 server got meanwhile."""
        before = Counter(self.server.requests)
        began = time.perf_counter_ns()
        what()
        taken.ns.append(time.perf_counter_ns() - began)
        taken.requests.append((self.server.requests - before).total())


@contextmanager
def _places(plan: Plan, tree: Tree) -> Iterator[_Places]:
    root = plan.directory("remotes")
    environment = dict(os.environ)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        stack.callback(_restore, environment)
        server = stack.enter_context(s3_server())
        port = stack.enter_context(
            throttled(server.server_address[1], LATENCY_MS, MEGABYTES_PER_SECOND)
        )
        os.environ.update(
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
            AWS_ACCESS_KEY_ID="access",
            AWS_SECRET_ACCESS_KEY="any",
            AWS_REGION="us-east-1",
        )
        served = stack.enter_context(_git_daemon(root))
        port = stack.enter_context(throttled(served, LATENCY_MS, MEGABYTES_PER_SECOND))
        places = _Places(root, tree, server, f"git://127.0.0.1:{port}/bare")
        places.ours.mkdir(mode=0o755)
        make_repository(places.ours, tree)
        (places.ours / ".helios/id").write_text("0123456789abcdef" * 2 + "\n")
        _helios(places.ours, "remote", "add", "origin", places.url)
        _helios(places.ours, "push", "-q", "origin", "main")
        places.git.mkdir()
        make_git_tree(tree, places.git)
        run("git", "clone", "-q", "--bare", str(places.git), "bare", cwd=root)
        bare = root / "bare"
        run("git", "config", "uploadpack.allowFilter", "true", cwd=bare)
        run("git", "config", "uploadpack.allowAnySHA1InWant", "true", cwd=bare)
        run("git", "repack", "-adqb", cwd=bare)
        run("git", "remote", "add", "origin", places.git_url, cwd=places.git)
        run("git", "fetch", "-q", "origin", cwd=places.git)
        yield places


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


@contextmanager
def _git_daemon(root: Path) -> Iterator[int]:
    """Serve the repositories of a directory; yield the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    # The program itself: `git daemon` would be a child that outlives its parent.
    program = Path(run("git", "--exec-path").strip()) / "git-daemon"
    argv = [str(program), "--reuseaddr", "--listen=127.0.0.1", f"--port={port}"]
    argv += ["--export-all", "--enable=receive-pack", f"--base-path={root}", str(root)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield port
        finally:
            process.terminate()


def _await(port: int) -> None:
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError("git daemon does not answer")


def _helios(where: Path, *words: str) -> None:
    _run([*HELIOS, *words], where)


def _run(argv: list[str], where: Path) -> None:
    """Run a command to its end.  RuntimeError when it fails."""
    done = subprocess.run(
        argv, cwd=where, capture_output=True, check=False, timeout=COMMAND_SECONDS
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr[-2000:].decode(errors='replace')}")


def _clones(plan: Plan, places: _Places) -> Iterator[Row]:
    lazy, full, git, filtered, blob, git_blob = (_Taken() for _ in range(6))
    clone = places.root / "clone"
    path = places.tree.path(places.tree.file_count // 2)

    def ours(*options: str) -> None:
        _helios(places.root, "clone", "-q", *options, places.url, "clone")
        _run([*_LISTED], clone)

    def by_git(*options: str) -> None:
        _run(["git", "clone", "-q", *options, places.git_url, "clone"], places.root)
        _run([*_LISTED], clone)

    for _ in range(plan.count(_REPEATS)):
        try:
            places.timed(ours, lazy)
            places.timed(lambda: _run(["cat", path], clone), blob)
            _drop(clone)
            places.timed(lambda: ours("--full"), full)
            _drop(clone)
            places.timed(by_git, git)
            _drop(clone)
            places.timed(lambda: by_git("--filter=blob:none"), filtered)
            _drop(clone)
            by_git("--filter=blob:none", "--no-checkout")
            places.timed(lambda: _run(["git", "cat-file", "-p", f"HEAD:{path}"], clone), git_blob)
        finally:
            _drop(clone)
    name = f"{places.tree.file_count:,} files, {places.tree.file_count * _FILE_BYTES / 1e9:g} GB"
    peers = (
        Peer("git clone", figure_of(git.ns), 1 / 20),
        Peer("git clone --filter=blob:none", figure_of(filtered.ns), 1.0),
        Peer("clone --full", figure_of(full.ns)),
    )
    yield _row(f"clone and ls -lR, {name}", figure_of(lazy.ns), 1e9, peers)
    yield _count("that", lazy, 6)
    at_git = (Peer("git cat-file after --filter=blob:none", figure_of(git_blob.ns)),)
    yield _row("cat of a file that is not here", figure_of(blob.ns), None, at_git)
    yield _count("that", blob, 2)


def _drop(clone: Path) -> None:
    """Unmount and remove a clone."""
    if os.path.ismount(clone):
        _helios(clone.parent, "umount", str(clone))
    shutil.rmtree(clone, ignore_errors=True)


def _pushes(plan: Plan, places: _Places) -> Iterator[Row]:
    ours, git = _Taken(), _Taken()
    changes, git_changes = (Changes(places.tree, each) for each in (places.ours, places.git))
    with serving(plan, places.ours) as mount:
        for number in range(plan.count(_REPEATS)):
            changes.make()
            mount.ask("commit", f"one more, {number}")
            places.timed(lambda: _helios(places.ours, "push", "-q", "origin", "main"), ours)
            git_changes.make()
            run("git", "commit", "-qam", f"one more, {number}", cwd=places.git)
            places.timed(lambda: _run(["git", "push", "-q", "origin", "main"], places.git), git)
    peers = (Peer("git push", figure_of(git.ns)),)
    yield _row("push of one changed file", figure_of(ours.ns), None, peers)
    yield _count("that", ours, 4)


def _sent(plan: Plan, places: _Places, tree: Tree) -> Row:
    """Push one changed file of 10 KB after another; compare the bytes with those of the file."""
    source = places.root / f"sent-{tree.directories}"
    source.mkdir(mode=0o755)
    make_repository(source, tree)
    _helios(source, "remote", "add", "origin", f"{places.url}-{source.name}")
    _helios(source, "push", "-q", "origin", "main")
    changes, ratios = Changes(tree, source), []
    with serving(plan, source) as mount:
        for number in range(plan.count(_REPEATS)):
            changes.make()
            mount.ask("commit", f"one more, {number}")
            before = places.server.received_bytes
            _helios(source, "push", "-q", "origin", "main")
            sent = places.server.received_bytes - before
            file = source / tree.hot[number % len(tree.hot)]
            ratios.append(sent / len(encode(file.read_bytes(), prefer_zstd=True).body))
    what = f"push of one changed file of 10 KB, {tree.name}: bytes for each compressed one"
    return Row("remotes", what, figure_of(ratios), Unit.TIMES, budget=2.0)


def _fetches(plan: Plan, places: _Places) -> Iterator[Row]:
    tree, repeats = Tree(1_000), plan.count(_REPEATS)
    source, bare = places.root / "history", places.root / "history.git"
    source.mkdir()
    make_repository(source, tree)
    url = f"{places.url}-history"
    _helios(source, "remote", "add", "origin", url)
    _helios(source, "push", "-q", "origin", "main")
    made = places.root / "history-git"
    made.mkdir()
    make_git_tree(tree, made)
    run("git", "clone", "-q", "--bare", str(made), str(bare))
    for number in range(repeats):
        _helios(places.root, "clone", "-q", "--full", url, f"behind-{number}")
        address = places.git_url.replace("/bare", "/history.git")
        run("git", "clone", "-q", address, f"behind-git-{number}", cwd=places.root)
    opened = World(source / ".helios", tree, is_new=False)
    add_commits(opened, _COMMITS)
    opened.close()
    _helios(source, "push", "-q", "origin", "long")
    run("git", "fast-import", "--quiet", cwd=bare, stdin=_more_commits(tree))
    ours, git = _Taken(), _Taken()
    for number in range(repeats):
        behind = places.root / f"behind-{number}"
        places.timed(partial(_helios, behind, "fetch", "-q"), ours)
        _drop(behind)
        behind = places.root / f"behind-git-{number}"
        places.timed(partial(_run, ["git", "fetch", "-q"], behind), git)
    peers = (Peer("git fetch", figure_of(git.ns)),)
    yield _row(f"fetch of {_COMMITS:,} commits", figure_of(ours.ns), None, peers)
    yield _count("that", ours, 10)


def _more_commits(tree: Tree) -> bytes:
    """Return the stream of as many commits as `add_commits` makes, each of one changed file."""
    parts = []
    for number in range(_COMMITS):
        path, data = tree.hot[number % len(tree.hot)], text(f"{number}", 200)
        parts.append(b"commit refs/heads/long\ncommitter b <b@example.org> 0 +0000\ndata 0\n")
        parts.append(b"from refs/heads/main^0\n" if not number else b"")
        parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data))
    return b"".join(parts)


def _row(what: str, figure: Figure, budget: float | None, peers: tuple[Peer, ...]) -> Row:
    return Row("remotes", what, figure, budget=budget, peers=peers, note=_NOTE)


def _count(what: str, taken: _Taken, budget: float) -> Row:
    return Row("remotes", f"{what}, requests", figure_of(taken.requests), Unit.CALLS, budget=budget)
