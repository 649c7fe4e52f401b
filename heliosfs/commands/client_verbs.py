"""Verbs that the command line carries out itself; written to a control file, each is refused.

The daemon does not write outside of its store and starts no command: it would block all
other requests, could not write into its own mount, and has other rights than its caller.
"""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.verb import Request


def archive(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.archive`)."""
    raise options.misuse("only the command line writes archives; cp and tar read .helios/snapshots")


def materialize(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.materialize`)."""
    raise options.misuse("only the command line writes outside of a workspace")


def mv(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.move`); a rename is a system call."""
    raise options.misuse("rename files as in any directory: mv(1); 'helios mv' stages that, too")


def run(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.run`)."""
    raise options.misuse("only the command line starts commands")
