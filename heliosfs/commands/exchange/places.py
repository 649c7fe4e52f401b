"""Paths that a request names, for a daemon that must not block on what it serves itself."""

from __future__ import annotations

import os
from functools import partial

from heliosfs.commands.options import Options
from heliosfs.steps import Steps, on_thread


def named_path(options: Options, key: str) -> Steps[str | None]:
    """Return the path that an option names, links resolved; None without the option.

    Raise UsageError when it is relative: no current directory is known.
    """
    path = options.value(key)
    if path is None:
        return None
    if not path.startswith("/"):
        raise options.misuse(f"--{key} takes an absolute path here, not {path[:80]!r}")
    resolved: str = yield from on_thread(partial(os.path.realpath, path))
    return resolved
