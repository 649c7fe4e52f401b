"""Garbage collections that the mount begins by itself."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
import trio.testing

from heliosfs.daemon.auto_gc import IDLE_SECONDS, Collector
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.errors import Busy, CorruptObject, StoreError
from heliosfs.repo.configuration import Configuration
from heliosfs.steps import Steps, run_to_end
from heliosfs.store.sidefile import MemoryFile
from tests.tree_builder import Stage

pytestmark = pytest.mark.trio

HOUR_NS = 3600 * 10**9
HOUR = 3600
ON = b"cleanup:\n  auto_gc_enabled: true\n"
OFF = b"cleanup:\n  auto_gc_enabled: false\n"


class Here:
    """Executes work where it is asked for."""

    async def execute(self, work: Any) -> None:
        await trio.lowlevel.checkpoint()
        work.execute()
        work.apply()


class World:
    """A keeper and a collector at work, on a clock that jumps."""

    def __init__(self, text: bytes = ON) -> None:
        self.stage = Stage()
        self.stage.clock.step_ns = 0
        self.begin_ns = self.stage.clock.time_ns
        self.configuration = Configuration(MemoryFile(text))
        self.stage.repository.configure(self.configuration)
        self.ran_at: list[float] = []
        self.replies: list[str] = []
        self.error: Exception | None = None

        def fail(error: StoreError) -> None:
            raise AssertionError(error)

        self.keeper = Keeper(self.stage.repository, cast("Kernel", Here()), fail)
        self.collector = Collector(self.stage.repository, self.keeper, self.run_long)

    async def run_long(self, name: str, steps: Steps[str]) -> str:
        await trio.lowlevel.checkpoint()
        self.ran_at.append(trio.current_time())
        if self.error is not None:
            steps.close()
            raise self.error
        assert name == "gc"
        self.replies.append(run_to_end(steps, self.stage.store))
        return self.replies[-1]

    async def change(self, seconds: float) -> None:
        """Wait, and then change something."""
        await trio.sleep(seconds)
        self.stage.clock.time_ns = self.begin_ns + int(trio.current_time() * 10**9)
        self.stage.files.write(b"a", b"%d" % self.stage.clock.time_ns)
        self.keeper.touch()

    async def start(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self.keeper.run)
        nursery.start_soon(self.collector.run)
        await trio.sleep(0.1)


async def test_it_runs_once_when_the_mount_is_idle(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        await trio.sleep(3 * HOUR)
        assert world.ran_at == []
        begin = trio.current_time()
        for _ in range(4):
            await world.change(IDLE_SECONDS / 2)
        await trio.sleep(3 * HOUR)
        assert len(world.ran_at) == 1
        assert 2 * IDLE_SECONDS < world.ran_at[0] - begin < 5 * IDLE_SECONDS
        nursery.cancel_scope.cancel()
    assert world.replies[0].startswith(("removed", "nothing"))


async def test_not_more_often_than_the_interval(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        for _ in range(12):
            await world.change(HOUR / 4)
        await trio.sleep(2 * HOUR)
        gaps = [b - a for a, b in zip(world.ran_at, world.ran_at[1:], strict=False)]
        assert 2 <= len(gaps) <= 4
        assert min(gaps) >= HOUR - 2 * IDLE_SECONDS
        nursery.cancel_scope.cancel()


async def test_a_mount_that_is_never_idle_is_not_left_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        while trio.current_time() < 1.5 * HOUR:
            await world.change(2)
        assert len(world.ran_at) == 1
        nursery.cancel_scope.cancel()


async def test_not_at_all_unless_it_is_wanted(autojump_clock: trio.testing.MockClock) -> None:
    world = World(OFF)
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        await world.change(1)
        await trio.sleep(3 * HOUR)
        assert world.ran_at == []
        world.configuration.set("cleanup.auto_gc_enabled", "true")
        await world.change(1)
        await trio.sleep(60)
        assert len(world.ran_at) == 1
        await world.change(1)
        world.configuration.set("cleanup.auto_gc_enabled", "false")
        await trio.sleep(5 * HOUR)
        assert len(world.ran_at) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "error", [Busy("import runs"), CorruptObject("damaged"), ValueError("bug")]
)
async def test_a_failure_is_logged_and_it_goes_on(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    world = World()
    world.error = error
    caplog.set_level("INFO")
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        await world.change(1)
        await trio.sleep(60)
        assert len(world.ran_at) == 1
        world.error = None
        await world.change(1)
        await trio.sleep(2 * HOUR)
        assert len(world.replies) == 1
        nursery.cancel_scope.cancel()
    assert "gc" in caplog.text


async def test_the_last_one_of_an_earlier_mount_counts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    world.stage.run("gc")
    world.collector = Collector(world.stage.repository, world.keeper, world.run_long)
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        await world.change(1)
        await trio.sleep(HOUR / 2)
        assert world.ran_at == []
        await trio.sleep(HOUR)
        assert len(world.ran_at) == 1
        nursery.cancel_scope.cancel()
