"""`AsyncWorkspace`: the methods of `Workspace` as coroutines, each call on a thread."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from heliosfs.client.threads import in_thread
from heliosfs.client.view import ViewClient
from heliosfs.client.workspace import LiveBranch, RunningExperiment, Workspace

P = ParamSpec("P")
T = TypeVar("T")
Inner = TypeVar("Inner", bound=ViewClient)
Inner_co = TypeVar("Inner_co", bound=ViewClient, covariant=True)
Live = TypeVar("Live", bound=LiveBranch)
AsyncLive = TypeVar("AsyncLive", bound="AsyncLiveBranch")


class _Served(Protocol[Inner_co]):
    """Object whose synchronous counterpart does the work."""

    @property
    def sync(self) -> Inner_co: ...


def _on_thread(
    method: Callable[Concatenate[Inner, P], T],
) -> Callable[Concatenate[_Served[Inner], P], Coroutine[Any, Any, T]]:
    """Return the coroutine function that calls a method of the synchronous object."""

    @wraps(method)
    async def call(self: _Served[Inner], /, *arguments: P.args, **keywords: P.kwargs) -> T:
        return await in_thread(partial(method, self.sync, *arguments, **keywords))

    return call


def _opens(
    method: Callable[Concatenate[Workspace, P], Live], kind: Callable[[Live], AsyncLive]
) -> Callable[Concatenate[_Served[Workspace], P], AsyncOpening[Live, AsyncLive]]:
    """Return the function that makes a live branch when it is awaited or entered."""

    @wraps(method)
    def call(
        self: _Served[Workspace], /, *arguments: P.args, **keywords: P.kwargs
    ) -> AsyncOpening[Live, AsyncLive]:
        return AsyncOpening(partial(method, self.sync, *arguments, **keywords), kind)

    return call


def _live(sync: LiveBranch) -> AsyncLiveBranch:
    return AsyncLiveBranch(sync)


def _running(sync: RunningExperiment) -> AsyncRunningExperiment:
    return AsyncRunningExperiment(sync)


class AsyncOpening(Generic[Live, AsyncLive]):
    """A branch that is about to be made: `await` it, or use it in `async with`."""

    def __init__(self, make: Callable[[], Live], kind: Callable[[Live], AsyncLive]) -> None:
        """Take the call that makes the branch, and the class of the result."""
        self._make = make
        self._kind = kind
        self._made: list[Live] = []

    def __await__(self) -> Generator[Any, None, AsyncLive]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncLive:
        try:
            return await self._open()
        except BaseException:
            # It was cancelled after the branch was made.
            await self._end(*[None] * 3)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end(kind, error, trace)

    async def _open(self) -> AsyncLive:
        await in_thread(lambda: self._made.append(self._make()))
        return self._kind(self._made[0])

    async def _end(self, *reason: Any) -> None:
        for live in self._made:
            await in_thread(partial(live.__exit__, *reason), is_last=True)


class AsyncWorkspace:
    """`Workspace` with coroutines for methods, on asyncio and on trio.

    Each call runs on a thread.  A caller that is cancelled waits for the end of its request, which
    is whole or not at all; a command of `run` is killed.
    """

    sync: Workspace
    """The same workspace with methods that block."""

    def __init__(self, path: str | os.PathLike[str] | Workspace = ".") -> None:
        """Find the view at a directory or above it, as `Workspace` does."""
        self.sync = path if isinstance(path, Workspace) else Workspace(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """Root directory of the view."""
        return self.sync.path

    request = _on_thread(ViewClient.request)
    commit = _on_thread(Workspace.commit)
    status = _on_thread(Workspace.status)
    diff = _on_thread(Workspace.diff)
    patch = _on_thread(Workspace.patch)
    log = _on_thread(Workspace.log)
    snapshot = _on_thread(Workspace.snapshot)
    branches = _on_thread(Workspace.branches)
    checkout = _on_thread(Workspace.checkout)
    reset = _on_thread(Workspace.reset)
    undo = _on_thread(Workspace.undo)
    redo = _on_thread(Workspace.redo)
    merge = _on_thread(Workspace.merge)
    push = _on_thread(Workspace.push)
    fetch = _on_thread(Workspace.fetch)
    pull = _on_thread(Workspace.pull)
    branch = _opens(Workspace.branch, _live)
    fork = _opens(Workspace.fork, _live)
    live = _opens(Workspace.live, _live)
    experiment = _opens(Workspace.experiment, _running)
    experiments = _on_thread(Workspace.experiments)

    async def run(
        self,
        words: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002 - named as in subprocess
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace, and return its exit code and output.

        It is killed, with all that it started, if the caller is cancelled.
        """
        started = self.sync.start(words, env, has_input=input is not None)
        call = partial(started.finish, input, timeout, check=check)
        return await in_thread(call, kill=started.kill)


class AsyncLiveBranch(AsyncWorkspace):
    """`LiveBranch` with coroutines for methods."""

    sync: LiveBranch

    def __init__(self, sync: LiveBranch) -> None:
        """Take the synchronous object that does the work."""
        super().__init__(sync)

    @property
    def name(self) -> str:
        """Name of the branch, as `merge` takes it."""
        return self.sync.name

    def keep(self) -> None:
        """Keep the branch at the end of the block."""
        self.sync.keep()

    drop = _on_thread(LiveBranch.drop)


class AsyncRunningExperiment(AsyncLiveBranch):
    """`RunningExperiment` with coroutines for methods."""

    sync: RunningExperiment

    def __init__(self, sync: RunningExperiment) -> None:
        """Take the synchronous object that does the work."""
        super().__init__(sync)

    record = _on_thread(RunningExperiment.record)
    best = _on_thread(RunningExperiment.best)
    info = _on_thread(RunningExperiment.info)
    finish = _on_thread(RunningExperiment.finish)
    abandon = _on_thread(RunningExperiment.abandon)
