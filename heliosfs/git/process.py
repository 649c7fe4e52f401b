"""Runs of git on a repository, without the user's configuration and without foreign programs."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable
from typing import IO

from heliosfs.errors import Busy, HeliosError, NotFound

PROBE_SECONDS = 20
"""Time limit for a question that git answers at once."""

_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.quotePath=false",
    "gc.auto=0",
    "protocol.allow=never",
    # Whoever names a repository means it, and nothing in its configuration can run a program.
    "safe.directory=*",
)
_OVERRIDES = {
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    # Objects as they are on the disk: no grafts, no replacements, no fetch on demand.
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


def environment() -> dict[str, str]:
    """Return our environment without the variables that control git, and with our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | _OVERRIDES


class Git:
    """A git repository."""

    fds: tuple[int, ...] = ()
    """Descriptors that the processes of git hold open."""

    def __init__(self, git_dir: str) -> None:
        self.git_dir = git_dir
        """Absolute path: `.git`, or a bare repository."""
        form = self.ask("rev-parse", "--show-object-format").decode().strip()
        self.hash_name = form
        """`sha1` or `sha256`."""
        self.id_bytes = 32 if form == "sha256" else 20
        self.common_dir = _common_dir(git_dir)
        """Directory of refs and objects: `git_dir`, except for a linked working tree."""

    @classmethod
    def find(cls, path: str) -> Git:
        """Return the repository whose working tree or git directory is `path`.

        Raise NotFound or Busy.
        """
        # Neither the path nor what is above it: only git's own rules for `path` itself.
        command = _command(None, "-C", path, "rev-parse", "--absolute-git-dir")
        bounds = environment() | {"GIT_CEILING_DIRECTORIES": os.path.dirname(path)}
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=PROBE_SECONDS, env=bounds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Busy(f"git does not answer in {path}") from error
        except FileNotFoundError as error:
            raise NotFound("git is not installed: install the package git") from error
        if done.returncode:
            raise NotFound(f"{path} is not a git repository: {complaint(done.stderr)}")
        return cls(os.fsdecode(done.stdout.removesuffix(b"\n")))

    @classmethod
    def create(cls, path: str, hash_name: str = "sha1") -> Git:
        """Create a bare repository whose ids are made with `hash_name`."""
        form = f"--object-format={hash_name}"
        done = subprocess.run(
            _command(None, "init", "--quiet", "--bare", "--template=", form, "--", path),
            capture_output=True,
            timeout=PROBE_SECONDS,
            env=environment(),
            check=False,
        )
        if done.returncode:
            raise HeliosError(f"cannot make a repository in {path}: {complaint(done.stderr)}")
        return cls(os.path.realpath(path))

    def ask(self, *argv: str, data: bytes = b"", seconds: float | None = PROBE_SECONDS) -> bytes:
        """Return the output of a command.

        Raise HeliosError if it fails, Busy if it takes too long.
        """
        return self.ask_with_errors(*argv, data=data, seconds=seconds)[0]

    def ask_with_errors(
        self, *argv: str, data: bytes = b"", seconds: float | None = PROBE_SECONDS
    ) -> tuple[bytes, bytes]:
        """Return the output of a command, and its error output.  Raise HeliosError or Busy."""
        try:
            done = subprocess.run(
                _command(self.git_dir, *argv),
                input=data,
                capture_output=True,
                timeout=seconds,
                env=environment(),
                pass_fds=self.fds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Busy(f"git {argv[0]} does not answer in {self.git_dir}") from error
        if done.returncode:
            raise HeliosError(f"git {argv[0]}: {complaint(done.stderr)}")
        return done.stdout, done.stderr

    def missing(self, git_ids: Iterable[bytes]) -> set[bytes]:
        """Return which of some objects the repository does not have."""
        asked = sorted(git_ids)
        data = b"".join(b"%s\n" % git_id.hex().encode() for git_id in asked)
        argv = ("cat-file", "--batch-check=%(objectname)", "--buffer")
        lines = self.ask(*argv, data=data, seconds=None).splitlines()
        return {each for each, line in zip(asked, lines, strict=True) if b" " in line}

    def promisor(self) -> str:
        """Return the setting that leaves objects to a remote; empty if there is none."""
        argv = ("config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$")
        try:
            return os.fsdecode(self.ask(*argv)).strip().partition("\n")[0]
        except HeliosError:
            # Nothing is set.
            return ""

    def start(
        self, *argv: str, stdin: IO[bytes] | int, stdout: IO[bytes] | int, stderr: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a command that runs beside us, with the caller's streams."""
        return subprocess.Popen(
            _command(self.git_dir, *argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment(),
            pass_fds=self.fds,
        )

    def is_shallow(self) -> bool:
        """Return True if the history was cut off when it was cloned."""
        return self.ask("rev-parse", "--is-shallow-repository").strip() == b"true"

    def symbolic_head(self) -> str | None:
        """Return the full name of the branch that HEAD names; None if it is detached."""
        command = _command(self.git_dir, "symbolic-ref", "--quiet", "HEAD")
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=PROBE_SECONDS,
            env=environment(),
            pass_fds=self.fds,
            check=False,
        )
        return os.fsdecode(done.stdout.removesuffix(b"\n")) or None


def _common_dir(git_dir: str) -> str:
    """Return the path in `commondir` of a linked working tree (gitrepository-layout(5))."""
    try:
        with open(os.path.join(git_dir, "commondir"), "rb") as file:
            named = os.fsdecode(file.read().rstrip(b"\n"))
    except OSError:
        named = ""
    return os.path.realpath(os.path.join(git_dir, named))


def end_unseen(process: subprocess.Popen[bytes]) -> None:
    """Close the output of a command, and kill it if it still runs.  Idempotent.

    It does not wait for the end: the command may be reading from a mount that its caller serves.
    """
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.kill()
        threading.Thread(target=process.wait, name="reaper", daemon=True).start()


def complaint(stderr: bytes) -> str:
    """Return the last line of git's error output."""
    lines = stderr.decode("utf-8", "replace").strip().split("\n")
    return lines[-1].removeprefix("fatal: ").removeprefix("error: ") or "failed"


def _command(git_dir: str | None, *argv: str) -> list[str]:
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    place = [f"--git-dir={git_dir}"] if git_dir is not None else []
    return ["git", *settings, *place, *argv]
