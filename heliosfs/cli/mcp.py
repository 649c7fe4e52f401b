"""`helios mcp`: serve an agent's client over stdio."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.client import ask, mounted_view
from heliosfs.cli.locate import CONTROL, Location
from heliosfs.errors import HeliosError

_REQUIREMENT = "mcp>=2.3,<3"
"""Requirement of the extra `mcp`."""


def mcp_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios mcp`."""
    parser = LocalVerbParser(
        prog="helios mcp",
        description="Serve the verbs of history as tools to a client of the Model Context\n"
        "Protocol, on standard input and output. The client starts it. It acts on the\n"
        "workspace that the client's first root is in, or the current directory.",
    )
    parser.add_argument(
        "--workspace", metavar="DIR", help="act on the workspace that DIR is in, and no other"
    )
    return parser


def mcp(argv: Sequence[str]) -> int:
    """Run `helios mcp` and return the exit code, when the client ends.  Raise HeliosError."""
    asked = mcp_parser().parse_args(argv)
    if find_spec("mcp") is None:
        raise HeliosError(f"'helios mcp' needs the package mcp: {_way_to_install()}")
    from heliosfs.mcp.places import Access
    from heliosfs.mcp.server import run_server

    # A thread waits for the next line of the client: no exception would end that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    workspace = os.path.realpath(asked.workspace) if asked.workspace else None
    if sys.stdin.isatty():
        print("helios: waiting for a client, which writes JSON here: see mcp.md", file=sys.stderr)
    known = KnownViews()
    run_server(Access(known.root, known.ask), workspace)
    return 0


def _way_to_install() -> str:
    # Tools of uv and pipx have no pip of their own.
    if find_spec("pip") is None:
        return "install heliosfs[mcp] in place of heliosfs"
    return f"{sys.executable} -m pip install '{_REQUIREMENT}'"


class KnownViews:
    """Mounted views around the directories that were asked about.

    To find a view takes 1.7 ms, to see that it is still there 10 us.  A process has few of them.
    """

    def __init__(self) -> None:
        self._views: dict[str, tuple[Location, int]] = {}
        """By directory: the view, and the device number of its mount."""

    def root(self, directory: str) -> str:
        """Return the root of the mounted view around a directory.  Raise HeliosError."""
        return self._view(directory).root

    def ask(self, directory: str, argv: Sequence[str]) -> str:
        """Return the reply to a verb, called in that directory.  Raise HeliosError."""
        return ask(self._view(directory), argv).decode("utf-8", "surrogateescape")

    def _view(self, directory: str) -> Location:
        known = self._views.get(directory)
        if known is not None and _device(known[0]) == known[1]:
            return known[0]
        view = mounted_view(directory)
        self._views[directory] = view, _device(view)
        return view


def _device(view: Location) -> int:
    """Return the device number of a view's control files; 0 if there are none any more."""
    try:
        return os.stat(os.path.join(view.root, CONTROL)).st_dev
    except OSError:
        return 0
