"""`materialize`: in the workspace only a refusal, since the command line does the work.

The daemon does not write outside of its store: it would keep everybody waiting, could not write
into its own mount, and has other rights than who asks.
"""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.verb import Request


def materialize(request: Request, options: Options) -> str:
    """UsageError, always."""
    raise options.misuse("only the command line writes outside of a workspace")
