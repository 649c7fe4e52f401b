"""A mount in this process whose contents a bucket in memory has."""

from __future__ import annotations

from collections.abc import Callable

import trio

from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.keeper import Keeper
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.verbs import Verbs
from heliosfs.daemon.watchers import Watchers
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.remote.bucket import Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.steps import ALONE, TURN, Steps
from heliosfs.vfs.control import CommandChannel, ErrorLog
from heliosfs.vfs.control_request import ControlRequest
from tests.remote.machines import Machine
from tests.remote.promised import LazyMachine, noise

_SECONDS = 10
_SIZE = 40_000
_COUNT = 100


class Mount:
    """Verbs over a repository whose contents a bucket has, with a kernel that says nothing."""

    def __init__(self, count: int = _COUNT) -> None:
        self.bucket = MemoryBucket()
        self.blobs = [blob(number) for number in range(count)]
        one, self.machine = Machine(self.bucket), LazyMachine(self.bucket)
        for number in range(count):
            one.files.write(b"%02d" % number, noise(number, _SIZE))
        one.commit()
        one.push()
        self.machine.pull()
        self.bucket.requests.clear()
        repository = self.machine.repository
        kernel = Kernel(RequestLoop(), Barrier("/", -1), Notices(-1))
        keeper = Keeper(repository, kernel, lambda error: None)
        self.verbs = Verbs(repository, kernel, keeper, Watchers(repository, "/", Notices(-1)))
        self.hydrator = self.verbs.hydrator
        self.hydrator.use(self.machine.hydration)
        self.go_on = trio.Event()
        self.attempts = 0

    def hold_up(self) -> None:
        """Let requests to the bucket wait for `go_on`."""
        token = trio.lowlevel.current_trio_token()

        def wait(method: str, key: str) -> None:
            trio.from_thread.run(self.go_on.wait, trio_token=token)

        self.bucket.before = wait

    def cut(self) -> None:
        def fail(method: str, key: str) -> None:
            raise Unreachable("the server does not answer")

        self.bucket.before = fail

    def channel(self) -> CommandChannel:
        machine = self.machine
        return CommandChannel(ErrorLog(), machine.repository, lambda: machine.view, None, str)

    def reads(self, *numbers: int, alone: bool = False) -> Callable[[], Steps[str]]:
        """Steps that read contents, after they asked to be alone or before."""

        def steps() -> Steps[str]:
            self.attempts += 1
            yield ALONE if alone else TURN
            for number in numbers:
                self.machine.store.read(blob(number), Kind.BLOB)
                yield TURN
            return f"{self.attempts}\n"

        return steps

    async def run(self, request: ControlRequest, channel: CommandChannel | None = None) -> str:
        channel = channel or self.channel()
        with trio.fail_after(_SECONDS):
            await self.verbs.run(channel, [request])
        return channel.read(1000).decode()

    def short(self, *numbers: int) -> ControlRequest:
        def run() -> str:
            self.attempts += 1
            for number in numbers:
                self.machine.store.read(blob(number), Kind.BLOB)
            return f"{self.attempts}\n"

        return ControlRequest(False, False, run)


def blob(number: int) -> Oid:
    """Return the id of the content of a file."""
    return object_id(Kind.BLOB, noise(number, _SIZE))
