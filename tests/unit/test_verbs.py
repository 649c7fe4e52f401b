"""Verbs in a mount: one after another, a long one beside them, and who may end it."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from heliosfs.daemon import driver, reader, verbs
from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.caller import wants_to_end
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.verbs import Verbs
from heliosfs.daemon.watchers import Watchers
from heliosfs.errors import Busy, HeliosError, Interrupted, NotFound, TooLarge
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.steps import ALONE, TURN, Progress, Steps, on_thread
from heliosfs.vfs.control import CommandChannel, ErrorLog
from heliosfs.vfs.control_request import ControlRequest, LongRequest
from tests.tree_builder import Stage

pytestmark = pytest.mark.trio


class Mount:
    """Verbs over a repository in memory, with a kernel that has nothing to say."""

    def __init__(self) -> None:
        self.stage = Stage()
        repository = self.stage.repository
        kernel = Kernel(RequestLoop(), Barrier("/", -1), Notices(-1))
        keeper = Keeper(repository, kernel, lambda error: None)
        self.verbs = Verbs(repository, kernel, keeper, Watchers(repository, "/", Notices(-1)))

    def channel(self) -> CommandChannel:
        stage = self.stage
        return CommandChannel(ErrorLog(), stage.repository, lambda: stage.view, None, str)

    async def long(
        self,
        steps: Callable[[], Steps[str]],
        channel: CommandChannel | None = None,
        *,
        progress: bool = False,
    ) -> str:
        """Run a long verb; return what its channel says."""
        channel = channel or self.channel()
        long = LongRequest("work", steps, progress)
        await self.verbs.run(channel, [ControlRequest(False, False, str, None, long)])
        return channel.read(1000).decode()

    async def reading(
        self, steps: Callable[[], Steps[str]], channel: CommandChannel | None = None
    ) -> str:
        """Run a reading verb; return what its channel says."""
        channel = channel or self.channel()
        request = ControlRequest(
            False, False, str, reading=LongRequest("looking", steps, progress=False)
        )
        await self.verbs.run(channel, [request])
        return channel.read(1000).decode()

    async def short(self, text: str = "done\n") -> str:
        """Run any other verb; return its reply."""
        channel = self.channel()
        await self.verbs.run(channel, [ControlRequest(False, False, lambda: text)])
        return channel.read(1000).decode()


class Gate:
    """Steps that go on when told to."""

    def __init__(self, *, alone: bool = False) -> None:
        self.is_open = False
        self.count = 0
        self.is_closed = False
        self._alone = alone

    def steps(self) -> Steps[str]:
        try:
            if self._alone:
                yield ALONE
            while not self.is_open:
                self.count += 1
                yield from on_thread(lambda: time.sleep(0.001))
                yield Progress(self.count, 0, "looks")
            return "through\n"
        finally:
            self.is_closed = True


async def test_other_verbs_run_beside_a_long_one() -> None:
    mount, gate = Mount(), Gate()
    replies: list[str] = []

    async def work() -> None:
        replies.append(await mount.long(gate.steps))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(5):
                assert await mount.short() == "done\n"
            assert replies == []
            gate.is_open = True
    assert replies == ["through\n"]


async def test_none_runs_beside_its_last_step() -> None:
    mount, gate = Mount(), Gate(alone=True)
    order: list[str] = []

    async def note(reply: Callable[[], Any]) -> None:
        order.append(await reply())

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(note, lambda: mount.long(gate.steps))
            await trio.sleep(0.05)
            nursery.start_soon(note, mount.short)
            await trio.sleep(0.05)
            assert order == []
            gate.is_open = True
    assert order == ["through\n", "done\n"]


async def test_a_second_long_one_is_refused_and_runs_later() -> None:
    mount, gate = Mount(), Gate()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mount.long, gate.steps)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Busy, match="'work'"):
                await mount.long(Gate().steps)
            with pytest.raises(Busy):
                await mount.verbs.run_long("gc", Gate().steps())
            gate.is_open = True
        assert await mount.long(gate.steps) == "through\n"
        assert await mount.verbs.run_long("gc", gate.steps()) == "through\n"


async def test_what_it_raises_is_told_and_the_next_one_runs() -> None:
    def fail() -> Steps[str]:
        yield TURN
        raise NotFound("nothing there")

    def broken() -> Steps[str]:
        yield TURN
        raise KeyError("a bug")

    mount = Mount()
    for steps, raised, text in (
        (fail, NotFound, "error: nothing there\n"),
        (broken, KeyError, "error: internal error: see the log of the mount\n"),
    ):
        channel = mount.channel()
        with pytest.raises(raised):
            await mount.long(steps, channel)
        assert channel.read(100).decode() == text


async def test_a_failure_on_the_thread_is_raised_in_the_steps() -> None:
    def work() -> Steps[str]:
        def fail() -> None:
            raise HeliosError("no disk")

        try:
            yield from on_thread(fail)
        except HeliosError as error:
            return f"caught {error}\n"
        return "missed\n"

    assert await Mount().long(work) == "caught no disk\n"


async def test_who_reads_along_is_told_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "TOLD_NS", 20_000_000)
    monkeypatch.setattr(driver, "SLICE_NS", 1_000_000)
    mount, gate = Mount(), Gate()
    channel = mount.channel()
    assert await mount.long(gate.steps, channel, progress=True) == ""
    told = []
    for _ in range(3):
        await mount.verbs.drive(channel)
        told.append(channel.read(1000).decode())
    assert all(line.startswith('progress: {"done": ') for line in told), told
    assert len(set(told)) == 3
    gate.is_open = True
    await mount.verbs.drive(channel)
    assert channel.read(1000) == b"through\n"
    await mount.verbs.drive(channel)
    assert channel.read(1000) == b""


async def test_it_ends_when_its_channel_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "TOLD_NS", 1_000_000)
    mount, gate = Mount(), Gate()
    channel = mount.channel()
    await mount.long(gate.steps, channel, progress=True)
    mount.verbs.release(mount.channel())
    assert not gate.is_closed
    mount.verbs.release(channel)
    assert gate.is_closed
    assert gate.count
    gate.is_open = True
    assert await mount.long(gate.steps) == "through\n"


async def test_it_ends_with_the_mount() -> None:
    mount, gate = Mount(), Gate()
    errors: list[HeliosError] = []

    async def work() -> None:
        with pytest.raises(Interrupted) as raised:
            await mount.long(gate.steps)
        errors.append(raised.value)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            mount.verbs.end()
    assert [error.errno for error in errors] == [errno.EINTR]
    assert gate.is_closed


async def test_it_ends_when_who_asked_shall_end(monkeypatch: pytest.MonkeyPatch) -> None:
    mount, gate = Mount(), Gate()
    channel = mount.channel()
    channel.opener_pid = 4711
    asked: list[int] = []

    def ask(pid: int) -> bool:
        asked.append(pid)
        return len(asked) > 2

    monkeypatch.setattr(verbs, "wants_to_end", ask)
    with trio.fail_after(30), pytest.raises(Interrupted):
        await mount.long(gate.steps, channel)
    assert asked == [4711] * 3
    assert gate.is_closed


async def test_what_only_reads_runs_beside_it() -> None:
    mount, gate = Mount(), Gate()
    reading = Gate()
    reading.is_open = True
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mount.long, gate.steps)
            await trio.testing.wait_all_tasks_blocked()
            assert await mount.verbs.work_off("looking", reading.steps, 0) == "through\n"
            gate.is_open = True


async def test_a_reader_ends_with_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    mount, gate = Mount(), Gate()
    channel = mount.channel()
    channel.opener_pid = 4711
    monkeypatch.setattr(reader, "wants_to_end", lambda pid: pid == 4711)
    with trio.fail_after(30), pytest.raises(Interrupted, match="looking was interrupted"):
        await mount.reading(gate.steps, channel)
    assert gate.is_closed
    assert channel.read(100) == b"error: looking was interrupted\n"
    gate.is_closed = False
    with trio.fail_after(30), pytest.raises(Interrupted):
        await mount.verbs.work_off("a text", gate.steps, 4711)
    assert gate.is_closed


async def test_a_reader_has_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many small pieces it gathers; what the working set took meanwhile does not count."""
    mount = Mount()
    core = mount.stage.repository
    gathered: list[mmap.mmap] = []
    # Pages of its own each: memory that earlier tests freed would be used anew, unseen.
    piece = bytes(2**20)

    def steps() -> Steps[str]:
        while len(gathered) < 400:
            gathered.append(mmap.mmap(-1, len(piece)))
            gathered[-1].write(piece)
            yield TURN
        return "through\n"

    monkeypatch.setattr(driver, "CHECKED_NS", 0)
    core.working_set.budget_bytes = 160 * 1024 * 1024
    with trio.fail_after(60), pytest.raises(TooLarge, match="more than 80 MiB of memory"):
        await mount.reading(steps)
    assert 60 < len(gathered) < 200
    gathered.clear()
    core.working_set.budget_bytes = 2**30
    with trio.fail_after(60):
        assert await mount.reading(steps) == "through\n"


