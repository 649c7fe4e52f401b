"""Programs of ours that run beside this one, on another CPU."""

from __future__ import annotations

import os
import sys

_PROGRAM = (
    "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); "
    "from importlib import import_module; import_module(sys.argv.pop(1)).main(sys.argv[1:])"
)


def command(module: str, *argv: str) -> list[str]:
    """Return the command that calls `main` of a module with words.

    It is isolated, with our own path: no module comes from the environment or the current
    directory.
    """
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = "\n".join([here, *map(os.path.abspath, sys.path)])
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, path, module, *argv]
