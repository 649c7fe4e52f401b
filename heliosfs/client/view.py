"""`ViewClient`: a mounted view that is found from a directory, and commands in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heliosfs.cli.client import mounted_view
from heliosfs.cli.locate import Location
from heliosfs.client.commands import StartedCommand
from heliosfs.client.requests import Door, request_json, request_text
from heliosfs.errors import NotFound


class ViewClient:
    """A mounted view: requests in the words of the command line, and commands that run in it."""

    def __init__(self, path: str | os.PathLike[str] = ".") -> None:
        """Find the view at a directory or above it.

        Raise NotFound if nothing is mounted there, NotPermitted if another user mounted it.
        """
        view = mounted_view(os.path.realpath(path))
        self._root = view.root
        self._door = Door(Location(view.root, ""))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._root!r})"

    @property
    def path(self) -> Path:
        """Root directory of the view."""
        return Path(self._root)

    @property
    def head(self) -> str | None:
        """Id of HEAD; None before the first commit."""
        try:
            return self.request("rev-parse", "--verify", "HEAD").strip()
        except NotFound:
            return None

    def request(self, *words: str) -> str:
        """Carry out any verb, and return its reply as text, or as JSON if the words ask for it.

        Relative paths in the words begin at the root of the view.  Raise a HeliosError.
        """
        return request_text(self._door, words)

    def run(
        self,
        words: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002 - named as in subprocess
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace, and return its exit code and output.

        In a live branch it finds the branch at the path of the mount point, as with `helios run`,
        where a mount namespace can be had: 0.1 s more.  `env` is added to the environment.  A
        command that takes longer than `timeout` seconds is killed with all that it started.  Raise
        the errors of `subprocess.run`.
        """
        started = self.start(words, env, has_input=input is not None)
        return started.finish(input, timeout, check=check)

    def start(
        self, words: Sequence[str], env: Mapping[str, str] | None = None, *, has_input: bool
    ) -> StartedCommand:
        """Start a command, as `run` does.  Raise OSError if there is no such program."""
        command, where = self._command(words)
        return StartedCommand(words, command, where, env, has_input=has_input)

    def _command(self, words: Sequence[str]) -> tuple[list[str], str]:
        """Return the command that runs a command in the view, and the directory to start it in."""
        return list(words), self._root

    def _json(self, *words: str) -> Any:
        return request_json(self._door, words)
