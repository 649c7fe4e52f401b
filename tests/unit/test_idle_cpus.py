"""Idle CPUs: they stay awake while many requests come, only where it pays, and no longer."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from heliosfs.config.settings import Layer, resolve
from heliosfs.fuse.idle_cpus import (
    AWAKE,
    MAY_HALT,
    REQUESTS_MIN,
    WINDOW_SECONDS,
    IdleCpus,
    openable,
)
from heliosfs.fuse.loop import RequestLoop
from heliosfs.pace import Pace

pytestmark = pytest.mark.trio

MANY, FEW = REQUESTS_MIN, REQUESTS_MIN - 1


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A file that stands for the kernel's device, and keeps all that is written to it."""
    path = tmp_path / "cpu_dma_latency"
    path.touch()
    return path


@pytest.fixture
def loop() -> Iterator[RequestLoop]:
    made = RequestLoop()
    yield made
    made.close()


@pytest.fixture
def idle_cpus(loop: RequestLoop, device: Path) -> Iterator[IdleCpus]:
    made = IdleCpus(loop, str(device))
    yield made
    made.close()


def asked(device: Path) -> list[bytes]:
    """Return what was asked for, in order."""
    return [struct.pack("=i", value) for (value,) in struct.iter_unpack("=i", device.read_bytes())]


def begin_streak(loop: RequestLoop) -> None:
    """Do what the loop does when requests come in a row."""
    loop.is_streak = True
    loop.on_streak()


async def one_window(requests: int) -> None:
    """Let some requests come within the next window."""
    Pace.request_count += requests
    await trio.sleep(WINDOW_SECONDS)
    await trio.testing.wait_all_tasks_blocked()


async def test_they_halt_again_when_requests_become_few(
    loop: RequestLoop,
    device: Path,
    idle_cpus: IdleCpus,
    autojump_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
) -> None:
    nursery.start_soon(idle_cpus.run)
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(2):
        device.write_bytes(b"")
        begin_streak(loop)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            await one_window(MANY)
        assert asked(device)[-1] == AWAKE
        assert loop.is_streak
        await one_window(FEW)
        assert asked(device)[-1] == MAY_HALT
        assert not loop.is_streak


async def test_nobody_looks_while_no_requests_come(
    idle_cpus: IdleCpus, device: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(idle_cpus.run)
        await trio.testing.wait_all_tasks_blocked()
        # It waits without a time: a clock that jumps to the next deadline finds only this one.
        began = trio.current_time()
        with trio.move_on_after(3600):
            await trio.sleep_forever()
        assert trio.current_time() - began == 3600
        nursery.cancel_scope.cancel()
    assert asked(device) == []


async def test_a_setting_leaves_them_alone(
    loop: RequestLoop,
    device: Path,
    idle_cpus: IdleCpus,
    autojump_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
) -> None:
    no = resolve([Layer("helios.yaml", "performance: {keep_cpus_awake: false}\n")])
    nursery.start_soon(idle_cpus.run)
    await trio.testing.wait_all_tasks_blocked()
    begin_streak(loop)
    idle_cpus.apply(no)
    await one_window(MANY)
    await one_window(MANY)
    assert asked(device) == [AWAKE, MAY_HALT]
    begin_streak(loop)
    await one_window(MANY)
    assert asked(device) == [AWAKE, MAY_HALT]
    idle_cpus.apply(resolve([]))
    await one_window(FEW)
    begin_streak(loop)
    assert asked(device) == [AWAKE, MAY_HALT, AWAKE]


async def test_without_the_device_a_streak_means_nothing(loop: RequestLoop, tmp_path: Path) -> None:
    for device in (None, str(tmp_path / "missing")):
        idle_cpus = IdleCpus(loop, device)
        begin_streak(loop)
        assert not idle_cpus.are_awake
        idle_cpus.close()


@pytest.mark.parametrize(
    ("driver", "halt_poll", "cpus", "mode", "expected"),
    [
        ("haltpoll\n", "0\n", 2, 0o600, True),
        ("haltpoll\n", None, 8, 0o600, True),
        ("haltpoll\n", "200000\n", 2, 0o600, False),
        ("haltpoll\n", "0\n", 9, 0o600, False),
        ("intel_idle\n", "0\n", 2, 0o600, False),
        (None, None, 2, 0o600, False),
        ("haltpoll\n", "0\n", 2, None, False),
    ],
)
async def test_where_it_pays(
    tmp_path: Path,
    driver: str | None,
    halt_poll: str | None,
    cpus: int,
    mode: int | None,
    expected: bool,
) -> None:
    paths = [tmp_path / name for name in ("device", "driver", "halt_poll")]
    for path, text in zip(paths, ("", driver, halt_poll), strict=True):
        if text is not None:
            path.write_text(text)
    if mode is None:
        paths[0].unlink()
    else:
        paths[0].chmod(mode)
        assert stat.S_IMODE(os.stat(paths[0]).st_mode) == mode
    device, told, poll = map(str, paths)
    assert openable(device, told, poll, cpus) == expected
