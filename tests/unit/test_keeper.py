"""The keeper: when what is published reaches the disk, as the configuration says."""

from __future__ import annotations

import os
from typing import Any, cast

import pytest
import trio
import trio.testing

from heliosfs.daemon.keeper import TRIM_FROM_BYTES, Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.errors import StoreError, StoreFull
from heliosfs.objects.blob import PART_BYTES
from heliosfs.store.memory import MemoryStore
from tests.tree_builder import Stage

pytestmark = pytest.mark.trio


class SlowStore(MemoryStore):
    """A store that knows whether it was synced since the last publish."""

    def __init__(self) -> None:
        super().__init__()
        self.is_synced = True
        self.synced_at: list[float] = []

    def publish(self) -> None:
        super().publish()
        self.is_synced = False

    def plan_sync(self) -> Any:
        return None if self.is_synced else self

    def execute(self) -> None:
        self.is_synced = True
        self.synced_at.append(trio.current_time())

    def apply(self) -> None:
        pass


class Here:
    """Executes work where it is asked for."""

    is_working = False
    given_count = 0

    async def execute(self, work: Any) -> None:
        await trio.lowlevel.checkpoint()
        work.execute()
        work.apply()

    async def give_memory_back(self) -> None:
        await trio.lowlevel.checkpoint()
        self.given_count += 1


def made() -> tuple[Stage, SlowStore, Keeper]:
    store = SlowStore()
    stage = Stage(store)

    def fail(error: StoreError) -> None:
        raise AssertionError(error)

    return stage, store, Keeper(stage.repository, cast("Kernel", Here()), fail)


async def first_sync(stage: Stage, store: SlowStore, keeper: Keeper) -> float:
    """Seconds from a commit to the sync that makes it safe."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await trio.testing.wait_all_tasks_blocked()
        stage.commit(file=b"x")
        began = trio.current_time()
        keeper.touch()
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    return store.synced_at[0] - began


async def test_a_commit_is_synced_after_the_interval(autojump_clock: object) -> None:
    assert await first_sync(*made()) == pytest.approx(0.1)


async def test_the_interval_can_be_changed(autojump_clock: object) -> None:
    stage, store, keeper = made()
    stage.run("config", "set", "durability.interval", "500ms")
    store.is_synced = True
    assert await first_sync(stage, store, keeper) == pytest.approx(0.5)


async def test_the_checkpoint_interval_can_be_changed(autojump_clock: object) -> None:
    stage, _, keeper = made()
    stage.run("config", "set", "durability.checkpoint_interval", "300ms")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await trio.testing.wait_all_tasks_blocked()
        stage.files.write(b"file", b"not committed")
        keeper.touch()
        await trio.sleep(0.299)
        assert not keeper.is_idle
        await trio.sleep(0.002)
        assert keeper.is_idle
        nursery.cancel_scope.cancel()
    stage.crash()
    assert stage.files.read(b"file") == b"not committed"


async def test_parts_are_stored_before_a_flush_would_hold_everything_up() -> None:
    stage, _, keeper = made()
    contents = stage.repository.working_set
    file = stage.files.write(b"file", os.urandom(1 << 20) * 18)
    stage.repository.checkpoint()
    for number in range(144):
        contents.write(file, number * PART_BYTES + 4096, b"a little")
    file.touch()
    assert contents.account.dirty_bytes < 1 << 20
    assert contents.account.flush_bytes == 144 * PART_BYTES
    await keeper.shorten()
    assert contents.account.flush_bytes == 0
    assert stage.files.read(b"file")[143 * PART_BYTES + 4096 :].startswith(b"a little")


async def test_strict_durability_syncs_before_the_answer() -> None:
    stage, store, keeper = made()
    assert not keeper.is_strict
    stage.run("config", "set", "durability", "sync")
    assert keeper.is_strict
    stage.commit(file=b"x")
    assert not store.is_synced
    await keeper.acknowledge(sync=False)
    assert store.is_synced
    stage.files.write(b"file", b"y")
    await keeper.acknowledge(sync=False)
    assert len(store.synced_at) == 1
    await keeper.acknowledge(sync=True)
    assert len(store.synced_at) == 2


class HurriedStore(SlowStore):
    """A store that is asked in a hurry or not, and has three steps of compression to do."""

    def __init__(self) -> None:
        super().__init__()
        self.hurries: list[bool] = []
        self.left = 3
        self.error: StoreError | None = None

    def plan_add(self, objects: Any, *, is_urgent: bool = False) -> Any:
        self.hurries.append(is_urgent)
        return super().plan_add(objects)

    def plan_sync(self) -> Any:
        return None

    def plan_compress(self) -> Any:
        return self if self.left else None

    def execute(self) -> None:
        self.left -= 1
        if self.error is not None:
            raise self.error


def hurried() -> tuple[Stage, HurriedStore, Keeper]:
    store = HurriedStore()
    stage = Stage(store)
    failed: list[StoreError] = []
    return stage, store, Keeper(stage.repository, cast("Kernel", Here()), failed.append)


async def test_a_writer_that_is_ahead_leaves_compression_for_later() -> None:
    stage, store, keeper = hurried()
    stage.files.write(b"file", os.urandom(1 << 20) * 30)
    await keeper.shorten()
    # Above 24 MiB in a hurry, in pieces of 4 MiB, and what is left then is not.
    assert store.hurries == [True, True, False, False, False, False, False, False]


async def test_it_compresses_after_a_save_until_something_changes(autojump_clock: object) -> None:
    _, store, keeper = hurried()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        keeper.touch()
        await trio.sleep(0.5)
        assert store.left == 3
        await trio.sleep(1)
        assert store.left == 0
        nursery.cancel_scope.cancel()
    store.left = 3
    store.apply = keeper.touch  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        keeper.touch()
        await trio.sleep(1.5)
        assert store.left == 2
        nursery.cancel_scope.cancel()


async def test_a_full_disk_ends_compression_and_nothing_else(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    _, store, keeper = hurried()
    store.error = StoreFull("no space left on device")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        keeper.touch()
        await trio.sleep(5)
        assert store.left == 2
        assert keeper.is_idle
        nursery.cancel_scope.cancel()
    assert "stays uncompressed: no space left" in caplog.text


class FullStore(SlowStore):
    """A store in which something waits for a drain."""

    def plan_sync(self) -> Any:
        return None

    def plan_drain(self) -> Any:
        return self

    def execute(self) -> None:
        self.pending_bytes = 0


async def test_memory_goes_back_once_much_was_drained_and_nothing_long_goes_on(
    autojump_clock: object,
) -> None:
    store, here = FullStore(), Here()

    def fail(error: StoreError) -> None:
        raise AssertionError(error)

    keeper = Keeper(Stage(store).repository, cast("Kernel", here), fail)
    given = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        for is_working, pending_bytes in (
            (False, TRIM_FROM_BYTES),
            (True, 1),
            (False, 0),
            (False, 0),
        ):
            here.is_working, store.pending_bytes = is_working, pending_bytes
            keeper.touch()
            await trio.sleep(5)
            given.append(here.given_count)
        nursery.cancel_scope.cancel()
    assert given == [0, 0, 1, 1]
