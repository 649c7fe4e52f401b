"""`helios version`: answered by the client, so that it works outside of every workspace."""

from __future__ import annotations

from collections.abc import Sequence

from heliosfs.commands.options import Options
from heliosfs.commands.version import version_text


def version(argv: Sequence[str], options: Options) -> int:
    """Print the version, and return the exit code."""
    options.at_most(0)
    print(version_text(as_json="json" in options), end="")
    return 0
