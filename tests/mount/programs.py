"""Programs that the tests run in a workspace, each with a bound on its time."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

SECONDS = 60


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
    """What a directory lists, but for `.helios`."""
    return sorted(name for name in os.listdir(path) if name != ".helios")
