"""Commands in a workspace, ended together with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from heliosfs.cli.processes import descendants

_PIPE = subprocess.PIPE
_LAST_OUTPUT_SECONDS = 1.0
"""Time in which the pipes of a killed command are closed by their last writer."""


class StartedCommand:
    """A command that runs, in a session of its own; its output is collected."""

    def __init__(
        self,
        words: Sequence[str],
        command: Sequence[str],
        cwd: str,
        env: Mapping[str, str] | None,
        *,
        has_input: bool,
    ) -> None:
        """Start `command`, which is `words` to the caller.  Raise OSError for no such program."""
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=_PIPE if has_input else subprocess.DEVNULL,
            stdout=_PIPE,
            stderr=_PIPE,
            env={**os.environ, **(env or {})},
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._words = list(words)

    def finish(
        self, text: str | None, timeout: float | None, *, check: bool
    ) -> subprocess.CompletedProcess[str]:
        """Hand over the input, and return exit code and output once it has ended.

        Raise TimeoutExpired, after which all of it was killed, and CalledProcessError if an exit
        code other than 0 is to be checked.
        """
        with self._process as process:
            try:
                out, err = process.communicate(text, timeout)
            except subprocess.TimeoutExpired as late:
                self.kill()
                out, err = self._rest()
                raise subprocess.TimeoutExpired(self._words, late.timeout, out, err) from None
            except BaseException:
                self.kill()
                raise
        done = subprocess.CompletedProcess(self._words, process.returncode, out, err)
        if check:
            done.check_returncode()
        return done

    def _rest(self) -> tuple[str, str]:
        """Return the output of a command that was killed.

        A daemon that it began, which is no descendant any more, may have the pipes open for ever.
        """
        try:
            return self._process.communicate(timeout=_LAST_OUTPUT_SECONDS)
        except subprocess.TimeoutExpired as late:
            # In bytes, whatever the pipes are read as.
            parts: tuple[Any, ...] = (late.stdout or b"", late.stderr or b"")
            out, err = (
                part if isinstance(part, str) else part.decode("utf-8", "replace") for part in parts
            )
            return out, err

    def kill(self) -> None:
        """Kill the command and what it started, but for what has become a daemon."""
        if self._process.returncode is None:
            # Some may have made sessions of their own.
            started = descendants(self._process.pid)
            os.killpg(self._process.pid, signal.SIGKILL)
            for pid in started:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
