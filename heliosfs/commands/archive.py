"""`archive` by a control file: refused, for the command line writes it."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.verb import Request


def archive(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.archive`)."""
    raise options.misuse("only the command line writes archives; cp and tar read .helios/snapshots")
