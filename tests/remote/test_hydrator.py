"""Verbs and requests of a mount that meet promised contents, beside all others."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import trio

from heliosfs.daemon import hydrator
from heliosfs.errors import Interrupted, PromisedObject, Unfetched
from heliosfs.objects.ids import Kind
from heliosfs.steps import Steps
from heliosfs.vfs.control import ErrorLog, HookChannel
from heliosfs.vfs.control_request import ControlRequest, LongRequest
from tests.remote.hydrating import Mount, blob

pytestmark = pytest.mark.trio
SECONDS = 10


def _reading(steps: Callable[[], Steps[str]]) -> ControlRequest:
    return ControlRequest(False, False, str, reading=LongRequest("looking", steps, progress=False))


def _long(steps: Callable[[], Steps[str]], *, progress: bool = False) -> ControlRequest:
    return ControlRequest(False, False, str, long=LongRequest("work", steps, progress))


async def test_all_kinds_of_verbs_begin_again() -> None:
    for make in (
        lambda mount: mount.short(3, 50),
        lambda mount: _reading(mount.reads(3, 50)),
        lambda mount: _reading(mount.reads(3, 50, alone=True)),
        lambda mount: _long(mount.reads(3, 50)),
        lambda mount: _long(mount.reads(3, 50, alone=True)),
    ):
        mount = Mount()
        # The first one, the second one, and when both are here.
        assert await mount.run(make(mount)) == "3\n"
        assert mount.bucket.requests["get"] <= 4
        assert await mount.run(mount.short(3, 50)) == "4\n"


async def test_a_verb_that_waits_lets_others_run() -> None:
    for make in (
        lambda mount: mount.short(3),
        lambda mount: _reading(mount.reads(3, alone=True)),
        lambda mount: _long(mount.reads(3, alone=True)),
    ):
        mount = Mount()
        mount.hold_up()
        replies: list[str] = []

        async def run(mount: Mount, request: ControlRequest, replies: list[str]) -> None:
            replies.append(await mount.run(request))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, mount, make(mount), replies)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert await mount.run(mount.short()) == "2\n"
            assert replies == []
            mount.go_on.set()
        assert replies == ["3\n"]


async def test_verbs_that_wait_take_no_threads() -> None:
    mount = Mount()
    mount.hold_up()
    limiter = trio.to_thread.current_default_thread_limiter()
    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(mount.run, mount.short(number))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert limiter.borrowed_tokens == 0
        mount.go_on.set()
    assert all(map(mount.machine.store.contains, mount.blobs[:60]))


async def test_progress_is_told_while_contents_come(monkeypatch: pytest.MonkeyPatch) -> None:
    mount = Mount()
    mount.hold_up()
    channel = mount.channel()
    with trio.fail_after(SECONDS):
        await mount.verbs.run(channel, [_long(mount.reads(3), progress=True)])
        channel.answer("")
        await mount.verbs.drive(channel)
        for _ in range(2):
            told = json.loads(channel.read(1000).removeprefix(b"progress: "))
            assert told["unit"] == "bytes"
            assert told["total"] > told["done"] == 0
            await mount.verbs.drive(channel)
        mount.go_on.set()
        reply = channel.read(1000)
        while not reply.endswith(b"2\n"):
            await mount.verbs.drive(channel)
            reply += channel.read(1000)
    # Its place is free.
    assert await mount.run(_long(mount.reads())) == "3\n"


@pytest.mark.parametrize("kind", ["short", "reading", "long"])
async def test_a_caller_who_is_interrupted_ends(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = Mount()
    mount.hold_up()
    channel = mount.channel()
    channel.opener_pid = 4711
    requests = {"short": mount.short(3), "reading": _reading(mount.reads(3))}
    requests["long"] = _long(mount.reads(3))
    for module in ("hydrator", "reader", "verbs"):
        monkeypatch.setattr(f"heliosfs.daemon.{module}.wants_to_end", lambda pid: pid == 4711)
    with pytest.raises(Interrupted, match="was interrupted"):
        await mount.run(requests[kind], channel)
    mount.go_on.set()
    assert await mount.run(_long(mount.reads(3)))


async def test_what_cannot_be_had_is_told_in_the_form_that_was_asked_for() -> None:
    mount = Mount()
    mount.cut()
    for line in ("grep x", "show HEAD:03"):
        channel = mount.channel()
        with pytest.raises(Unfetched):
            await mount.verbs.run(channel, channel.write(f"{line}\n".encode()))
        text = channel.read(1000).decode()
        assert text.startswith("error: content ")
        assert "is still at the remote 'origin', which cannot be reached: the server" in text
    channel = mount.channel()
    with pytest.raises(Unfetched):
        await mount.verbs.run(channel, channel.write(b"grep --json x\n"))
    document = json.loads(channel.read(1000).decode().removeprefix("error: "))
    assert document["errno"] == "EIO"
    assert "which cannot be reached" in document["error"]
    assert mount.machine.run("status", "-s") == ""


async def test_a_hook_never_fails_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mount = Mount()
    mount.cut()
    machine = mount.machine
    errors = ErrorLog()
    channel = HookChannel(errors, machine.repository, lambda: machine.view, str)

    def run(*arguments: object) -> str:
        return machine.store.read(blob(3), Kind.BLOB).decode("latin-1")

    monkeypatch.setattr("heliosfs.vfs.control.run", run)
    with trio.fail_after(SECONDS):
        channel.write(b"stop\n{}")
        await mount.verbs.run(channel, channel.finish())
    assert "nothing was committed: content " in json.loads(channel.read(1000))["systemMessage"]
    assert "which cannot be reached" in errors.text()


async def test_requests_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    mount = Mount()
    mount.hold_up()
    monkeypatch.setattr(hydrator, "WAITING_MAX", 3)
    error = PromisedObject(blob(3), "origin")
    counts = mount.machine.hydration.counts
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(mount.hydrator.bring, error)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert counts.waiting == 3
        with pytest.raises(Unfetched, match="3 requests wait for contents"):
            await mount.hydrator.bring(error)
        mount.go_on.set()
    assert counts.waiting == 0
    assert mount.machine.store.contains(blob(3))
    assert mount.bucket.requests == {"get": 1}


async def test_what_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    mount = Mount()
    mount.hold_up()
    monkeypatch.setattr("heliosfs.remote.hydration.ARRIVAL_SECONDS", 0.3)
    told: list[str] = []
    mount.hydrator.on_failure = told.append
    for number in (3, 60):
        with pytest.raises(Unfetched, match="does not answer"):
            await mount.hydrator.bring(PromisedObject(blob(number), "origin"))
    assert len(told) == 2
    mount.go_on.set()
    mount.machine.now += 1
    await mount.hydrator.bring(PromisedObject(blob(60), "origin"))
    assert mount.machine.store.contains(blob(60))


async def test_the_end_of_a_mount_ends_every_wait() -> None:
    mount = Mount()
    mount.hold_up()

    async def wait() -> None:
        with pytest.raises(Interrupted, match="unmounted"):
            await mount.hydrator.bring(PromisedObject(blob(3), "origin"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.05)
        mount.verbs.end()
    mount.go_on.set()
