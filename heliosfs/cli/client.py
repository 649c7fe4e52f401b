"""A verb for the workspace around the current directory: by its control file, or in process.

A request is a line of JSON to `.helios/ctl/command`: `{"argv": […], "cwd": "src"}`, where
`cwd` is the current directory below the view's root.  The reply comes back on the same
descriptor; that of a refused request begins with `error: `, or `error: usage: `.  The
launcher (`heliosfs/cli/helios`) speaks the same for the verbs that must be fast.
With `"progress": true` the reply to a long verb may begin with lines `progress: {…}`, each of
which comes when it is read; closing the descriptor ends the verb.
With `"color": true` the reply has colours, unless the words say no; `"columns": 80` is the width
of the terminal that shows it.
With `"exit": true` the reply begins with a line `exit: N`, the exit code; it is asked for where
the table of verbs says that it may be another one than 0.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from heliosfs.cli.locate import LOST, Location, find_dead_mount, find_repository, find_view
from heliosfs.errors import (
    HeliosError,
    NotFound,
    PosixError,
    StoreBusy,
    StoreError,
    StoreFormat,
    UsageError,
)

if TYPE_CHECKING:
    from heliosfs.commands.verb import Screen
    from heliosfs.repo.repository import Repository
    from heliosfs.steps import Progress

T = TypeVar("T")

_REPLY_READ_BYTES = 128 * 1024
_ERROR = b"error: "
_PROGRESS = b"progress: "
"""Beginning of a line that tells the progress of a long verb; such a line arrives as a whole."""
_USAGE = b"usage: "
_EXIT = b"exit: "


_OF_FILES = frozenset(
    {"add", "blame", "commit", "diff", "grep", "ls-files", "restore", "rm", "stash", "status"}
)
"""Verbs that a user expects to act on the files seen in the current directory."""


class Refused(HeliosError):
    """Error that the daemon answered instead of carrying out a request."""

    def __init__(self, text: str, exit_code: int, number: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        self.errno = number


def print_bytes(data: bytes) -> None:
    """Write to the standard output without a buffer."""
    left = memoryview(data)
    while left:
        left = left[os.write(1, left) :]


def plain_screen() -> Screen | None:
    """Return the screen of a verb without colours; None if the reply goes to no terminal."""
    if not os.isatty(1):
        return None
    from heliosfs.commands.verb import Screen

    return Screen(columns=max(os.get_terminal_size(1).columns, 1))


def run(
    argv: Sequence[str],
    tell: Callable[[Progress], None] | None = None,
    pass_on: Callable[[bytes], None] = print_bytes,
    screen: Screen | None = None,
) -> int:
    """Carry out a verb in the current directory, print its reply, and return the exit code.

    `tell` is called with the progress of a long verb, `pass_on` with the reply in parts;
    `screen` describes the terminal that shows them.  Raise NotFound outside of every workspace,
    and Refused or another HeliosError if the verb fails.
    """
    where = current_directory()
    view = find_view(where)
    if view is not None:
        # Like git and cat: a reader that leaves (`helios log | head`) ends us without a word.  Not
        # where the store is open in this process, which a program that it started and that ended
        # early must not end.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        from heliosfs.commands.table import VERBS

        verb = VERBS.get(argv[0])
        if verb is None or not verb.exit_codes:
            for data in _replies(view, argv, tell, screen=screen):
                pass_on(data)
            return 0
        replies = _replies(view, argv, tell, with_exit=True, screen=screen)
        line, _, first = next(replies, b"").partition(b"\n")
        pass_on(first)
        for data in replies:
            pass_on(data)
        return int(line.removeprefix(_EXIT) or b"0")
    reply = _run_in_process(repository_over(where), argv, tell, screen)
    from heliosfs.commands.verb import exit_code_of

    pass_on(reply.encode("utf-8", "surrogateescape"))
    return exit_code_of(reply)


def _run_in_process(
    place: Location,
    argv: Sequence[str],
    tell: Callable[[Progress], None] | None,
    screen: Screen | None,
) -> str:
    """Carry a verb out on a workspace that is not mounted, and return the reply."""
    if argv[0] in _OF_FILES:
        print(
            f"helios: {place.root} is not mounted: this is about the workspace as it was last "
            "saved, not about the files that lie here now",
            file=sys.stderr,
        )
    from heliosfs.commands.table import run_alone
    from heliosfs.commands.verb import NO_SCREEN

    told, shown = tell or (lambda progress: None), screen or NO_SCREEN
    opened: list[Repository] = []

    def use(found: Repository) -> str:
        opened.append(found)
        return run_alone(found, lambda: found.root, list(argv), place.below, told, shown)

    try:
        return with_repository(place, use)
    except (StoreBusy, StoreFormat):
        raise
    except StoreError as error:
        if argv[0] != "fsck" or opened:
            raise
        from heliosfs.cli.damage import list_damage

        raise list_damage(place, error) from error


def repository_over(where: str) -> Location:
    """Return the workspace that is not mounted and has `where` in it.  Raise NotFound."""
    refuse_dead(where)
    place = find_repository(where)
    if place is None:
        raise NotFound(f"not inside a heliosfs workspace ({where}, or any directory above it)")
    return place


def mounted_view(where: str) -> Location:
    """Return the mounted view around a directory.  NotFound says what to do where there is none."""
    view = find_view(where)
    if view is not None:
        return view
    # A sandbox may have no mount table.
    with suppress(OSError):
        refuse_dead(where)
    place = find_repository(where)
    if place is not None:
        import shlex

        way = f"helios mount {shlex.quote(place.root)}"
        raise NotFound(f"the workspace {place.root} is not mounted: '{way}'")
    raise NotFound(f"{where} is in no heliosfs workspace: 'helios mount DIR' makes one")


def refuse_dead(where: str) -> None:
    """Refuse a directory whose mount has lost its daemon.  NotFound says what to do.

    A directory above such a mount is in another workspace, which is not meant.
    """
    dead = find_dead_mount(where)
    if dead is not None:
        raise lost_daemon(dead)


def lost_daemon(mountpoint: str) -> NotFound:
    """Return the error about a mount whose daemon was killed; it says what to do."""
    import shlex

    return NotFound(
        f"the mount {mountpoint} lost its daemon: 'helios mount {shlex.quote(mountpoint)}' mounts "
        "it again, with everything that was saved"
    )


def current_directory() -> str:
    """Return the current directory, links resolved.  Raise NotFound when it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise NotFound("the current directory was removed") from error


