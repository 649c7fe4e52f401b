"""`helios mount` and `helios init`: check what is asked, start the daemon, say what is next."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from collections.abc import Sequence

from heliosfs import mounttable
from heliosfs.cli import daemon, locate, runfiles, stores, unit
from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.identity import identity
from heliosfs.cli.mountcheck import (
    check_directory,
    check_fuse,
    check_place,
    clear_dead_mount,
)
from heliosfs.cli.progress import ProgressLine
from heliosfs.cli.umount import wait_saved
from heliosfs.errors import AlreadyExists, Busy, HeliosError, NotFound, UsageError

OPTIONS = {
    "allow_other": "let other users in, as the modes of the files say; .helios is yours alone",
    "allow_other=history": "the same, and let them read all history under .helios",
    "default_permissions": "let the kernel check modes (always on)",
    "xattr": "user extended attributes (every write costs one more request)",
    "helios=hidden": "find .helios by name, and list it nowhere (as configured by default)",
    "helios=listed": "show .helios in listings: programs that follow links walk through history",
    "opens=asked": "ask the daemon at each open, and show control files without a mount inside",
    "debug": "log every request (as --debug)",
}
"""Mount options, as given after `-o`, and their help."""

_DRAIN_SECONDS = 60


def mount_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios mount`."""
    parser = LocalVerbParser(
        prog="helios mount",
        description="Mount the workspace DIR, and return when it is ready.\n\n"
        "The first time, this makes a repository in DIR/.helios, and imports the files in DIR\n"
        "as uncommitted changes; the files themselves stay beneath the mount, untouched.",
        epilog="mount options:\n"
        + "\n".join(f"  {name:<20} {text}" for name, text in OPTIONS.items())
        + "\n\nend it with 'helios umount DIR' or 'fusermount3 -uz DIR'; nothing is lost",
    )
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", help="created if only its last part is missing"
    )
    parser.add_argument(
        "--all", action="store_true", help="mount every workspace that was mounted here before"
    )
    parser.add_argument(
        "--install-unit",
        action="store_true",
        help="let systemd mount DIR when you log in, or at boot; with the options given here",
    )
    parser.add_argument(
        "--existing", action="store_true", help="fail if DIR is not a workspace yet"
    )
    parser.add_argument("--remove-unit", action="store_true", help="undo --install-unit")
    parser.add_argument(
        "--foreground", action="store_true", help="do not return; log to standard error"
    )
    parser.add_argument("--store", metavar="DIR", help="keep the repository there instead")
    parser.add_argument(
        "--branch",
        metavar="NAME",
        help="show this branch at the mount point (in a new repository: its first branch)",
    )
    parser.add_argument(
        "-o",
        dest="options",
        metavar="OPT[,OPT]",
        action="append",
        default=[],
        help="mount options, see below",
    )
    parser.add_argument("--debug", action="store_true", help="log every request")
    parser.add_argument("--log", metavar="FILE", help="write the log there")
    return parser


