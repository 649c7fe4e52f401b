"""The asynchronous client, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from heliosfs import AsyncWorkspace, Workspace
from heliosfs.errors import NothingToCommit
from tests.mount.conftest import SECONDS, Mounted
from tests.mount.programs import put

Main = Callable[[AsyncWorkspace], Coroutine[Any, Any, None]]
Bounded = Callable[[float, Callable[[], Awaitable[object]]], Awaitable[None]]


def on_asyncio(main: Main, workspace: AsyncWorkspace) -> None:
    asyncio.run(main(workspace))


def on_trio(main: Main, workspace: AsyncWorkspace) -> None:
    trio.run(main, workspace)


async def gathered(calls: list[Callable[[], Awaitable[object]]]) -> None:
    """Await all calls at once, on whichever loop runs."""
    if not in_trio():
        await asyncio.gather(*(call() for call in calls))
        return
    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(call)


async def cancelled_after(seconds: float, call: Callable[[], Awaitable[object]]) -> None:
    """Cancel a call."""
    if in_trio():
        with trio.move_on_after(seconds):
            await call()
        return
    task = asyncio.ensure_future(call())
    await asyncio.sleep(seconds)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def in_trio() -> bool:
    return trio.lowlevel.in_trio_run()


@pytest.fixture(params=[on_asyncio, on_trio])
def run(request: pytest.FixtureRequest, mounted: Mounted) -> Callable[[Main], Workspace]:
    put(mounted.path / "file", "one\n")
    mounted.commit("base")

    def run_to_end(main: Main) -> Workspace:
        workspace = AsyncWorkspace(mounted.path)
        request.param(main, workspace)
        return workspace.sync

    return run_to_end


def test_the_verbs_are_coroutines(run: Callable[[Main], Workspace]) -> None:
    async def main(workspace: AsyncWorkspace) -> None:
        put(workspace.path / "file", "two\n")
        assert not (await workspace.status()).clean
        made = await workspace.commit("second", score=2)
        assert (await workspace.log(count=1))[0].metadata == {"score": "2"}
        with pytest.raises(NothingToCommit):
            await workspace.commit("nothing")
        assert (await workspace.diff("HEAD~1", "HEAD")).changes[0].path == "file"
        assert "+two" in await workspace.patch("HEAD~1", "HEAD")
        await workspace.reset("HEAD~1", hard=True)
        assert (await workspace.undo()).head == made
        assert (await workspace.snapshot(made) / "file").read_text() == "two\n"
        assert (await workspace.request("rev-parse", "HEAD")).strip() == made
        async with workspace.experiment("e", model="m") as attempt:
            await attempt.commit("try", allow_empty=True)
            await attempt.record(score=3)
            assert (await attempt.best()).value == 3
        assert [each.state for each in await workspace.experiments()] == ["finished"]
        await workspace.request("remote", "add", f"file://{workspace.path}-remote")
        assert (await workspace.push("origin", "main")).pushed[0].after == made
        assert (await workspace.fetch()).moved == ()
        assert not (await workspace.pull()).merged
        kept = await workspace.fork("kept")
        assert kept.name == "kept"
        assert [each.name for each in await workspace.branches()] == ["e", "kept", "main"]
        await kept.drop()

    run(main)


def test_forks_side_by_side(run: Callable[[Main], Workspace]) -> None:
    made: dict[int, str] = {}

    async def attempt(workspace: AsyncWorkspace, number: int) -> None:
        async with workspace.fork() as trial:
            put(trial.path / "file", f"{number}\n")
            done = await trial.run(["cat", f"{workspace.path}/file"])
            assert done.stdout == f"{number}\n"
            made[number] = await trial.commit(f"try {number}")
            if number == 3:
                await workspace.merge(trial.name)

    async def main(workspace: AsyncWorkspace) -> None:
        await gathered([lambda n=n: attempt(workspace, n) for n in range(6)])  # type: ignore[misc]

    workspace = run(main)
    assert [each.name for each in workspace.branches()] == ["main"]
    assert workspace.head == made[3]
    assert (workspace.snapshot(made[5]) / "file").read_text() == "5\n"


def test_a_command_ends_with_its_caller(run: Callable[[Main], Workspace]) -> None:
    async def main(workspace: AsyncWorkspace) -> None:
        script = f"sleep 1000 & echo $! > {workspace.path}/pid; wait"
        await cancelled_after(1, lambda: workspace.run(["sh", "-c", script]))

    begun = time.monotonic()
    workspace = run(main)
    assert time.monotonic() - begun < SECONDS
    assert_gone(int((workspace.path / "pid").read_text()))


def assert_gone(pid: int) -> None:
    """Wait until a killed process is gone, or a zombie that nobody has waited for."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError(f"{pid} still runs")


def test_a_cancelled_fork_leaves_nothing(run: Callable[[Main], Workspace]) -> None:
    """Cancelled at any moment: while it is made, in the block, and at its end."""

    async def hold(workspace: AsyncWorkspace) -> None:
        async with workspace.fork() as trial:
            await trial.status()

    async def main(workspace: AsyncWorkspace) -> None:
        for number in range(25):
            await cancelled_after(number / 2000, lambda: hold(workspace))

    workspace = run(main)
    assert [each.name for each in workspace.branches()] == ["main"]