def enter(directory: str) -> None:
    """Change to a directory.  Raise NotFound if its mount has lost its daemon, else OSError."""
    try:
        os.chdir(directory)
    except OSError as error:
        if error.errno in LOST:
            refuse_dead(os.path.abspath(directory))
        raise


def ask(view: Location, argv: Sequence[str]) -> bytes:
    """Return the whole reply of a mounted view to a verb.  Raise Refused."""
    return exchange(view, view.command, request_line(argv, view.below))


def ask_json(view: Location, verb: str, *words: str) -> Any:
    """Return the document that a mounted view replies to a verb.  Raise Refused, in words."""
    try:
        return json.loads(ask(view, [verb, "--json", *words]))
    except Refused as error:
        from heliosfs.commands.refusal import put_into_words

        put_into_words(error)
        raise


def request_line(argv: Sequence[str], cwd: str, branch: str | None = None) -> bytes:
    """Return the line that asks `ctl/command` for a verb, in a directory below the view's root.

    `branch` is that of another view.
    """
    document: dict[str, object] = {"argv": list(argv), "cwd": cwd}
    if branch is not None:
        document["branch"] = branch
    return json.dumps(document).encode() + b"\n"


def exchange(view: Location, path: str, request: bytes) -> bytes:
    """Write a request to a control file of a view, and return the whole reply.  Raise Refused."""
    fd = _open_control_file(view, path)
    try:
        try:
            os.write(fd, request)
            data = os.read(fd, _REPLY_READ_BYTES)
        except OSError as error:
            raise _failure(view, fd, error) from error
        # All of a reply is there before its first byte is read: a short read is its end.
        parts = [data]
        while len(data) == _REPLY_READ_BYTES:
            data = os.read(fd, _REPLY_READ_BYTES)
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(fd)


