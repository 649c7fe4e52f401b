"""The process behind a mount: starting it, its report that it is ready, and the work it does.

It is forked before a store or a loop exists (an LMDB environment does not survive a fork)
and reports through a pipe, a line at a time: `taken N` while files are taken in, `beneath JSON`
of files that are not in the workspace, `left-out JSON` of those whose names are reserved, `found
TEXT` of what is not as it was left, `read-only TEXT` if nothing can be written, `ready`, or `error
CODE TEXT`.  The end of the pipe without either of the last two means that it died.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from heliosfs.cli import runfiles, stores
from heliosfs.cli.identity import identity
from heliosfs.commands.visible import visible
from heliosfs.errors import HeliosError, StoreBusy
from heliosfs.mounttable import FSTYPE, mount_at
from heliosfs.repo import keys

if TYPE_CHECKING:
    from heliosfs.daemon.serve import MountOptions
    from heliosfs.repo.repository import Repository
    from heliosfs.store.local import LocalStore

"""State: what lay in the directory was taken in.  Set once, with the content itself, so
that a first mount that was cut short begins again."""

_PROGRESS_EVERY = 256
_COMPARED_MAX = 200_000
"""Most names beneath the mount point that are compared, which takes a second or two."""
_NAMED_MAX = 5
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True)
class Setup:
    """Everything the daemon needs to know to mount a workspace."""

    mountpoint: str
    """Absolute path without symbolic links."""
    log: str | None
    """Path of the log; None for the standard error output."""
    store: str | None = None
    branch: str | None = None
    allow_other: bool = False
    xattr: bool = False
    shares_history: bool = False
    is_helios_listed: bool | None = None
    are_opens_asked: bool = False
    debug: bool = False
    named_log: str | None = None
    """Path of the log if the user chose it."""

    def workspace(self, store: str, store_id: str) -> runfiles.KnownWorkspace:
        """Return the entry of this workspace in the list of known ones."""
        options = (
            ("allow_other=history", self.shares_history),
            ("allow_other", self.allow_other and not self.shares_history),
            ("xattr", self.xattr),
            ("helios=listed", self.is_helios_listed is True),
            ("helios=hidden", self.is_helios_listed is False),
            ("opens=asked", self.are_opens_asked),
        )
        given = tuple(name for name, is_given in options if is_given)
        return runfiles.KnownWorkspace(self.mountpoint, store, store_id, given, self.named_log)

    def mount_options(self) -> MountOptions:
        """Return the part of it that the file system needs."""
        from heliosfs.daemon.serve import MountOptions

        return MountOptions(
            mountpoint=self.mountpoint,
            allow_other=self.allow_other,
            shares_history=self.shares_history,
            xattr=self.xattr,
            is_helios_listed=self.is_helios_listed,
            are_opens_asked=self.are_opens_asked,
            debug=self.debug,
            fsname=FSTYPE.removeprefix("fuse."),
        )


class MountFailed(HeliosError):
    """Failure of the daemon to mount, with the exit code that it reported."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def start(setup: Setup, on_report: Callable[[str, str], None]) -> None:
    """Mount in the background, and return when the mount answers.  Raise MountFailed.

    `on_report` is called with each earlier report: its first word, and the rest of the line.
    An exception during the wait, such as KeyboardInterrupt, ends the daemon.
    """
    log = setup.log or os.devnull
    log_fd = runfiles.open_log(log)
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(setup, log_fd, writer)
    os.close(writer)
    os.close(log_fd)
    try:
        with os.fdopen(reader, encoding="utf-8", errors="surrogateescape") as reports:
            for report in reports:
                word, _, rest = report.rstrip("\n").partition(" ")
                if word == "ready":
                    return
                if word == "error":
                    code, _, text = rest.partition(" ")
                    raise MountFailed(text, int(code))
                on_report(word, rest)
    except BaseException:
        _end(pid)
        raise
    _end(pid)
    raise MountFailed(f"the daemon ended before the mount was ready; its log is {log}")


