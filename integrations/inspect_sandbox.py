"""Inspect AI: the sandbox of each sample is a fork of a heliosfs workspace.

    sandbox = SandboxEnvironmentSpec("heliosfs", HeliosConfig(workspace="/home/me/ws"))
    Task(dataset, solver=…, scorer=…, sandbox=sandbox)

What a sample leaves is a commit with the task and the sample's metadata, and stays in
`.helios/snapshots`; the branch goes, unless `keep` is true or the sample was interrupted.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload
from uuid import uuid4

import anyio
from inspect_ai.util import (
    ExecResult,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUserUnsupportedError,
    sandboxenv,
    subprocess,
)
from inspect_ai.util._sandbox.limits import verify_read_file_size
from pydantic import BaseModel

from heliosfs import Workspace
from heliosfs.client.workspace import LiveBranch
from heliosfs.errors import NothingToCommit


class HeliosConfig(BaseModel, frozen=True):
    """Workspace that samples are forks of."""

    workspace: str
    base: str | None = None
    """Commit to begin at; None for the files as they are."""
    keep: bool = False
    """True if the branch of each sample stays."""


@sandboxenv(name="heliosfs")
class HeliosSandboxEnvironment(SandboxEnvironment):
    """A fork of a workspace, in whose live directory commands run, with all rights of ours."""

    def __init__(self, branch: LiveBranch) -> None:
        """Take the fork."""
        super().__init__()
        self.branch = branch
        self._root = branch.path

    @classmethod
    async def sample_init(
        cls, task_name: str, config: SandboxEnvironmentConfigType | None, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        """Fork the workspace, or make a branch at the commit of the configuration."""
        assert isinstance(config, HeliosConfig)
        branch = await anyio.to_thread.run_sync(_fork, config)
        return {"default": cls(branch)}

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        """Commit what the sample has left, and delete the branch."""
        for each in environments.values():
            branch = each.as_type(cls).branch
            with suppress(NothingToCommit):
                branch.commit(f"sample of {task_name}", task=task_name, interrupted=interrupted)
            if not interrupted and not (isinstance(config, HeliosConfig) and config.keep):
                branch.drop()

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        """Return the configuration that a log has."""
        return HeliosConfig(**config)

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,  # noqa: A002 - named by the base class
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Run a command in the live directory."""
        if user is not None:
            raise SandboxUserUnsupportedError("commands run as the user of this process")
        result = await subprocess(
            args=cmd,
            input=input,
            cwd=self._root / (cwd or ""),
            env=env,
            timeout=timeout,
            output_limit=SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE,
            concurrency=concurrency,
        )
        if result.returncode < 0:
            # A signal, in the way of shells.
            return replace(result, returncode=128 - result.returncode)
        return result

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Write a file, whose directory is made when it is missing."""
        path = self._root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.encode() if isinstance(contents, str) else contents)

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Return the content of a file, line ends unchanged."""
        path: Path = self._root / file
        verify_read_file_size(str(path))
        data = path.read_bytes()
        return data.decode() if text else data


def _fork(config: HeliosConfig) -> LiveBranch:
    workspace = Workspace(config.workspace)
    if config.base is None:
        return workspace.fork(keep=True)
    return workspace.branch(f"sample-{uuid4().hex[:12]}", config.base)
