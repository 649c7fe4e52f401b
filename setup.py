"""Make the manual pages and take the plugin along while the wheel is built.

pyproject.toml cannot say either.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

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


class BuildWithPlugin(build_py):  # type: ignore[misc]
    """The step that copies the package, and the plugin for agents into it."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            plugin = Path(self.build_lib, "heliosfs", "plugin")
            shutil.copytree(ROOT / "integrations/plugin", plugin, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithPlugin}, data_files=[("share/man/man1", manual())])
