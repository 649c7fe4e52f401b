"""`clone`: a workspace of what a remote has, made and mounted by a process of its own.

It loads what a client of object storage and a mount need, and has their threads; the program that
asks for it has neither.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from heliosfs.client.asynchronous import AsyncWorkspace
from heliosfs.client.requests import error_of
from heliosfs.client.threads import in_thread
from heliosfs.client.words import flags, values
from heliosfs.client.workspace import Workspace
from heliosfs.commands.refusal import DOCUMENT, refusal
from heliosfs.errors import HeliosError
from heliosfs.isolated import command


def clone(
    url: str,
    directory: str | os.PathLike[str],
    /,
    *,
    branch: str | None = None,
    full: bool = False,
    depth: int | None = None,
) -> Workspace:
    """Make a workspace of what a remote has, in a new or empty directory, and mount it.

    `branch` becomes one here, by default `main` or the first.  Contents stay at the remote until
    they are read, unless `full` brings all of them.  With `depth`, the last commits of each branch
    come alone, and `fetch` with `unshallow` brings the rest.  A branch that is damaged at the
    remote is left out, and `fetch` names it.

    Raise NotFound for an unknown branch, or a URL that is no remote; AlreadyExists if something is
    in the directory; UsageError for a wrong URL; StoreError if the remote does not answer, and
    nothing is left.  HeliosError if it cannot be mounted here: then it is complete all the same.
    """
    _Clone(url, directory, branch, full=full, depth=depth).finish()
    return Workspace(directory)


async def async_clone(
    url: str,
    directory: str | os.PathLike[str],
    /,
    *,
    branch: str | None = None,
    full: bool = False,
    depth: int | None = None,
) -> AsyncWorkspace:
    """Do what `clone` does; a caller that is cancelled before it is done leaves nothing."""
    started = _Clone(url, directory, branch, full=full, depth=depth)
    await in_thread(started.finish, kill=started.interrupt)
    return AsyncWorkspace(directory)


class _Clone:
    """A clone that is under way."""

    def __init__(
        self,
        url: str,
        directory: str | os.PathLike[str],
        branch: str | None,
        *,
        full: bool,
        depth: int | None,
    ) -> None:
        words = ["--quiet", *flags(full=full), *values(branch=branch, depth=depth), "--", url]
        self._process = subprocess.Popen(
            command(__name__, *words, os.fspath(directory)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
            start_new_session=True,
        )
        self._directory = directory

    def finish(self) -> None:
        """Wait until it has ended.  Raise the error that it was refused with."""
        with self._process as process:
            try:
                said, complaints = process.communicate()
            except BaseException:
                self.interrupt()
                raise
        if said.startswith(DOCUMENT):
            document = json.loads(said)
            raise error_of(getattr(errno, document["errno"]), document["error"])
        if process.returncode and not os.path.ismount(self._directory):
            raise HeliosError(complaints.strip().removeprefix("helios: ") or "it was interrupted")

    def interrupt(self) -> None:
        """Let it end early, and take back what it has made."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)


def main(argv: Sequence[str]) -> None:
    """Make a clone, as the program of the process."""
    from heliosfs.cli.clone import clone as make

    # Who began it may have ignored the signal by which it is ended.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(make(argv))
    except HeliosError as error:
        sys.stdout.write(refusal(str(error).removeprefix("usage: "), error.errno))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
