"""`helios run`: a command in the workspace of a branch, seen at the path of the mount point."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from typing import NamedTuple

from heliosfs.cli.client import ask, current_directory, refuse_dead
from heliosfs.cli.locate import COMMAND, REPOSITORY, Location, find_repository, find_view
from heliosfs.cli.namespace import bind_privately
from heliosfs.commands.options import Options
from heliosfs.errors import NotFound
from heliosfs.mounttable import mount_over

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126

_BEGINNINGS = {
    "fork": ", with the changes of this one",
    "copy-ignored": ", with the ignored files of this one",
}
"""Option of `branch` that a new branch is made with -> how the report of it ends."""


class _ChosenBranch(NamedTuple):
    """Branch that the command works on, and whether the mount point shows it."""

    branch: str | None
    """None for a detached HEAD."""
    is_shown: bool
    """True if the mount point shows that branch already."""


def run(argv: list[str], options: Options) -> int:
    """Replace this process with the command; return an exit code if there is no such command.

    Raise NotFound when the workspace is not mounted, Refused when its daemon refuses the branch.
    """
    if not options.words:
        raise options.misuse("give a command to run")
    where = current_directory()
    view = find_view(where)
    if view is None:
        refuse_dead(where)
        place = find_repository(where)
        hint = f": helios mount {shlex.quote(place.root)}" if place is not None else ""
        raise NotFound(f"not inside a mounted workspace ({where}){hint}")
    options.only_one(*_BEGINNINGS)
    wanted, how = options.value("branch"), [key for key in _BEGINNINGS if key in options]
    if how and wanted is None:
        raise options.misuse(f"--{how[0]} needs the name of a branch: -b NEW --{how[0]}")
    chosen = _choose_branch(view, wanted, how, is_quiet="quiet" in options)
    over = mount_over(view.root)
    top = over.path if over is not None else view.root
    root = top
    if chosen.branch is not None and not chosen.is_shown:
        live = os.path.join(top, REPOSITORY, "live", chosen.branch)
        root = _show(live, top, is_quiet="quiet" in options)
    _enter(root, view.below)
    if chosen.branch is not None:
        os.environ["HELIOS_BRANCH"] = chosen.branch
    return _exec(options.words)


def _choose_branch(
    view: Location, wanted: str | None, how: list[str], *, is_quiet: bool
) -> _ChosenBranch:
    """Return the wanted branch, made if it is missing; without one, that of the view.

    `how` is the option of `branch` with which it is made, if any.
    """
    branches = json.loads(ask(view, ["branch", "--json"]))
    for each in branches:
        if each["name"] == wanted if wanted is not None else each["current"]:
            return _ChosenBranch(each["name"], each["mounted"])
    if wanted is None:
        return _ChosenBranch(None, is_shown=True)
    given = [f"--{key}" for key in how]
    made = json.loads(ask(view, ["branch", "--json", *given, "--", wanted]))
    if not is_quiet:
        at = f"at {made['head'][:12]}" if made["head"] else "without a commit"
        changes = "".join(_BEGINNINGS[key] for key in how)
        print(f"helios: new branch {wanted!r} {at}{changes}", file=sys.stderr)
    return _ChosenBranch(wanted, is_shown=False)


def _show(live: str, top: str, *, is_quiet: bool) -> str:
    """Put the live view in the place of the mount point, and return its path.

    The directories of `.helios` that the links of every view lead to come along.
    """
    # What is mounted in the view comes along, so it must be there before.
    with contextlib.suppress(OSError):
        os.stat(os.path.join(live, COMMAND))
    places = [os.path.join(REPOSITORY, name) for name in ("view", "live")]
    pairs = [(os.path.join(top, place), os.path.join(live, place)) for place in places]
    try:
        bind_privately(live, top, pairs)
    except OSError as error:
        if not is_quiet:
            reason = (error.strerror or str(error)).lower()
            print(
                f"helios: no mount namespace ({reason}): {top} still shows another branch, "
                f"and the command runs in {live}",
                file=sys.stderr,
            )
        return live
    return top


def _enter(root: str, below: str) -> None:
    """Go to the directory that the caller is in, or the nearest above it that is there."""
    path = os.path.normpath(os.path.join(root, below))
    while True:
        try:
            os.chdir(path)
        except (FileNotFoundError, NotADirectoryError):
            path = os.path.dirname(path)
        else:
            os.environ["PWD"] = path
            return


def _exec(command: list[str]) -> int:
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        print(f"helios: no command {command[0]!r}", file=sys.stderr)
        return _NOT_FOUND
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(f"helios: cannot run {command[0]!r}: {reason}", file=sys.stderr)
        return _NOT_EXECUTABLE
