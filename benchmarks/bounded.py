"""The daemon's memory under load, against its budget: a file and a tree larger than that."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.large import GIB, contents, read, write
from benchmarks.measure import Plan
from benchmarks.memory import list_tree
from benchmarks.table import Figure, Row, Unit, show
from benchmarks.trees import nested_path
from benchmarks.worlds import Mount, serving

_MIB = 1 << 20
_WORKING_SET_MIB = 512
_QUICK_WORKING_SET_MIB = 128
_OVERHEAD_BYTES = 256 * _MIB
_SIZE = 10 * GIB
_QUICK_SIZE = GIB // 2
_FILES = 1_000_000
_QUICK_FILES = 20_000
_SAMPLE_SECONDS = 0.05
_FILE_BYTES = 200


class Watch:
    """The most memory that a daemon had while something was done."""

    def __init__(self, mount: Mount) -> None:
        self._status = Path(f"/proc/{mount.pid}/status")
        Path(f"/proc/{mount.pid}/clear_refs").write_text("5")  # resets VmHWM: proc(5)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.peak_bytes = 0
        self.anonymous_bytes = 0
        self.mapped_bytes = 0
        self.seconds = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Sample until the end of the block."""
        began = time.monotonic()
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()
            self.seconds = time.monotonic() - began

    def _sample(self) -> None:
        while True:
            is_last = self._ended.wait(_SAMPLE_SECONDS)
            found = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
            kib = {key: int(found[key].split()[0]) for key in ("VmHWM", "RssAnon", "RssFile")}
            self.peak_bytes = kib["VmHWM"] * 1024
            self.anonymous_bytes = max(self.anonymous_bytes, kib["RssAnon"] * 1024)
            self.mapped_bytes = max(self.mapped_bytes, kib["RssFile"] * 1024)
            if is_last:
                return


def bounded(plan: Plan) -> Iterator[Row]:
    """Peak memory of the daemon: a file of 10 GiB (--size), a tree of 1,000,000 files (--count)."""
    mebibytes = _QUICK_WORKING_SET_MIB if plan.quick else _WORKING_SET_MIB
    budget = mebibytes * _MIB + _OVERHEAD_BYTES
    for name, steps in (("file", _file_steps), ("tree", _tree_steps)):
        directory = plan.directory(f"bounded-{name}")
        for part in steps(plan):
            with serving(plan, directory) as mount:
                mount.ask("config", f"set performance.working_set {mebibytes}MiB")
                for what, action in part:
                    yield _watched(what, partial(action, mount), mount, budget)


Step = tuple[str, Callable[[Mount], object]]


def _watched(what: str, action: Callable[[], object], mount: Mount, budget: float) -> Row:
    watch = Watch(mount)
    with watch.watching():
        action()
    note = (
        f"{what}: {watch.seconds:.1f} s; at most {show(watch.anonymous_bytes, Unit.BYTES)} of its "
        f"own, and {show(watch.mapped_bytes, Unit.BYTES)} mapped of files"
    )
    figure = Figure(watch.peak_bytes, watch.peak_bytes, 1)
    return Row("bounded", f"peak: {what}", figure, Unit.BYTES, budget=budget, note=note)


def _file_steps(plan: Plan) -> Iterator[list[Step]]:
    """Yield the steps between a mount and the next."""
    half = (plan.size_bytes or (_QUICK_SIZE if plan.quick else _SIZE)) // 2
    filled = contents()
    size = f"{2 * half / GIB:g} GiB"

    def each_half(mount: Mount, action: Callable[..., float]) -> None:
        for at, content in enumerate(filled):
            action(mount.path / "large", content, at * half, half)

    yield [
        (f"write {size}", lambda mount: each_half(mount, write)),
        (f"commit {size}", _commit),
        (f"read {size} after the commit", lambda mount: each_half(mount, read)),
    ]
    yield [(f"read {size}, mounted anew", lambda mount: each_half(mount, read))]


def _tree_steps(plan: Plan) -> Iterator[list[Step]]:
    count = plan.file_count or (_QUICK_FILES if plan.quick else _FILES)
    yield [
        (f"create {count:,} files", lambda mount: _create(mount, count)),
        (f"commit {count:,} files", _commit),
    ]
    yield [
        (f"list {count:,} files, mounted anew", lambda mount: _list(mount, count)),
        ("walk it again, as git status does", lambda mount: _walk(mount, count)),
    ]


def _commit(mount: Mount) -> None:
    reply = mount.ask("commit", "all of it")
    if len(reply) != 65:
        raise RuntimeError(f"no commit: {reply}")


def _create(mount: Mount, count: int) -> None:
    made = set()
    for index in range(count):
        path = f"{mount.path}/{nested_path(index, count)}"
        parent = os.path.dirname(path)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, b"%0*d\n" % (_FILE_BYTES - 1, index))
        os.close(fd)


def _list(mount: Mount, count: int) -> None:
    if list_tree(mount.path) < count:
        raise RuntimeError("files are missing")


def _walk(mount: Mount, count: int) -> None:
    """Look at each file by its path, and into each directory for what is new there."""
    for index in range(count):
        os.lstat(f"{mount.path}/{nested_path(index, count)}")
    _list(mount, count)
