"""`diff --exit-code` and `--quiet`: whether something differs is told by the exit code, too."""

from __future__ import annotations

from collections.abc import Sequence

from heliosfs.cli.client import print_bytes, run
from heliosfs.commands.options import Options


def difference(argv: Sequence[str], options: Options) -> int:
    """Run the verb; 1 when it has something to say.  HeliosError."""
    differs = False

    def pass_on(data: bytes) -> None:
        nonlocal differs
        differs = differs or bool(data)
        if "quiet" not in options:
            print_bytes(data)

    run(argv, pass_on=pass_on)
    return int(differs)
