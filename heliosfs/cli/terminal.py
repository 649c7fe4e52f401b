"""Output for a terminal: colours, the names of commits, and a pager.

The daemon paints, because only it knows what a piece of a reply is; whether to paint is decided
here, where the terminal and the user's environment are.  A reply that goes into a pipe costs
nothing of this: the launcher and `main` ask one system call, and do without this module.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliosfs.cli import client
from heliosfs.cli.locate import Location, find_view
from heliosfs.commands.declarations.shared_options import LISTED
from heliosfs.commands.verb import Screen
from heliosfs.errors import HeliosError, NotFound, UsageError

if TYPE_CHECKING:
    from heliosfs.commands.options import Options

PAGINATE = "HELIOS_PAGINATE"
"""Set for `-p`: every verb has a pager."""

_PAGED = frozenset({"blame", "diff", "grep", "log", "oplog", "show", "status"})
_DEFAULT_PAGER = "less"
_PAGER_SETTINGS = {"LESS": "FRX", "LV": "-c"}
"""Settings that git makes, too, where the user did not: leave at once what fits on the screen."""
_CANNOT_RUN = (126, 127)
_CHANGING = ("delete", "force-delete", "move", "copy", "fork", "copy-ignored", "show-current")


def run(argv: Sequence[str], options: Options) -> int:
    """Carry out a verb as `client.run` does, on a terminal; return the exit code."""
    view = _view()
    screen = Screen(_is_coloured(view), _columns())
    pager = _pager_of(view) if screen.columns and _is_paged(options) else ""
    if not pager:
        return client.run(argv, screen=screen)
    shown = _Pager(pager)
    try:
        code = client.run(argv, pass_on=shown.write, screen=screen)
    except BrokenPipeError:
        # The reader has seen enough.
        code = 0
    finally:
        shown.end()
    if shown.cannot_run:
        raise NotFound(f"cannot run the pager {pager!r}: see GIT_PAGER, ui.pager and PAGER")
    return code


def set_for_this_call(key: str, value: str) -> bool:
    """Apply a setting of colours or of the pager to one call; return False for any other key."""
    key = key.lower()
    if key in ("core.pager", "ui.pager"):
        os.environ["GIT_PAGER"] = value
    elif key in ("color.ui", "ui.color"):
        _set_colour(value.lower())
    else:
        return False
    return True


def _set_colour(when: str) -> None:
    if when not in ("always", "auto", "never", "true", "false", ""):
        raise UsageError(f"color.ui is always, never or auto, not {when[:80]!r}")
    for name in ("NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR"):
        os.environ.pop(name, None)
    if when in ("never", "false"):
        os.environ["NO_COLOR"] = "1"
    elif when == "always":
        os.environ["CLICOLOR_FORCE"] = "1"


def _view() -> Location | None:
    try:
        return find_view(os.getcwd())
    except OSError:
        return None


def _setting(view: Location | None, key: str) -> str:
    """Return the value in helios.yaml; "" if no mounted workspace can be asked."""
    if view is None:
        return ""
    try:
        return client.ask(view, ["config", "get", key]).decode("utf-8", "replace").strip()
    except HeliosError:
        return ""


def _is_forced() -> bool:
    return os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")


def _is_coloured(view: Location | None) -> bool:
    """Return True if colours are wanted: https://no-color.org, https://bixense.com/clicolors."""
    if os.environ.get("NO_COLOR"):
        return False
    if _is_forced():
        return True
    is_able = os.environ.get("TERM", "dumb") != "dumb" and os.environ.get("CLICOLOR") != "0"
    return os.isatty(1) and is_able and _setting(view, "ui.color") != "never"


def _columns() -> int:
    """Return the width of the terminal; 0 if there is none."""
    return max(shutil.get_terminal_size().columns, 1) if os.isatty(1) else 0


def _is_paged(options: Options) -> bool:
    """Return True if git would page what the verb prints; `status` as well."""
    verb, words = options.verb, options.words
    if verb in _PAGED or os.environ.get(PAGINATE):
        return True
    if verb == "stash":
        return words[:1] in (["list"], ["show"])
    if verb == "config":
        return words[:1] in ([], ["list"])
    if verb in ("branch", "tag"):
        is_list = not words or any(key in options for key in ("list", *LISTED))
        return is_list and not any(key in options for key in _CHANGING)
    return False


def _pager_of(view: Location | None) -> str:
    """Return the command of the pager, for a shell; "" for none."""
    for name in ("GIT_PAGER", "ui.pager", "PAGER"):
        pager = os.environ.get(name) if name.isupper() else _setting(view, name) or None
        if pager is not None:
            return "" if pager.strip() in ("", "cat") else pager
    # A terminal that cannot move its cursor, and a machine without it, can do without.
    is_able = os.environ.get("TERM", "dumb") != "dumb" and shutil.which(_DEFAULT_PAGER)
    return _DEFAULT_PAGER if is_able else ""


class _Pager:
    """A program that shows a reply; it starts when there is something to show."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def cannot_run(self) -> bool:
        """Return True if the shell, which has said so, found no such program."""
        return self._process is not None and self._process.returncode in _CANNOT_RUN

    def write(self, data: bytes) -> None:
        """Show some more.  BrokenPipeError when the reader is done."""
        if not data:
            return
        if self._process is None:
            sys.stdout.flush()
            # Not to be killed by the pager's end: the terminal is its own until it has ended.
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            self._process = subprocess.Popen(
                ["sh", "-c", self._command],
                stdin=subprocess.PIPE,
                env=_PAGER_SETTINGS | os.environ,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def end(self) -> None:
        """Wait until the reader has seen it all; an interrupt is the pager's own affair."""
        process = self._process
        if process is None:
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            assert process.stdin is not None
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
            process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
