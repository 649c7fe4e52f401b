"""Garbage collections of a mounted workspace, beside those who work in it."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import errno_of
from tests.posix.consistency import mounted_tree, opened, stored_tree

WRITERS = 4
COLLECTIONS = 12
REST_SECONDS = 0.03
"""Rest of an agent in each round: what they make all the time must not outgrow a collection."""
ALL = "--aggressive --remove-old-snapshots --before=0s\n"
OLD = "--remove-old-snapshots --before=1s\n"


class Agent(threading.Thread):
    """Commits, resets, goes back and looks back, in the live view of a branch of its own."""

    def __init__(self, mounted: Mounted, name: str) -> None:
        super().__init__()
        self.mounted = mounted
        self.view = f".helios/live/{name}"
        self.path = mounted.path / self.view
        self.random = random.Random(name)
        self.stopped = threading.Event()
        self.known: dict[str, bytes] = {}
        """Content of the file in each commit that is certain to stay."""
        self.round_count = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                self.work()
                self.round_count += 1
                time.sleep(REST_SECONDS)
        except Exception as error:  # noqa: BLE001 (raised by the test)
            self.error = error

    def work(self) -> None:
        data = b"%d\n" % self.random.randrange(50) * self.random.choice((1, 500, 30_000))
        (self.path / "file").write_bytes(data)
        (self.path / f"other{self.random.randrange(5)}").write_bytes(os.urandom(2_000))
        head = self.mounted.commit("round", view=self.view)
        shown = self.mounted.path / ".helios/snapshots" / head / "file"
        assert shown.read_bytes() == data
        step = self.random.randrange(4)
        if step == 0:
            self.mounted.control("reset", "--hard HEAD~1\n", view=self.view)
        elif step == 1:
            errno_of(self.mounted.control, "undo", "\n", view=self.view)
        else:
            self.known = {head: data}
            assert (self.path / "file").read_bytes() == data


def test_agents_commit_and_go_back_during_collections(mounter: Mounter) -> None:
    mounted = mounter()
    (mounted.path / "file").write_text("at the root")
    mounted.commit("base")
    agents = [Agent(mounted, f"agent-{number}") for number in range(WRITERS)]
    for number, agent in enumerate(agents):
        mounted.control("branch", f"agent-{number}\n")
        agent.start()
    removed = 0
    try:
        for number in range(COLLECTIONS):
            (mounted.path / "file").write_text(f"at the root, {number}")
            line = (ALL if number % 2 else OLD).strip() + " --json\n"
            removed += json.loads(mounted.control("gc", line))["object_count"]
            time.sleep(0.1)
    finally:
        for agent in agents:
            agent.stopped.set()
            agent.join(30)
    for agent in agents:
        if agent.error is not None:
            raise agent.error
        assert agent.round_count > 5
        for head, data in agent.known.items():
            assert (mounted.path / ".helios/snapshots" / head / "file").read_bytes() == data
    assert removed > 0
    assert mounted.control("fsck", "\n").endswith("all sound\n")
    trees = [mounted_tree(agent.path) for agent in agents]
    shown = mounted_tree(mounted.path)
    mounted.unmount()
    with opened(mounted.path) as repository:
        assert stored_tree(repository) == shown
    mounted.mount()
    assert mounted_tree(mounted.path) == shown
    assert [mounted_tree(agent.path) for agent in agents] == trees
    assert mounted.helios("fsck").endswith("all sound\n")
    log = mounted.log.read_text()
    assert "Traceback" not in log and "ERROR" not in log


def test_collected_mounted_and_not(mounted: Mounted) -> None:
    for number in range(5):
        (mounted.path / "file").write_bytes(os.urandom(100_000))
        mounted.commit(f"{number}")
    mounted.control("reset", "--hard HEAD~4\n")
    would = mounted.helios("gc", "--dry-run", "--remove-old-snapshots", "--before=0s")
    assert would.startswith("would remove 4 commits")
    assert len(os.listdir(mounted.path / ".helios/snapshots")) == 5
    mounted.unmount()
    before = store_bytes(mounted.path)
    assert mounted.helios("gc", "--remove-old-snapshots", "--before=0s").startswith("removed 4")
    assert store_bytes(mounted.path) < before - 300_000
    mounted.mount()
    assert len(os.listdir(mounted.path / ".helios/snapshots")) == 1
    assert mounted.helios("gc", "--remove-old-snapshots", "--before=0s").startswith("nothing")
    assert "gc_removed_commit_count: 0" in mounted.helios("stats")


def store_bytes(path: Path) -> int:
    """Return the size of L2's file and of the packs."""
    store = path / ".helios"
    files = [store / "store.lmdb", *store.glob("pack-*")]
    return sum(file.stat().st_size for file in files)


def test_what_is_open_can_be_read_to_the_end(mounted: Mounted) -> None:
    data = os.urandom(3_000_000)
    place = mounted.path / "large"
    place.write_bytes(data)
    mounted.commit("with a large file")
    snapshot = mounted.path / ".helios/snapshots/HEAD/large"
    with open(place, "rb") as file, open(snapshot, "rb") as shown:
        place.unlink()
        mounted.commit("without it")
        mounted.control("reset", "--hard HEAD\n")
        mounted.control("gc", ALL)
        assert file.read() == data
        assert shown.read() == data


def test_a_killed_daemon_leaves_a_sound_store(mounted: Mounted) -> None:
    for number in range(120):
        (mounted.path / f"file{number % 7}").write_bytes(os.urandom(3_000))
        mounted.commit(f"{number}")
        if number % 3 == 2:
            mounted.control("reset", "--hard HEAD~2\n")
    head = (mounted.path / ".helios/HEAD").read_text()
    asking = threading.Thread(target=lambda: errno_of(mounted.control, "gc", ALL))
    asking.start()
    time.sleep(0.03)
    mounted.kill9()
    asking.join(30)
    mounted.mount()
    assert (mounted.path / ".helios/HEAD").read_text() == head
    assert mounted.helios("fsck").endswith("all sound\n")
    mounted.control("gc", ALL)
    assert mounted.helios("fsck").endswith("all sound\n")


@pytest.mark.parametrize("enabled", [True, False])
def test_it_runs_by_itself_if_wanted(mounted: Mounted, enabled: bool) -> None:
    for _ in range(3):
        (mounted.path / "file").write_bytes(os.urandom(1_000))
        mounted.commit("work")
    mounted.control("reset", "--hard HEAD~2\n")
    mounted.helios("config", "set", "cleanup.interval", "1ms")
    mounted.helios("config", "set", "cleanup.snapshot_ttl", "1ms")
    mounted.helios("config", "set", "cleanup.auto_gc_enabled", str(enabled).lower())
    end = time.monotonic() + (30 if enabled else 1)
    while "gc_age: -" in (mounted.path / ".helios/stats").read_text() and time.monotonic() < end:
        time.sleep(0.1)
    assert ("gc_age: -" in mounted.helios("stats")) is not enabled
    assert len(os.listdir(mounted.path / ".helios/snapshots")) == (1 if enabled else 3)
