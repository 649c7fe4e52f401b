"""OpenAI Agents: a sandbox session is a fork of a heliosfs workspace, its snapshot a commit.

    client = HeliosSandboxClient("/home/me/ws")
    await Runner.run(agent, "…", run_config=RunConfig(sandbox=SandboxRunConfig(client=client)))

`persist_workspace` commits, and returns a few bytes that name the commit in place of an archive of
all files; `hydrate_workspace` makes the files those of that commit.  A tag `openai/SESSION` keeps
it, since a session's branch is deleted at the end of its run.
"""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Literal
from uuid import uuid4

from agents.sandbox.errors import WorkspaceArchiveReadError, WorkspaceArchiveWriteError
from agents.sandbox.manifest import Manifest
from agents.sandbox.sandboxes.unix_local import (
    UnixLocalSandboxSession,
    UnixLocalSandboxSessionState,
)
from agents.sandbox.session import SandboxSession, SandboxSessionState
from agents.sandbox.session.manager import Instrumentation
from agents.sandbox.session.sandbox_client import BaseSandboxClient
from agents.sandbox.snapshot import SnapshotBase, SnapshotSpec, resolve_snapshot

from heliosfs import Workspace
from heliosfs.client.workspace import LiveBranch
from heliosfs.errors import HeliosError, NotFound, NothingToCommit

_KEY = "heliosfs-commit"
_POINTER_BYTES_MAX = 4096


class HeliosSandboxSessionState(UnixLocalSandboxSessionState):
    """State of a session: its fork, by name, besides what a local session has."""

    type: Literal["heliosfs"] = "heliosfs"  # type: ignore[assignment]  # a name for each subclass
    branch: str


class HeliosSandboxSession(UnixLocalSandboxSession):
    """A fork of a workspace, in whose live directory commands run, with all rights of ours."""

    state: HeliosSandboxSessionState

    def __init__(
        self, state: HeliosSandboxSessionState, branch: LiveBranch, *, was_there: bool
    ) -> None:
        """Take the state, and the fork that it names."""
        super().__init__(state=state)
        self._set_start_state_preserved(was_there)
        self.branch = branch
        """The fork, as a workspace of the Python client."""

    def _should_compute_snapshot_fingerprint_on_persist(self) -> bool:
        # The id of a commit is one.
        return False

    async def persist_workspace(self) -> io.IOBase:
        """Commit, and return the id of the commit as a document."""
        try:
            commit = await asyncio.to_thread(self._commit)
        except HeliosError as error:
            root = Path(self.state.manifest.root)
            raise WorkspaceArchiveReadError(path=root, cause=error) from error
        return io.BytesIO(json.dumps({_KEY: commit}).encode())

    def _commit(self) -> str | None:
        with suppress(NothingToCommit):
            self.branch.commit("snapshot", agent="openai", session=self.state.session_id.hex)
        head = self.branch.head
        if head is not None:
            self.branch.request("tag", "-f", f"openai/{self.state.session_id.hex}", head)
        return head

    async def hydrate_workspace(self, data: io.IOBase) -> None:
        """Make all files those of the commit that a document names, or of an archive of others."""
        start = data.read(_POINTER_BYTES_MAX)
        try:
            commit = json.loads(start)[_KEY]
        except (ValueError, KeyError, TypeError):
            data.seek(0)
            await super().hydrate_workspace(data)
            return
        try:
            await asyncio.to_thread(self.branch.reset, commit, hard=True)
        except HeliosError as error:
            root = Path(self.state.manifest.root)
            raise WorkspaceArchiveWriteError(path=root, cause=error) from error

    async def _restore_snapshot_into_workspace_on_resume(self) -> None:
        # The base class checks an archive, and clears the directory, before it extracts.
        data = await self.state.snapshot.restore(dependencies=self.dependencies)
        with data:
            await self.hydrate_workspace(data)


class HeliosSandboxClient(BaseSandboxClient[None]):
    """Client whose sessions are forks of one workspace."""

    backend_id = "heliosfs"
    supports_default_options = True

    def __init__(self, path: str | Path = ".") -> None:
        """Take the directory of the workspace."""
        self._workspace = Workspace(path)

    async def create(
        self,
        *,
        snapshot: SnapshotSpec | SnapshotBase | None = None,
        manifest: Manifest | None = None,
        options: None = None,
    ) -> SandboxSession:
        """Fork the workspace; what the manifest has is added when the session starts."""
        branch = await asyncio.to_thread(self._workspace.fork, keep=True)
        given = self._validate_manifest_for_create(manifest or Manifest())
        session_id = uuid4()
        state = HeliosSandboxSessionState(
            session_id=session_id,
            branch=branch.name,
            manifest=given.model_copy(update={"root": str(branch.path)}, deep=True),
            snapshot=resolve_snapshot(snapshot, str(session_id)),
        )
        return self._session(state, branch, was_there=False)

    async def resume(self, state: SandboxSessionState) -> SandboxSession:
        """Attach to the fork of a session, or make it again; its snapshot is restored then."""
        assert isinstance(state, HeliosSandboxSessionState)
        try:
            branch = await asyncio.to_thread(self._workspace.live, state.branch)
        except NotFound:
            branch = await asyncio.to_thread(self._workspace.branch, state.branch)
            return self._session(state, branch, was_there=False)
        return self._session(state, branch, was_there=True)

    async def delete(self, session: SandboxSession) -> SandboxSession:
        """Delete the fork; the commits of its snapshots stay."""
        assert isinstance(session.state, HeliosSandboxSessionState)
        with suppress(NotFound):
            branch = await asyncio.to_thread(self._workspace.live, session.state.branch)
            await asyncio.to_thread(branch.drop)
        return session

    def deserialize_session_state(self, payload: dict[str, object]) -> SandboxSessionState:
        """Return the state that was serialized."""
        return self._deserialize_session_state_payload(payload, HeliosSandboxSessionState)

    def _session(
        self, state: HeliosSandboxSessionState, branch: LiveBranch, *, was_there: bool
    ) -> SandboxSession:
        inner = HeliosSandboxSession(state, branch, was_there=was_there)
        return self._wrap_session(inner, instrumentation=Instrumentation())
