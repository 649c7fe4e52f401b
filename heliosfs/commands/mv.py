"""`mv` by a control file: refused, for a rename is a system call that anybody can make."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.verb import Request


def mv(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.move`)."""
    raise options.misuse("rename files as in any directory: mv(1); 'helios mv' stages that, too")
