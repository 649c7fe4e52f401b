"""`--stdin`: a verb run for the paths in the input, two hundred in each request."""

from __future__ import annotations

import os
import sys

from heliosfs.cli.client import run
from heliosfs.commands.options import Options

_AT_ONCE = 200
"""Paths in one request, which may have at most 64 KiB."""


def check_ignore(argv: list[str], options: Options) -> int | list[str]:
    """Run `check-ignore` for the paths of the input if `--stdin` asks for that."""
    return _for_each_line(argv, options) if "stdin" in options else argv


def _for_each_line(argv: list[str], options: Options) -> int:
    """Run the verb for all paths of the input; 0 if one request had that exit code."""
    if options.words or options.paths:
        raise options.misuse("--stdin, or paths, but not both")
    end = b"\0" if "null" in options else b"\n"
    paths = [os.fsdecode(each) for each in sys.stdin.buffer.read().split(end) if each]
    words = [word for word in argv if word not in ("--stdin", "--")]
    codes = [
        run([*words, "--", *paths[at : at + _AT_ONCE]]) for at in range(0, len(paths), _AT_ONCE)
    ]
    return 0 if 0 in codes else 1