def init_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios init`."""
    parser = LocalVerbParser(
        prog="helios init",
        description="Make a repository in DIR/.helios without mounting it.\n\n"
        "The files in DIR are imported when it is first mounted.",
    )
    parser.add_argument("directory", metavar="DIR", nargs="?", default=".")
    parser.add_argument("--store", metavar="DIR", help="keep the repository there instead")
    parser.add_argument(
        *("-b", "--branch", "--initial-branch"),
        metavar="NAME",
        help="name the first branch (main)",
        dest="branch",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    return parser


def mount(argv: Sequence[str]) -> int:
    """Run `helios mount` and return the exit code.  Raise HeliosError."""
    asked = mount_parser().parse_args(argv)
    options = parse_options(asked.options)
    if asked.all:
        if asked.directory or len(argv) > 1:
            raise UsageError(
                "--all takes no DIR and no other option: each workspace has its own, as before"
            )
        return _mount_all()
    if not asked.directory:
        raise UsageError("name a DIR, or use --all; see 'helios mount --help'")
    directory = check_directory(asked.directory)
    if asked.remove_unit:
        print(f"removed {unit.remove(directory)}; {directory} stays as it is")
        return 0
    if asked.install_unit:
        return _install_unit(directory, asked.options, asked.log)
    if _is_served(directory, foreground=asked.foreground):
        return 0
    setup = _setup(directory, asked, options)
    if asked.existing and not locate.has_repository(directory):
        raise NotFound(f"{directory} has no repository: is its disk mounted?")
    check_place(directory, setup.store)
    check_fuse(setup.allow_other)
    wait_saved(directory, _DRAIN_SECONDS)
    _warn_of_lost_store(directory)
    _make_directory(directory)
    return _stay(setup) if asked.foreground else _serve_in_background(setup)


def _is_served(directory: str, *, foreground: bool) -> bool:
    """Return True, and say so, if the workspace is mounted already; unmount one without a daemon.

    Raise Busy if it was to be mounted in the foreground.
    """
    if mounttable.mount_at(directory) is None:
        return False
    if clear_dead_mount(directory):
        print(f"{directory} was left by a daemon that is gone: unmounted it", flush=True)
        return False
    serving = runfiles.find(directory)
    if foreground:
        raise Busy(f"{directory} is mounted already: helios umount {shlex.quote(directory)}")
    log = f"; its log is {serving.log}" if serving else ""
    print(f"{directory} is mounted already{log}")
    return True


def _setup(directory: str, asked: argparse.Namespace, options: set[str]) -> daemon.Setup:
    """Return the setup for the daemon; its log is in the state directory if none is named."""
    log_file: str | None = asked.log
    if log_file is None and not asked.foreground:
        log_file = runfiles.log_path(directory)
    return daemon.Setup(
        mountpoint=directory,
        log=os.path.abspath(log_file) if log_file else None,
        store=os.path.realpath(asked.store) if asked.store else None,
        branch=asked.branch,
        allow_other=bool(options & {"allow_other", "allow_other=history"}),
        shares_history="allow_other=history" in options,
        xattr="xattr" in options,
        is_helios_listed=is_helios_listed(options),
        are_opens_asked="opens=asked" in options,
        debug=asked.debug or "debug" in options,
        named_log=os.path.abspath(asked.log) if asked.log else None,
    )


def _warn_of_lost_store(directory: str) -> None:
    """Warn that a new repository is made, because the store of the known one is gone."""
    known = runfiles.known(directory)
    if known is not None and not locate.has_repository(directory):
        print(
            f"helios: the workspace that was mounted at {directory} before, with its store in "
            f"{known.store}, is not there: a new one is made",
            file=sys.stderr,
        )


def _mount_all() -> int:
    """Mount all known workspaces whose repository is there; return 1 if one cannot be mounted."""
    failed = left_out = 0
    workspaces = runfiles.workspaces()
    for each in workspaces:
        mounted = mounttable.mount_at(each.path)
        if mounted is None and not locate.has_repository(each.path):
            left_out += 1
            print(
                f"helios: skipped {each.path}: it has no repository any more; "
                f"'helios umount --forget {shlex.quote(each.path)}' removes it from the list",
                file=sys.stderr,
            )
            continue
        words = [word for option in each.options for word in ("-o", option)]
        try:
            mount(
                ["--existing", *words, *(["--log", each.log] if each.log else []), "--", each.path]
            )
        except HeliosError as error:
            failed += 1
            print(f"helios: {each.path}: {error}", file=sys.stderr)
    if len(workspaces) == left_out:
        print("no workspace was mounted on this machine before")
    return 1 if failed else 0


def _install_unit(directory: str, options: Sequence[str], log: str | None) -> int:
    mounted = mounttable.mount_at(directory)
    if not (mounted.is_ours if mounted else locate.has_repository(directory)):
        raise NotFound(f"{directory} is not a workspace yet: helios mount {shlex.quote(directory)}")
    words = [word for option in options for word in ("-o", option)]
    path = unit.install(directory, [*words, *(["--log", os.path.abspath(log)] if log else [])])
    print(f"installed {path}")
    print(f"  {directory} is mounted when you log in, and again when its daemon fails")
    print("  at boot, before anybody logs in: loginctl enable-linger")
    return 0


def init(argv: Sequence[str]) -> int:
    """Run `helios init` and return the exit code.  Raise HeliosError."""
    from heliosfs.clock import SystemClock
    from heliosfs.repo.repository import Repository
    from heliosfs.store.local import LocalStore

    asked = init_parser().parse_args(argv)
    directory = check_directory(asked.directory)
    if mounttable.mount_at(directory) is not None:
        raise AlreadyExists(f"{directory} is mounted already")
    store = os.path.realpath(asked.store) if asked.store else None
    check_place(directory, store)
    _make_directory(directory)
    if locate.has_repository(directory):
        raise AlreadyExists(f"{directory} has a repository")
    fd = stores.open_store(directory, store, create=True)
    try:
        opened = LocalStore.open(fd, create=True)
        try:
            stores.remember_store(directory, store, fd)
            who = identity(directory)
            repository = Repository.open(opened, SystemClock(), who, asked.branch)
            repository.close()
        finally:
            opened.close()
    finally:
        os.close(fd)
    if not asked.quiet:
        print(f"made a repository in {store or os.path.join(directory, locate.REPOSITORY)}")
        print(f"mount it with: helios mount {shlex.quote(directory)}")
    return 0


def parse_options(given: Sequence[str]) -> set[str]:
    """Return the names after `-o`.  Raise UsageError, which names an unknown one."""
    names = {name for each in given for name in each.split(",") if name}
    for name in sorted(names - OPTIONS.keys()):
        raise UsageError(f"unknown mount option {name!r}: there are {', '.join(OPTIONS)}")
    return names


def is_helios_listed(names: set[str]) -> bool | None:
    """Return True for helios=listed, False for helios=hidden, None for neither.

    Raise UsageError when both are given.
    """
    said = names & {"helios=hidden", "helios=listed"}
    if len(said) > 1:
        raise UsageError("helios=hidden or helios=listed, not both")
    return "helios=listed" in said if said else None


def _make_directory(directory: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory)


def _stay(setup: daemon.Setup) -> int:
    """Serve in this process, with the log on standard error unless `--log` was given."""
    if setup.log is not None:
        fd = runfiles.open_log(setup.log)
        os.dup2(fd, 2)
        os.close(fd)
    daemon.set_up_logging(debug=setup.debug)

    def report(text: str) -> None:
        word, _, rest = text.partition(" ")
        if word == "beneath":
            print(_hidden(setup.mountpoint, rest), file=sys.stderr)
        if word == "left-out":
            print(_left_out(rest), file=sys.stderr)
        if word == "found":
            print(f"helios: {rest}", file=sys.stderr)
        if word == "read-only":
            print(_refused(rest), file=sys.stderr)
        if word == "ready":
            print(f"mounted {setup.mountpoint}", flush=True)
            unit.notify_ready()

    daemon.run(setup, report)
    return 0


def _serve_in_background(setup: daemon.Setup) -> int:
    """Serve in a daemon, and tell what was mounted once the mount answers."""
    line = ProgressLine()
    taken, hidden, left_out, refused = 0, "", "", ""

    def on_report(word: str, rest: str) -> None:
        nonlocal taken, hidden, left_out, refused
        if word == "beneath":
            hidden = _hidden(setup.mountpoint, rest)
        if word == "left-out":
            left_out = _left_out(rest)
        if word == "found":
            print(f"helios: {rest}", file=sys.stderr)
        if word == "read-only":
            refused = _refused(rest)
        if word == "taken":
            taken = int(rest)
            line.show(f"importing files: {taken}")

    try:
        daemon.start(setup, on_report)
    finally:
        line.end()
    path = setup.mountpoint
    for told in filter(None, (refused, left_out, hidden)):
        # First, so that a reader that leaves after a line (`| head -1`) does not lose it.
        print(told, file=sys.stderr)
    also = f"; imported {taken} files, the originals stay beneath the mount" if taken else ""
    print(f"mounted {path}{also}")
    print(f"log: {setup.log}")
    print(f"  work    edit the files in {path} with anything")
    print(f"  commit  echo 'what I did' > {shlex.quote(path)}/.helios/ctl/commit")
    print(f"  learn   cat {shlex.quote(path)}/.helios/README")
    if _stands_beneath(path):
        print(
            "helios: this shell still shows the directory beneath the mount: "
            f"cd {shlex.quote(path)}",
            file=sys.stderr,
        )
    return 0


def _refused(reason: str) -> str:
    """Say why the workspace can only be read."""
    return f"helios: the workspace is {reason}"


def _hidden(path: str, told: str) -> str:
    """Say which files the mount hides, and how to take them in."""
    said = json.loads(told)
    count = said["count"]
    text = ""
    if count:
        files = "1 file" if count == 1 else f"{count} files"
        text = (
            f"helios: the mount hides {files} beneath it that the workspace has not, or has "
            f"otherwise: {_some(count, said['first'])}\n"
            f"  helios -C {shlex.quote(path)} import --beneath   takes them in (--dry-run: lists)"
        )
    if not said["is_whole"]:
        text += (
            "\n" if text else "helios: "
        ) + "  not all that lies beneath was looked at: 'import --beneath --dry-run' does"
    return text


def _left_out(told: str) -> str:
    """Say which paths were not imported with the other files of the directory."""
    return f"helios: left out, because the name is reserved: {_some(**json.loads(told))}"


def _some(count: int, first: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return ", ".join(map(repr, first)) + more


def _stands_beneath(path: str) -> bool:
    """Return True if the current directory is the one that the mount now covers."""
    try:
        where = os.getcwd()
        return (where + "/").startswith(path + "/") and not os.path.samestat(
            os.stat("."), os.stat(where)
        )
    except OSError:
        return False
