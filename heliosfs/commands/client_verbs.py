"""Verbs that only the command line runs.  A control file refuses each of them.

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
    raise options.misuse("rename files with mv(1), or with the command 'helios mv'")


def run(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.run`)."""
    raise options.misuse("only the command line starts commands")


def try_(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.trial`)."""
    raise options.misuse("only the command line starts commands")


def race(request: Request, options: Options) -> str:
    """Refuse: the command line does it (`heliosfs.cli.race`)."""
    raise options.misuse("only the command line starts commands")
