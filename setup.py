"""Make the manual pages while the wheel is built, which pyproject.toml cannot say."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))


def manual() -> list[str]:
    """Write the manual pages below `build/`, and return their paths; the standard library does."""
    from heliosfs.cli.man import pages

    directory = ROOT / "build/man"
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (directory / name).write_text(text, encoding="utf-8")
    return [f"build/man/{name}" for name, _ in pages()]


setup(data_files=[("share/man/man1", manual())])
