"""Deep Agents: the agent's files and shell are a fork of a heliosfs workspace.

    backend = HeliosSandbox("/home/me/ws")
    agent = create_deep_agent(model, backend=backend)

Each tool call that changes something is a commit of the fork, which is a branch: `backend.branch`
has its history (`log`, `diff`, `reset`, `undo`), `backend.workspace.merge(backend.id)` takes it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from deepagents.backends import protocol
from deepagents.backends.sandbox import BaseSandbox

from heliosfs import Workspace
from heliosfs.errors import NothingToCommit

_TIMED_OUT = 124
_purpose: ContextVar[str | None] = ContextVar("purpose", default=None)
"""Tool for which the base class runs a script of its own."""


class HeliosSandbox(BaseSandbox):
    """A fork of a workspace, in whose live directory commands run, with all rights of ours."""

    def __init__(
        self,
        path: str | os.PathLike[str] = ".",
        branch: str | None = None,
        *,
        timeout: int = 120,
        max_output_bytes: int = 1_000_000,
    ) -> None:
        """Fork the workspace at a path, or attach to a branch of it."""
        self.workspace = Workspace(path)
        self.branch = self.workspace.live(branch) if branch else self.workspace.fork(keep=True)
        """The fork, as a workspace of the Python client."""
        # Its directory as it is: tools that read files see the same paths as commands.
        self._commands = Workspace(self.branch.path)
        self._timeout = timeout
        self._max_output_bytes = max_output_bytes

    @property
    def id(self) -> str:
        """Name of the branch, to attach to it later."""
        return self.branch.name

    def execute(self, command: str, *, timeout: int | None = None) -> protocol.ExecuteResponse:
        """Run a shell command in the live directory, and commit; a timeout of 0 is none."""
        seconds = self._timeout if timeout is None else timeout
        try:
            done = self._commands.run(["sh", "-c", command], timeout=seconds or None)
            text, exit_code = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as late:
            # Typed as bytes or text; the client's commands return text.
            text = "".join(map(str, filter(None, (late.output, late.stderr))))
            text, exit_code = f"{text}\nkilled after {seconds} s", _TIMED_OUT
        self._commit(f"execute {command}")
        data = text.encode()
        if len(data) <= self._max_output_bytes:
            return protocol.ExecuteResponse(text, exit_code)
        kept = data[: self._max_output_bytes].decode(errors="ignore")
        return protocol.ExecuteResponse(kept, exit_code, truncated=True)

    def _commit(self, message: str) -> None:
        message = (_purpose.get() or message).replace("\0", " ")[:10_000]
        with suppress(NothingToCommit):
            self.branch.commit(message, agent="deepagents")

    def write(self, file_path: str, content: str) -> protocol.WriteResult:
        """Write a file, and commit it."""
        with _for(f"write {file_path}"):
            return super().write(file_path, content)

    def edit(
        self, file_path: str, old_string: str, new_string: str, replace_all: bool = False
    ) -> protocol.EditResult:
        """Replace text in a file, and commit it."""
        with _for(f"edit {file_path}"):
            return super().edit(file_path, old_string, new_string, replace_all)

    def delete(self, file_path: str) -> protocol.DeleteResult:
        """Delete a file or directory, and commit that."""
        with _for(f"delete {file_path}"):
            return super().delete(file_path)

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[protocol.FileUploadResponse]:
        """Write files, each as far as it can be, and commit them."""
        responses = []
        for name, data in files:
            try:
                path = _absolute(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                responses.append(protocol.FileUploadResponse(name))
            except OSError as error:
                responses.append(protocol.FileUploadResponse(name, error=_code(error)))
        self._commit("upload " + " ".join(name for name, _ in files))
        return responses

    def download_files(self, paths: list[str]) -> list[protocol.FileDownloadResponse]:
        """Read files, each as far as it can be."""
        responses = []
        for name in paths:
            try:
                responses.append(protocol.FileDownloadResponse(name, _absolute(name).read_bytes()))
            except OSError as error:
                responses.append(protocol.FileDownloadResponse(name, error=_code(error)))
        return responses


@contextmanager
def _for(purpose: str) -> Iterator[None]:
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


def _absolute(name: str) -> Path:
    if not name.startswith("/"):
        raise NotADirectoryError(name)
    return Path(name)


def _code(error: OSError) -> protocol.FileOperationError:
    if isinstance(error, FileNotFoundError):
        return "file_not_found"
    if isinstance(error, IsADirectoryError):
        return "is_directory"
    return "permission_denied" if isinstance(error, PermissionError) else "invalid_path"