def ask_in_current_directory(argv: Sequence[str]) -> str:
    """Return the whole reply to a verb run in the current directory.

    Raise NotFound or HeliosError.
    """
    parts: list[bytes] = []
    run(argv, pass_on=parts.append)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _replies(
    view: Location,
    argv: Sequence[str],
    tell: Callable[[Progress], None] | None = None,
    *,
    with_exit: bool = False,
    screen: Screen | None = None,
) -> Iterator[bytes]:
    document: dict[str, object] = {"argv": list(argv), "cwd": view.below}
    if tell is not None:
        document["progress"] = True
    if with_exit:
        document["exit"] = True
    if screen is not None:
        document |= {key: value for key, value in screen._asdict().items() if value}
    request = json.dumps(document).encode() + b"\n"
    fd = _open_control_file(view, view.command)
    try:
        try:
            os.write(fd, request)
            data = os.read(fd, _REPLY_READ_BYTES)
            while tell and data.startswith(_PROGRESS):
                data = _after_progress(data, tell) or os.read(fd, _REPLY_READ_BYTES)
        except OSError as error:
            raise _failure(view, fd, error) from error
        while data:
            yield data
            data = os.read(fd, _REPLY_READ_BYTES)
    finally:
        os.close(fd)


def _open_control_file(view: Location, path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in LOST:
            raise lost_daemon(view.root) from error
        reason = (error.strerror or str(error)).lower()
        raise PosixError(error.errno or errno.EIO, f"cannot use {path}: {reason}") from error


def _failure(view: Location, fd: int, error: OSError) -> HeliosError:
    """Return the error of a request that failed on an open control file."""
    return lost_daemon(view.root) if error.errno in LOST else _refusal(fd, error)


def _after_progress(data: bytes, tell: Callable[[Progress], None]) -> bytes:
    """Pass on the progress that the first line tells, and return what comes after it."""
    from heliosfs.steps import Progress

    line, _, rest = data.partition(b"\n")
    tell(Progress(**json.loads(line[len(_PROGRESS) :])))
    return rest


def _refusal(fd: int, error: OSError) -> Refused:
    """Return the error text read from the handle; the text of the errno if there is none."""
    text = b""
    try:
        while data := os.read(fd, _REPLY_READ_BYTES):
            text += data
    except OSError:
        pass
    if not text:
        return Refused((error.strerror or str(error)).lower(), 1, error.errno or 0)
    text = text.removeprefix(_ERROR).removesuffix(b"\n")
    exit_code = UsageError.exit_code if text.startswith(_USAGE) else 1
    said = text.removeprefix(_USAGE).decode("utf-8", "replace")
    return Refused(said, exit_code, error.errno or 0)


def with_repository(place: Location, use: Callable[[Repository], T]) -> T:
    """Open the store of a workspace that is not mounted, and use it in this process.

    Raise StoreBusy when another process has it open.
    """
    from heliosfs.cli.configuration import configuration
    from heliosfs.cli.identity import identity
    from heliosfs.cli.stores import open_store, with_served_workspace
    from heliosfs.clock import SystemClock
    from heliosfs.repo.configuration import FILE as CONFIGURATION_FILE
    from heliosfs.repo.repository import Repository
    from heliosfs.store.local import LocalStore
    from heliosfs.workspace.inodes import FILE as INODES_FILE

    dir_fd = open_store(place.root, None, create=False)
    try:
        store = LocalStore.open(dir_fd, is_brief=True)
        try:
            settings = configuration(store.file_beside(CONFIGURATION_FILE))
            repository = Repository.open(store, SystemClock(), identity(place.root), None)
            repository.path = place.root
            repository.configure(settings)
            repository.look_at_numbers(store.file_beside(INODES_FILE))
            for text in (*repository.findings, *repository.news):
                print(f"helios: {text}", file=sys.stderr)
            result = use(repository)
            repository.close()
        finally:
            store.close()
    except StoreBusy as error:
        raise StoreBusy(f"{place.root} is in use: {with_served_workspace(error)}") from error
    finally:
        os.close(dir_fd)
    return result
