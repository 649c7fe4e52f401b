"""Runs of git that talk to a server: with the user's settings, and bounded.

Git asks nobody for a password, runs no hook, and ends if it hears nothing for `SILENT_SECONDS`.
Credentials come from where git has them: credential helpers, ssh's agent and keys, the environment.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import IO, NamedTuple

from heliosfs.errors import NotFound
from heliosfs.gitserver.addresses import PROTOCOLS
from heliosfs.steps import Progress, Steps, read_far

SILENT_SECONDS = 600.0
"""Time after which a git that says nothing is ended: no progress, no answer, no end."""
_CONNECT_SECONDS = 30
_ALIVE_SECONDS = 15
_ALIVE_COUNT = 4
_STALLED_SECONDS = 120
"""Time limit of curl for a byte."""
_PIECE_SECONDS = 0.5
_TERM_SECONDS = 5.0
_SAID_MAX = 200
"""Largest number of lines of git that are kept, and half the largest length of a reason."""
_ERRORS_READ_BYTES = 8_192
_TOLD_LINE_BYTES = 4_096

_SETTINGS = (
    "advice.pushUpdateRejected=false",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.logAllRefUpdates=false",
    "core.quotePath=false",
    # What comes is checked by the intake, one ref apart from the others.
    "fetch.fsckObjects=false",
    "fetch.unpackLimit=1",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "http.lowSpeedLimit=1",
    f"http.lowSpeedTime={_STALLED_SECONDS}",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "transfer.fsckObjects=false",
)
_KEPT = re.compile(
    r"GIT_(ASKPASS|EXEC_PATH|PROXY_COMMAND|PROXY_SSL_\w+|SSH|SSH_COMMAND|SSH_VARIANT|SSL_\w+"
    r"|HTTP_\w+|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+))"
)
"""Variables of git that say how to reach servers; all others say what a repository is."""
_OVERRIDES = {
    "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "SSH_ASKPASS_REQUIRE": "never",
}
_SSH = (
    f"ssh -o BatchMode=yes -o ConnectTimeout={_CONNECT_SECONDS} "
    f"-o ServerAliveInterval={_ALIVE_SECONDS} -o ServerAliveCountMax={_ALIVE_COUNT}"
)
_PROGRESS = re.compile(r"(Receiving|Writing) objects: +\d+% \((\d+)/(\d+)\)")
_NOISE = re.compile(
    r"hint:|warning:|From |To |Done$|remote: (Enumerating|Counting|Compressing|Total)"
    r"|(Receiving|Resolving|Writing|Enumerating|Counting|Compressing|Unpacking) "
    r"|Delta compression|Total \d| [*+=!-] |   \w|Please make sure|and the repository exists"
    r"|error: failed to push some refs|error: some local refs"
)
_USER = re.compile(r"://[^/@\s]+@")


class GitEnd(NamedTuple):
    """The end of a run of git."""

    code: int
    output: bytes
    said: list[str]
    """Lines of its error output that are neither progress nor advice."""

    @property
    def reason(self) -> str:
        """Return what git said of a failure, on one line."""
        return reason_in(self.said) or f"git ended with {self.code}"


def reason_in(lines: Sequence[str]) -> str:
    """Return the reason of a failure in lines of git, on one line that a terminal may show."""
    told = [each.removeprefix("fatal: ").removeprefix("error: ").strip() for each in lines]
    text = "; ".join(dict.fromkeys(each for each in told if each)) or ""
    text = _USER.sub("://", text)
    return "".join(each for each in text if each.isprintable())[: 2 * _SAID_MAX]


class Transfer:
    """A run of git that can be waited for in pieces, and ended at any time.

    All but `wait` return at once; `wait` belongs on a thread.  The process begins with the first
    `wait`, so that a transfer which was ended before never begins.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        git_dir: str | None = None,
        fds: Sequence[int] = (),
        begun: Callable[[int], None] = lambda pid: None,
        silent_seconds: float | None = None,
    ) -> None:
        """Prepare a command of git, whose processes inherit `fds`.

        `begun` is called with the id of its process.  It is ended when it says nothing for
        `silent_seconds`, or `SILENT_SECONDS`.
        """
        self._silent_seconds = SILENT_SECONDS if silent_seconds is None else silent_seconds
        self.progress = Progress(0, 0, "objects")
        self._argv = list(argv)
        self._git_dir = git_dir
        self._fds = tuple(fds)
        self._begun_as = begun
        self._lock = threading.Lock()
        self._has_ended = False
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._said: list[str] = []
        self._heard = time.monotonic()
        self._listener: threading.Thread | None = None
        self._is_silent = False

    def run(self) -> Steps[GitEnd]:
        """Run it to its end, and return that; who closes the generator ends the processes."""
        try:
            while (outcome := (yield from read_far(partial(self.wait, _PIECE_SECONDS)))) is None:
                yield self.progress
            return outcome
        finally:
            self.end()

    def wait(self, seconds: float) -> GitEnd | None:
        """Wait for the end, but no longer than `seconds`; return it, or None.  Raise NotFound."""
        process = self._begun()
        if process is None:
            return GitEnd(-signal.SIGTERM, b"", ["it was ended"])
        if not _has_exited(process, seconds):
            if time.monotonic() - self._heard > self._silent_seconds and not self._is_silent:
                self._is_silent = True
                self._end_processes(process)
            return None
        if self._listener is not None:
            # A connection that ssh keeps for others may hold the pipe open for hours.
            self._listener.join(_PIECE_SECONDS)
        with self._lock:
            output = b"" if self._output is None or self._has_ended else _whole(self._output)
        said = [each for each in self._said if not _NOISE.match(each)]
        if self._is_silent:
            said = [f"nothing was heard for {round(self._silent_seconds)} s"]
        return GitEnd(process.returncode, output, said)

    def end(self) -> None:
        """End the processes if they run.  Idempotent; does not wait."""
        with self._lock:
            self._has_ended, process, output = True, self._process, self._output
        if process is not None and process.poll() is None:
            self._end_processes(process)
        if output is not None:
            output.close()

    def _begun(self) -> subprocess.Popen[bytes] | None:
        """Return the process, begun; None if it was ended before."""
        with self._lock:
            if self._process is None and not self._has_ended:
                self._process = self._begin()
            return self._process

    def _begin(self) -> subprocess.Popen[bytes]:
        self._output = output = tempfile.TemporaryFile()  # noqa: SIM115
        place = [f"--git-dir={self._git_dir}"] if self._git_dir is not None else []
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        try:
            process = subprocess.Popen(
                ["git", *settings, *place, *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                env=_environment(),
                # Not in the store, nor in a workspace that might have a repository of its own.
                cwd="/",
                pass_fds=self._fds,
                # No terminal to ask on, and one group that can be ended as a whole.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise NotFound("git is not installed: install the package git") from error
        self._begun_as(process.pid)
        assert process.stderr is not None
        self._heard = time.monotonic()
        listen = partial(self._listen, process.stderr)
        self._listener = threading.Thread(target=listen, name="git's words", daemon=True)
        self._listener.start()
        return process

    def _listen(self, errors: IO[bytes]) -> None:
        """Read the error output to its end: lines, and the progress in them."""
        rest = b""
        with errors:
            while data := os.read(errors.fileno(), _ERRORS_READ_BYTES):
                self._heard = time.monotonic()
                *lines, rest = re.split(rb"[\r\n]", rest + data)
                rest = rest[:_TOLD_LINE_BYTES]
                for line in lines:
                    self._take(line.decode("utf-8", "replace").rstrip())
        self._take(rest.decode("utf-8", "replace").rstrip())

    def _take(self, line: str) -> None:
        found = _PROGRESS.match(line)
        if found is not None:
            self.progress = Progress(int(found[2]), int(found[3]), "objects")
        elif line and not (_NOISE.match(line) and "%" in line):
            self._said = [*self._said, line][-_SAID_MAX:]

    def _end_processes(self, process: subprocess.Popen[bytes]) -> None:
        """End git, and what it has begun: at first so that it removes its locks."""

        def wait() -> None:
            if not _has_exited(process, _TERM_SECONDS):
                _signal(process, signal.SIGKILL)
                process.wait()

        _signal(process, signal.SIGTERM)
        threading.Thread(target=wait, name="reaper", daemon=True).start()


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    # Its group has its id, as it began a session.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _has_exited(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a process; return False if it still runs after `seconds`."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        # It has ended, or the kernel has no such descriptors; `wait` looks every 50 ms.
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.poll() is not None
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(seconds * 1_000)
    finally:
        os.close(fd)
    return process.poll() is not None


def _environment() -> dict[str, str]:
    """Return the environment of this process, without what would choose another repository."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _KEPT.fullmatch(name)
    }
    kept.pop("SSH_ASKPASS", None)
    if "GIT_SSH" not in kept and "GIT_SSH_COMMAND" not in kept and not _has_ssh_command(kept):
        kept["GIT_SSH_COMMAND"] = _SSH
    return kept | _OVERRIDES


def _has_ssh_command(environment: dict[str, str]) -> bool:
    """Return True if the user's settings of git name a program in place of ssh."""
    with suppress(OSError, subprocess.TimeoutExpired):
        asked = ["git", "config", "--get", "core.sshCommand"]
        done = subprocess.run(
            asked, env=environment, cwd="/", capture_output=True, timeout=_TERM_SECONDS, check=False
        )
        return done.returncode == 0 and bool(done.stdout.strip())
    return False
