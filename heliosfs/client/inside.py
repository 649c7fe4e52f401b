"""A command in a live branch that it sees at the mount point: `helios run`, as a program."""

from __future__ import annotations

import sys

from heliosfs.cli.run import run
from heliosfs.commands.options import Options
from heliosfs.errors import HeliosError


def main(argv: list[str]) -> None:
    """Replace this process with a command in a branch; the first word is the branch."""
    branch, *words = argv
    try:
        sys.exit(run(words, Options("run", {"quiet": [""], "branch": [branch]}, words, None)))
    except (HeliosError, OSError) as error:
        sys.exit(f"helios: {error}")
