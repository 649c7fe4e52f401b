"""`run`: in the workspace only a refusal, since the command line starts the command."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.verb import Request


def run(request: Request, options: Options) -> str:
    """UsageError, always."""
    raise options.misuse("only the command line starts commands")
