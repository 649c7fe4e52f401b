"""A command inside a branch: it finds the branch at the path of the mount point."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import NamedTuple, NoReturn

from heliosfs.cli.client import current_directory, refuse_dead
from heliosfs.cli.locate import COMMAND, REPOSITORY, Location, find_repository, find_view
from heliosfs.cli.namespace import bind_privately
from heliosfs.errors import HeliosError, NotFound
from heliosfs.mounttable import mount_over

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


class Inside(NamedTuple):
    """Branch in which a command runs."""

    top: str
    """Mount point of the workspace."""
    branch: str | None
    """None for a detached HEAD."""
    is_shown: bool
    """True if the mount point shows the branch already."""
    below: str
    """Directory below the root of the view in which the command begins, if it is there."""

    @property
    def live(self) -> str:
        """Return the live directory of a branch that the mount point does not show."""
        return os.path.join(self.top, REPOSITORY, "live", self.branch or "")


def mounted_view() -> Location:
    """Return the mounted view around the current directory.  Raise NotFound if there is none."""
    where = current_directory()
    view = find_view(where)
    if view is None:
        refuse_dead(where)
        place = find_repository(where)
        hint = f": helios mount {shlex.quote(place.root)}" if place is not None else ""
        raise NotFound(f"not inside a mounted workspace ({where}){hint}")
    return view


def mount_point(view: Location) -> str:
    """Return the mount point of the workspace that a view belongs to."""
    over = mount_over(view.root)
    return over.path if over is not None else view.root


def enter(inside: Inside, *, is_quiet: bool) -> None:
    """Take this process into the branch: its mount namespace, directory and HELIOS_BRANCH.

    Where no namespace can be had, the directory is below `live`; a line on standard error says so,
    unless `is_quiet`.
    """
    root = inside.top
    if inside.branch is not None and not inside.is_shown:
        root = _show(inside.live, inside.top, is_quiet=is_quiet)
    _go_to(root, inside.below)
    if inside.branch is not None:
        os.environ["HELIOS_BRANCH"] = inside.branch


def become(command: list[str]) -> int:
    """Replace this process with a command; return an exit code if there is no such command."""
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        print(f"helios: no command {command[0]!r}", file=sys.stderr)
        return _NOT_FOUND
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(f"helios: cannot run {command[0]!r}: {reason}", file=sys.stderr)
        return _NOT_EXECUTABLE


def be_command(inside: Inside, command: list[str], *, is_quiet: bool) -> NoReturn:
    """Become a command in a branch, in a child of this process; errors end it with a line."""
    code = _NOT_EXECUTABLE
    try:
        enter(inside, is_quiet=is_quiet)
        code = become(command)
    except (HeliosError, OSError) as error:
        print(f"helios: {error}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


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


def _go_to(root: str, below: str) -> None:
    """Go to a directory below the root, or the nearest above it that is there."""
    path = os.path.normpath(os.path.join(root, below))
    while True:
        try:
            os.chdir(path)
        except (FileNotFoundError, NotADirectoryError):
            path = os.path.dirname(path)
        else:
            os.environ["PWD"] = path
            return
