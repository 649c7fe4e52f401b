"""A command inside a branch: it finds the branch at the path of the mount point."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NamedTuple, NoReturn

from heliosfs.cli.locate import COMMAND, REPOSITORY, Location
from heliosfs.cli.namespace import bind_privately
from heliosfs.cli.sandbox import SandboxPlace, SandboxWish, confine
from heliosfs.commands.options import Options
from heliosfs.errors import HeliosError
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


def mount_point(view: Location) -> str:
    """Return the mount point of the workspace that a view belongs to."""
    over = mount_over(view.root)
    return over.path if over is not None else view.root


def enter(inside: Inside, wish: SandboxWish | None = None, *, is_quiet: bool) -> list[str]:
    """Take this process into the branch: its mount namespace, directory and HELIOS_BRANCH.

    With `wish`, it is in a sandbox afterwards, or is so with the words that are returned before the
    command.  Where no namespace can be had, the directory is below `live`; a line on standard error
    says so, unless `is_quiet`.  Raise HeliosError where no sandbox can be made.
    """
    root, words = inside.top, list[str]()
    is_elsewhere = inside.branch is not None and not inside.is_shown
    if wish is not None:
        source = inside.live if is_elsewhere else inside.top
        _show_control_files(source)
        words, root = confine(SandboxPlace(source, inside.top, inside.below), wish)
    elif is_elsewhere:
        root = _show(inside.live, inside.top, is_quiet=is_quiet)
    if not words:
        _go_to(root, inside.below)
    if inside.branch is not None:
        os.environ["HELIOS_BRANCH"] = inside.branch
    return words


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


def be_command(
    inside: Inside, command: list[str], wish: SandboxWish | None, *, is_quiet: bool
) -> NoReturn:
    """Become a command in a branch, in a child of this process; errors end it with a line."""
    code = _NOT_EXECUTABLE
    try:
        words = enter(inside, wish, is_quiet=is_quiet)
        code = become([*words, *command])
    except (HeliosError, OSError) as error:
        print(f"helios: {error}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _show(live: str, top: str, *, is_quiet: bool) -> str:
    """Put the live view in the place of the mount point, and return its path.

    The directories of `.helios` that the links of every view lead to come along.
    """
    _show_control_files(live)
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


def _show_control_files(root: str) -> None:
    """Have the control files of a view mounted: what is mounted in it comes along later."""
    with contextlib.suppress(OSError):
        os.stat(os.path.join(root, COMMAND))


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


def sandbox_wish(options: Options) -> SandboxWish | None:
    """Return the sandbox that the options ask for.  Raise UsageError for --net without one."""
    if "sandbox" not in options:
        if "net" in options:
            raise options.misuse("--net needs --sandbox")
        return None
    return SandboxWish("net" in options, "quiet" in options)
