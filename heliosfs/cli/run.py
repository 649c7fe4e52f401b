"""`helios run`: a command in the workspace of a branch, seen at the path of the mount point."""

from __future__ import annotations

import shutil
import sys

from heliosfs.cli.client import ask_json, current_directory, mounted_view
from heliosfs.cli.inside import Inside, become, enter, mount_point, sandbox_wish
from heliosfs.cli.locate import Location
from heliosfs.cli.trial import run_child
from heliosfs.commands.options import Options

_BEGINNINGS = {
    "fork": ", with the changes of this one",
    "copy-ignored": ", with the ignored files of this one",
}
"""Option of `branch` that a new branch is made with -> how the report of it ends."""


def run(argv: list[str], options: Options) -> int:
    """Replace this process with the command; return an exit code if there is no such command.

    Raise NotFound when the workspace is not mounted, Refused when its daemon refuses the branch.
    """
    if not options.words:
        raise options.misuse("give a command to run")
    wish = sandbox_wish(options)
    view = mounted_view(current_directory())
    options.only_one(*_BEGINNINGS)
    wanted, how = options.value("branch"), [key for key in _BEGINNINGS if key in options]
    if how and wanted is None:
        raise options.misuse(f"--{how[0]} needs the name of a branch: -b NEW --{how[0]}")
    is_quiet = "quiet" in options
    branch, is_shown = _choose_branch(view, wanted, how, is_quiet=is_quiet)
    inside = Inside(mount_point(view), branch, is_shown, view.below)
    if wish is not None and shutil.which("bwrap"):
        # It ends with its parent, which therefore has to stay.
        return run_child(inside, options.words, wish, is_quiet=is_quiet)[0]
    return become([*enter(inside, wish, is_quiet=is_quiet), *options.words])


def _choose_branch(
    view: Location, wanted: str | None, how: list[str], *, is_quiet: bool
) -> tuple[str | None, bool]:
    """Return the wanted branch, made if it is missing; without one, that of the view.

    The branch is None for a detached HEAD.  The other value is True if the mount point shows it.
    `how` is the option of `branch` with which it is made, if any.
    """
    branches = ask_json(view, "branch")
    for each in branches:
        if each["name"] == wanted if wanted is not None else each["current"]:
            return each["name"], each["mounted"]
    if wanted is None:
        return None, True
    given = [f"--{key}" for key in how]
    made = ask_json(view, "branch", *given, "--", wanted)
    if not is_quiet:
        at = f"at {made['head'][:12]}" if made["head"] else "without a commit"
        changes = "".join(_BEGINNINGS[key] for key in how)
        print(f"helios: new branch {wanted!r} {at}{changes}", file=sys.stderr)
    return wanted, False
