"""Commands in a workspace, ended together with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

_PIPE = subprocess.PIPE


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
                # All writers are gone, so this ends.
                out, err = process.communicate()
                raise subprocess.TimeoutExpired(self._words, late.timeout, out, err) from None
            except BaseException:
                self.kill()
                raise
        done = subprocess.CompletedProcess(self._words, process.returncode, out, err)
        if check:
            done.check_returncode()
        return done

    def kill(self) -> None:
        """Kill the command and what it started, but for what has left its session."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
