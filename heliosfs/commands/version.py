"""`version`: which program this is."""

from __future__ import annotations

from heliosfs import __version__
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request


def version(request: Request, options: Options) -> str:
    """Return name and version of the program."""
    options.at_most(0)
    return version_text(as_json="json" in options)


def version_text(*, as_json: bool) -> str:
    """Return the reply, which needs no workspace."""
    return json_reply({"version": __version__}) if as_json else f"helios {__version__}\n"
