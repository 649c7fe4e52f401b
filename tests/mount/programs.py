"""Programs that the tests run in a workspace, each with a bound on its time."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import heliosfs.cli

SECONDS = 60
SOURCES = Path(__file__).parents[2]
CACHING_PYTHON = (
    *("env", "-u", "PYTHONDONTWRITEBYTECODE", "-u", "PYTHONPYCACHEPREFIX"),
    sys.executable,
)
"""Python as it is without settings: bytecode lies in `__pycache__`, beside the sources."""
LAUNCHER = Path(heliosfs.cli.__file__).with_name("helios")


def run(*argv: str | Path, cwd: Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program; with `ok`, it must succeed."""
    done = subprocess.run(
        [*map(str, argv)],
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=SECONDS,
        check=False,
    )
    assert not ok or done.returncode == 0, f"{argv}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done


def shell(
    script: str, cwd: Path, name: str = "bash", *, ok: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a script in the shell of that name."""
    return run(name, "-c", script, cwd=cwd, ok=ok)


def errno_of(call: Callable[..., object], *arguments: object, **keywords: object) -> str:
    """The name of the errno that a call fails with; "ok" when it does not."""
    try:
        call(*arguments, **keywords)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "ok"


def put(path: Path, text: str) -> None:
    """Write a file, whose directory is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def names(path: Path) -> list[str]:
    """Return the names in a directory, but for `.helios`."""
    return sorted(name for name in os.listdir(path) if name != ".helios")


def with_helios(directory: Path) -> dict[str, str]:
    """The environment of a user who has `helios` on the path, and the stand-ins for SDKs.

    The command is put into `directory`, which is made.
    """
    directory.mkdir()
    (directory / "helios").write_bytes(LAUNCHER.read_bytes())
    python = shlex.quote(sys.executable)
    (directory / "helios-py").write_text(f'#!/bin/sh\nexec {python} -m heliosfs.cli "$@"\n')
    for name in ("helios", "helios-py"):
        (directory / name).chmod(0o755)
    return os.environ | {
        "PATH": f"{directory}:{os.environ['PATH']}",
        "PYTHONPATH": f"{SOURCES}:{SOURCES / 'tests/standins'}",
        "LC_ALL": "C.UTF-8",
    }