def run(setup: Setup, report: Callable[[str], None]) -> None:
    """Open the repository, mount it, and serve until it is unmounted.  Raise HeliosError."""
    from heliosfs.daemon.serve import serve

    # Both are opened now: once mounted, their paths lead into the mount itself.
    directory_fd = os.open(setup.mountpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    store_fd = stores.open_store(setup.mountpoint, setup.store, create=True)
    store = _open_store(store_fd)
    registered: runfiles.Registration | None = None
    try:
        if store.refusal is not None:
            report(f"read-only {one_line(store.refusal)}")
        store_id = stores.remember_store(setup.mountpoint, setup.store, store_fd)
        repository = _open_repository(setup, store)
        _tell_findings(repository, store.unclosed_by, setup.log, report)
        _check_beneath(repository, setup.mountpoint, directory_fd, report)
        registered = runfiles.Registration(
            setup.workspace(os.path.realpath(f"/proc/self/fd/{store_fd}"), store_id),
            setup.log or "standard error",
        )
        ready = partial(_report_ready, setup.mountpoint, registered, report)
        serve(repository, setup.mount_options(), ready)
        repository.inodes.end()
    finally:
        # Only the store: `serve` has saved, and a take-in that failed must leave nothing.
        store.close()
        # After the store, since `umount` takes a registration that is gone for a saved store.
        if registered is not None:
            registered.close()
        for fd in (store_fd, directory_fd):
            os.close(fd)


def _open_store(store_fd: int) -> LocalStore:
    from heliosfs.store.local import LocalStore

    try:
        return LocalStore.open(store_fd, create=True)
    except StoreBusy as error:
        raise stores.with_served_workspace(error) from error


def _open_repository(setup: Setup, store: LocalStore) -> Repository:
    from heliosfs.cli.configuration import configuration
    from heliosfs.clock import SystemClock
    from heliosfs.repo.configuration import FILE as CONFIGURATION_FILE
    from heliosfs.repo.repository import Repository
    from heliosfs.workspace.inodes import FILE as INODES_FILE

    settings = configuration(store.file_beside(CONFIGURATION_FILE))
    who = identity(setup.mountpoint)
    repository = Repository.open(store, SystemClock(), who, setup.branch)
    repository.path = setup.mountpoint
    repository.configure(settings)
    repository.keep_numbers(store.file_beside(INODES_FILE))
    return repository


def _tell_findings(
    repository: Repository, unclosed_by: int, log: str | None, report: Callable[[str], None]
) -> None:
    """Report what is not as it was left, and a daemon that ended without closing its store."""
    for text in repository.news:
        report(text)
    for text in repository.findings:
        report(f"found {text}")
    if unclosed_by:
        where = f"; its log, {log}, may say why" if log else ""
        report(
            f"found the process before ({unclosed_by}) ended without closing the store: it was "
            f"killed, or crashed{where}; what it had published is here, and if it happens again, "
            "'helios fsck' says whether the store is sound"
        )


def _check_beneath(
    repository: Repository, mountpoint: str, directory_fd: int, report: Callable[[str], None]
) -> None:
    """Take in the files that the mount is going to hide, or report them."""
    from heliosfs.repo.beneath import Beneath, leave_note

    repository.beneath = Beneath(directory_fd, mountpoint)
    leave_note(repository.beneath)
    take_in(repository, directory_fd, report)
    tell_beneath(repository, directory_fd, report)


def _report_ready(
    mountpoint: str, registered: runfiles.Registration, report: Callable[[str], None]
) -> None:
    """Register the mount that the kernel has made, and report it."""
    mount = mount_at(mountpoint)
    if mount is not None:
        registered.mounted(mount.device, mount.id)
    report("ready")


class _VisibleFormatter(logging.Formatter):
    """Formatter of a log that people read on terminals, where names may say anything."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def set_up_logging(*, debug: bool) -> None:
    """Send all log records to the standard error output, which is the log of a daemon."""
    level = logging.DEBUG if debug else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_VisibleFormatter(_LOG_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(capture=True)


def take_in(repository: Repository, directory_fd: int, report: Callable[[str], None]) -> None:
    """Let an empty workspace begin with what lies in the directory beneath the mount."""
    from heliosfs.repo.beneath import known, remember
    from heliosfs.steps import Progress, run_to_end
    from heliosfs.trees.stored import EMPTY_TREE
    from heliosfs.workspace.foreign import KnownItems, everything
    from heliosfs.workspace.ingest import ingest

    store = repository.store
    is_first = store.get(keys.TAKEN_IN) is None
    taken = known(store)
    if not is_first and taken is not None:
        return
    if is_first and repository.root.state().root.oid == EMPTY_TREE:

        def tell(progress: Progress) -> None:
            if progress.done % _PROGRESS_EVERY == 0:
                report(f"taken {progress.done}")

        count = run_to_end(ingest(repository.root.workspace, directory_fd), store, tell)
        report(f"taken {count}")
        taken = None
    elif is_first:
        taken = taken or KnownItems()
    if not taken:
        # An older heliosfs did not note what it took in: begin with what is there.
        taken, reserved = run_to_end(everything(directory_fd), store)
        if is_first and reserved:
            paths = sorted(os.fsdecode(path) for path in reserved)
            report(f"left-out {json.dumps({'count': len(paths), 'first': paths[:_NAMED_MAX]})}")
    with repository.transaction:
        store.put(keys.TAKEN_IN, b"1")
        remember(store, taken)
        repository.checkpoint()


def tell_beneath(repository: Repository, directory_fd: int, report: Callable[[str], None]) -> None:
    """Tell of files beneath the mount point that are not in the workspace: 7 us a name."""
    from heliosfs.repo.beneath import known
    from heliosfs.steps import run_to_end
    from heliosfs.workspace.foreign import KnownItems, compare

    store = repository.store
    root, taken = repository.root.state().root, known(store) or KnownItems()
    comparing = compare(store, root, directory_fd, taken, limit=_COMPARED_MAX, trusts_times=True)
    found = run_to_end(comparing, store)
    paths = sorted(os.fsdecode(item.path) for item in (*found.new_files, *found.different))
    if paths or not found.is_whole:
        told = {"count": len(paths), "first": paths[:_NAMED_MAX], "is_whole": found.is_whole}
        report(f"beneath {json.dumps(told)}")


def _child(setup: Setup, log_fd: int, writer: int) -> NoReturn:
    """Run the daemon, from the fork to its exit."""
    code = 1

    reports = open(writer, "wb", buffering=0)  # noqa: SIM115 - closed by the last report

    def report(text: str) -> None:
        # Closed since "ready": the number of the descriptor may be that of another file by now.
        if reports.closed:
            return
        # Whoever started us may be gone; the mount does not depend on it.
        with contextlib.suppress(OSError):
            reports.write(os.fsencode(text) + b"\n")
        if text == "ready":
            reports.close()

    try:
        os.setsid()
        os.chdir("/")
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log_fd, 1), (log_fd, 2)):
            os.dup2(source, target)
        os.close(null)
        os.close(log_fd)
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        set_up_logging(debug=setup.debug)
        logging.getLogger(__name__).info("pid %d mounts %s", os.getpid(), setup.mountpoint)
        run(setup, report)
        code = 0
    except HeliosError as error:
        logging.getLogger(__name__).error("%s", error)
        report(f"error {error.exit_code} {one_line(error)}")
    except BaseException as error:  # noqa: BLE001 - the end of a process: told and logged
        traceback.print_exc()
        report(f"error 1 {type(error).__name__}: {one_line(error)}; its log is {setup.log}")
    finally:
        logging.shutdown()
        # Not sys.exit: what the parent had set up to run at its end is not ours to run.
        os._exit(code)


def one_line(error: BaseException) -> str:
    """Return the text of an error as one line."""
    return " ".join(str(error).split("\n"))


def _end(pid: int) -> None:
    """End a daemon that did not get ready, and take its exit status."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
