"""Pydantic AI: each run works in a fork of a heliosfs workspace, and each tool call is a commit.

    agent = Agent(model, capabilities=[HeliosWorkspace("~/ws")])

The fork is a branch, made when it is first used, and stays when the run ends: its name is the `id`
of the run's `WorkspaceRef`, by which a later run continues there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.workspaces import (
    LocalWorkspaceBackend,
    WorkspaceBackend,
    WorkspaceRef,
    WorkspaceUnavailableError,
)

from heliosfs import Workspace
from heliosfs.client.workspace import LiveBranch
from heliosfs.errors import NotFound, NothingToCommit

PROVIDER = "heliosfs"
P = ParamSpec("P")
T = TypeVar("T")


def _in_the_fork(
    method: Callable[Concatenate[LocalWorkspaceBackend, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[HeliosWorkspaceBackend, P], Coroutine[Any, Any, T]]:
    """Return the method that does the same in the live directory of the fork."""

    @wraps(method)
    async def call(self: HeliosWorkspaceBackend, /, *arguments: P.args, **keywords: P.kwargs) -> T:
        return await method(await self.local(), *arguments, **keywords)

    return call


class HeliosWorkspaceBackend:
    """A fork of a workspace, in whose live directory commands run, with all rights of ours."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        ref: WorkspaceRef | None = None,
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Take the workspace, and the branch to attach to; nothing is opened yet."""
        self._path = Path(path).expanduser()
        self._ref = ref
        self._env = env
        self._lock = Lock()
        self._opened: tuple[LiveBranch, LocalWorkspaceBackend] | None = None

    @property
    def ref(self) -> WorkspaceRef | None:
        """Identity of the fork; None until it is made."""
        return self._ref

    async def local(self) -> LocalWorkspaceBackend:
        """Return the backend for the live directory; make the fork if there is none."""
        return (await self._open())[1]

    async def branch(self) -> LiveBranch:
        """Return the fork as a workspace of the Python client: `commit`, `diff`, `undo`, `drop`."""
        return (await self._open())[0]

    async def _open(self) -> tuple[LiveBranch, LocalWorkspaceBackend]:
        # A thread is not abandoned when the caller is cancelled, so the ref is always recorded.
        return await anyio.to_thread.run_sync(self._open_once)

    def _open_once(self) -> tuple[LiveBranch, LocalWorkspaceBackend]:
        with self._lock:
            if self._opened is None:
                try:
                    workspace = Workspace(self._path)
                    live = workspace.live(self._ref.id) if self._ref else workspace.fork(keep=True)
                except NotFound as error:
                    raise WorkspaceUnavailableError(str(error)) from error
                self._ref = self._ref or WorkspaceRef(provider=PROVIDER, id=live.name)
                self._opened = live, LocalWorkspaceBackend(live.path, env=self._env)
            return self._opened

    working_dir = _in_the_fork(LocalWorkspaceBackend.working_dir)
    run = _in_the_fork(LocalWorkspaceBackend.run)
    read_bytes = _in_the_fork(LocalWorkspaceBackend.read_bytes)
    write_bytes = _in_the_fork(LocalWorkspaceBackend.write_bytes)
    stat = _in_the_fork(LocalWorkspaceBackend.stat)
    list_dir = _in_the_fork(LocalWorkspaceBackend.list_dir)
    make_dir = _in_the_fork(LocalWorkspaceBackend.make_dir)
    remove = _in_the_fork(LocalWorkspaceBackend.remove)
    exists = _in_the_fork(LocalWorkspaceBackend.exists)
    realpath = _in_the_fork(LocalWorkspaceBackend.realpath)


@dataclass
class HeliosWorkspace(AbstractCapability[Any]):
    """Capability that lets runs work in forks of a workspace, and commits after each tool call."""

    path: str | os.PathLike[str]
    env: Mapping[str, str] | None = None
    """Environment of commands, besides `PATH`, `HOME` and the locale."""

    def get_workspace(
        self, ctx: RunContext[Any], *, ref: WorkspaceRef | None
    ) -> WorkspaceBackend | None:
        """Return the fork that a reference names, or one that is made when it is first used."""
        if ref is not None and ref.provider != PROVIDER:
            return None
        return HeliosWorkspaceBackend(self.path, ref, env=self.env)

    async def after_tool_execute(self, ctx: RunContext[Any], *, result: Any, **said: Any) -> Any:
        """Commit what a tool has changed, with its name and the run as metadata."""
        backend = ctx.workspace.backend if ctx.workspace.attached else None
        if isinstance(backend, HeliosWorkspaceBackend) and backend.ref is not None:
            branch, call = await backend.branch(), said["call"]
            metadata = {"run": ctx.run_id, "call": call.tool_call_id, "agent": "pydantic-ai"}
            with suppress(NothingToCommit):
                await anyio.to_thread.run_sync(
                    lambda: branch.commit(f"tool {call.tool_name}", **metadata)
                )
        return result
