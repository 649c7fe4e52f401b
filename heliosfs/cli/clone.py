"""`helios clone`: a workspace of what a remote has."""

from __future__ import annotations

import argparse
import os
import posixpath
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.progress import ProgressLine
from heliosfs.errors import HeliosError, NotFound, UsageError
from heliosfs.isolated import command

if TYPE_CHECKING:
    from heliosfs.remote.bucket import Bucket
    from heliosfs.remote.fetch import FetchResult

_FIRST = ("main", "master")
"""Branches that are shown first if the remote has them."""
_ONE_BRANCH = (
    "a clone has all branches, and --depth N the last commits of each; 'helios init', "
    "'helios remote add URL' and 'helios pull origin BRANCH' get one branch"
)
_STORAGE = "'helios remote add file:///DIR' makes a place to push to"
_OF_GIT = {
    "--bare": _STORAGE,
    "--filter": "contents stay at the remote until they are read; --full brings all of them",
    "--mirror": _STORAGE,
    "--shallow-since": _ONE_BRANCH,
    "--single-branch": _ONE_BRANCH,
}
"""Advice for options of git that are not here."""
_DIGITS_MAX = 10
_GO = b"mount"
"""The line to the process that mounts; without it, it ends."""


def clone_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios clone`."""
    parser = LocalVerbParser(
        prog="helios clone",
        description="Make a workspace of what a remote has, in DIR, a new or empty directory.\n\n"
        "All branches of the remote become origin/NAME, with their history; one of them becomes\n"
        "a branch here, and DIR is mounted. Contents of files stay at the remote until they are\n"
        "read, also those of later fetches; 'helios fetch --contents' brings them. From a git\n"
        "server all contents and all history come at once. If it ends early, nothing is left.",
    )
    parser.add_argument("url", metavar="URL", help="place of the remote, as in 'helios remote add'")
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", help="(default: the last part of URL)"
    )
    parser.add_argument(
        *("-b", "--branch"),
        metavar="NAME",
        help="the branch that becomes one here (default: main, or the first)",
    )
    parser.add_argument(
        "--full", action="store_true", help="bring all contents, now and in later fetches"
    )
    parser.add_argument(
        "--depth",
        metavar="N",
        type=_depth,
        default=0,
        help="the last N commits of each branch alone; 'helios fetch --unshallow' brings the rest",
    )
    parser.add_argument("--no-mount", action="store_true", help="do not mount DIR")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    return parser


def _depth(text: str) -> int:
    """Return a number of commits.  ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < _DIGITS_MAX and int(text)):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of commits")
    return int(text)


def clone(argv: Sequence[str]) -> int:
    """Run `helios clone` and return the exit code.  Raise HeliosError."""
    from heliosfs.cli.clone_git import branch_there, git_url
    from heliosfs.cli.newplace import prepared
    from heliosfs.remote.buckets.opening import open_bucket
    from heliosfs.repo.backup_directory import check_outside
    from heliosfs.steps import call_apart

    for word in argv:
        advice = _OF_GIT.get(word.partition("=")[0])
        if advice is not None:
            raise UsageError(f"unknown option {word[:80]!r}: {advice}; see 'helios clone --help'")
    asked = clone_parser().parse_args(argv)
    of_git = git_url(asked.url)
    url = of_git or asked.url
    directory = _directory(asked.directory, url, is_git=of_git is not None)
    if of_git is not None and asked.depth:
        raise UsageError("--depth: a clone of a git server has all history; leave it out")
    bucket = open_bucket(url) if of_git is None else None
    with ThreadPoolExecutor(1) as pool:
        # Beside the requests, for which this thread only waits.
        loading = pool.submit(_load_modules)
        if bucket is None:
            branch = branch_there(url, asked.branch)
        else:
            branch = call_apart(partial(_chosen, bucket, url, asked.branch))
    loading.result()
    check_outside(directory, "")
    with ExitStack() as stack:
        mounter = None
        if not asked.no_mount:
            mounter = _Mounter(directory, is_quiet=asked.quiet)
            stack.callback(mounter.close)
        line = ProgressLine()
        stack.callback(line.end)
        with prepared(directory):
            done = _fill(directory, bucket, url, branch, line, asked)
        line.end()
        if not asked.quiet:
            print(_told(done, url), flush=True)
        for each in done.damaged:
            print(f"helios: origin/{each.name} is damaged there: {each.text}", file=sys.stderr)
        code = 1 if done.damaged else 0
        if mounter is not None:
            return mounter.mount() or code
    if not asked.quiet:
        print(f"mount it with: helios mount {shlex.quote(directory)}")
    return code


def _directory(asked: str | None, url: str, *, is_git: bool) -> str:
    """Return the absolute path of the directory that is meant.  UsageError."""
    from heliosfs.gitserver.addresses import default_directory
    from heliosfs.repo.backup_directory import plain_path

    name = asked or (default_directory(url) if is_git else posixpath.basename(url.rstrip("/")))
    if not name:
        raise UsageError("name the directory, as in 'clone URL DIR'")
    return plain_path(os.path.abspath(name))


def _load_modules() -> None:
    """Load what `_fill` needs: 0.1 s."""
    import heliosfs.commands.merge
    import heliosfs.remote.fetch
    import heliosfs.remote.prefetch
    import heliosfs.store.local  # noqa: F401


def _told(done: FetchResult, url: str) -> str:
    told = f"{done.commit_count} commits, {done.object_count} objects from {url}"
    if done.promised_count:
        told += f"; {done.promised_count} contents stay there until they are read"
    if done.shallow_count:
        told += "\nthe history before these stays there: 'helios fetch --unshallow' brings it"
    if done.below:
        told += f"\n{len(done.below)} tags and experiments of that history are left out"
    return told


class _Mounter:
    """A process that mounts the workspace in the end, and loads its modules meanwhile.

    It is a process of its own as the daemon is forked, which the threads of a client of object
    storage do not survive.
    """

    def __init__(self, directory: str, *, is_quiet: bool) -> None:
        self._directory = directory
        self._process = subprocess.Popen(
            command(__name__, directory),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if is_quiet else None,
        )

    def close(self) -> None:
        """Let it end, also if it was not to mount."""
        self._process.communicate()

    def mount(self) -> int:
        """Mount the workspace that was cloned; return the exit code."""
        self._process.communicate(_GO)
        code = self._process.returncode
        if code:
            # Nothing is taken back: all of it can be used, and be mounted later.
            print(
                "helios: the clone is complete, and not mounted; later: "
                f"helios mount {shlex.quote(self._directory)}",
                file=sys.stderr,
            )
        return code


def main(argv: list[str]) -> None:
    """Mount the workspace when it was cloned, as the program of a process."""
    import heliosfs.cli.mount  # all that a mount takes, before there is one
    import heliosfs.daemon.serve  # noqa: F401
    from heliosfs.cli.main import main as run_command

    # Whoever interrupts the clone is told so by the clone.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    asked = sys.stdin.buffer.read(len(_GO))
    signal.signal(signal.SIGINT, interrupt)
    if asked == _GO:
        sys.exit(run_command(["mount", *argv]))


def _chosen(bucket: Bucket, url: str, asked: str | None) -> str:
    """Return the branch that becomes one here, before anything is made.  NotFound."""
    from heliosfs.remote.bucket import NoObject
    from heliosfs.remote.layout import REFS, check_format, ref_of
    from heliosfs.repo.remotes import HEADS

    try:
        check_format(bucket)
    except NoObject:
        raise NotFound(f"{url} is no remote: 'helios remote add' and 'push' make one") from None
    refs = [ref_of(each.key) for each in bucket.list(f"{REFS}{HEADS}/")]
    names = [ref[1] for ref in refs if ref is not None]
    if asked is not None and asked not in names:
        raise NotFound(f"{url} has no branch {asked[:80]!r}")
    if not names:
        raise NotFound(f"{url} has no branch yet: 'helios remote add' it to a workspace, and push")
    return asked or next((each for each in _FIRST if each in names), names[0])


def _fill(
    directory: str,
    bucket: Bucket | None,
    url: str,
    branch: str,
    line: ProgressLine,
    asked: argparse.Namespace,
) -> FetchResult:
    """Make the store, under another name until it is whole.  Without a bucket it is git's."""
    from heliosfs.cli.identity import identity
    from heliosfs.cli.newplace import new_store
    from heliosfs.clock import SystemClock
    from heliosfs.commands.table import run
    from heliosfs.gitserver.fetch import fetch as fetch_from_git
    from heliosfs.remote.fetch import check_undamaged, fetch
    from heliosfs.remote.hydration import Hydration
    from heliosfs.remote.prefetch import bring_rules
    from heliosfs.remote.shallow import Extent
    from heliosfs.repo.remotes import DEFAULT_REMOTE
    from heliosfs.repo.repository import Repository
    from heliosfs.steps import run_to_end
    from heliosfs.store.local import LocalStore

    with new_store(directory) as fd:
        store = LocalStore.open(fd, create=True)
        try:
            repository = Repository.open(store, SystemClock(), identity(directory), branch)
            with repository.transaction:
                repository.remotes.add(DEFAULT_REMOTE, url)
                notes = repository.remotes.notes
                notes.note_git(DEFAULT_REMOTE, is_git=bucket is None)
                notes.leave_contents(DEFAULT_REMOTE, is_lazy=bucket is not None and not asked.full)
            if bucket is None:
                steps = fetch_from_git(repository, DEFAULT_REMOTE)
            else:
                steps = fetch(repository, bucket, DEFAULT_REMOTE, extent=Extent(asked.depth))
            done = run_to_end(steps, store, line.tell)
            check_undamaged(done, DEFAULT_REMOTE, branch)
            if bucket is not None:
                # Nothing was here that its files could be older than, so they have the times that
                # they were committed with, and no tree needs another form.  git has no times.
                repository.root.workspace.gives_new_times = False
            run(repository, repository.root, ["merge", "-q", f"{DEFAULT_REMOTE}/{branch}"])
            # Without these few files, neither a status nor a commit could be made offline.
            with suppress(HeliosError):
                run_to_end(bring_rules(repository, Hydration(repository)), store)
            repository.close()
        finally:
            store.close()
    return done