async def test_a_signal_that_waits_for_a_process_is_seen() -> None:
    """A stopped process stands for one that waits in the kernel: its signals stay pending."""
    blocked = {signal.SIGTERM}
    child = subprocess.Popen(
        ["sleep", "60"],
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, blocked),  # noqa: PLW1509
    )
    try:
        assert not wants_to_end(child.pid)
        os.kill(child.pid, signal.SIGTERM)
        # It does not end the process, which may read it by signalfd(2) when it comes to that.
        assert not wants_to_end(child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        os.kill(child.pid, signal.SIGUSR1)
        assert not wants_to_end(child.pid)
        os.kill(child.pid, signal.SIGINT)
        assert wants_to_end(child.pid)
    finally:
        child.kill()
        child.wait()
    assert not wants_to_end(child.pid)


@pytest.mark.parametrize(("mode", "asked"), [("sync", [False]), ("async", [])])
async def test_a_verb_waits_for_the_disk_where_the_settings_say_so(
    monkeypatch: pytest.MonkeyPatch, mode: str, asked: list[bool]
) -> None:
    found: list[bool] = []

    async def acknowledge(self: Keeper, *, sync: bool) -> None:
        found.append(sync)

    monkeypatch.setattr(Keeper, "acknowledge", acknowledge)
    mount = Mount()
    mount.stage.repository.configuration.set("durability.mode", mode)
    with trio.fail_after(10):
        assert await mount.short() == "done\n"
    assert found == asked
