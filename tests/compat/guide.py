"""A workspace for the programs of the guide, and the functions that these expect of their user."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.mount.conftest import Mounted
from tests.mount.programs import SECONDS, put, with_helios

SCORE = """
def score(path):
    found = {}
    exec(open(path).read(), found)
    return found["SCORE"]
"""
AGENTS = """
import random
from types import SimpleNamespace

target_score = 0.98

def generate(prompt, agent_id, iteration):
    return f"# {prompt}, {iteration} of {agent_id}\\n"

your_ai_model = SimpleNamespace(generate=generate)
run_tests = random.Random(7).random
"""
REFACTORING = """
import os
from types import SimpleNamespace

def refactor_codebase(path, instructions):
    return {os.path.join(path, name): "new\\n" for name in os.listdir(path)}

your_ai_agent = SimpleNamespace(refactor_codebase=refactor_codebase)
passes_code_quality_checks = lambda: True
run_all_tests = lambda: PASSES
"""


class Guide:
    """A workspace with one commit, in which the programs run."""

    def __init__(self, mounted: Mounted, scratch: Path) -> None:
        self.mounted = mounted
        self.path = mounted.path
        self._scratch = scratch
        self.environment = with_helios(scratch / "bin")

    def begin(self) -> None:
        put(self.path / "README", "a project\n")
        self.mounted.helios("commit", "-m", "base")

    def run(self, program: str, before: str = "", after: str = "") -> str:
        """Run a program; return what it prints, and `helios` with it."""
        path = self._scratch / "program.py"
        path.write_text(f"{before}\n{program}\n{after}")
        return self.type(sys.executable, "-u", str(path))

    def type(self, *argv: str) -> str:
        done = subprocess.run(
            argv,
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def subjects(self, revision: str = "HEAD") -> list[str]:
        return [each["subject"] for each in self._json("log", "--json", revision)]

    def ids(self, branch: str) -> set[str]:
        """The commits that a branch was ever at: of its operations, and in its history now."""
        view = Path() if branch == self.branch else Path(".helios/branches", branch)
        log = self._json("oplog", "--json", cwd=self.path / view)
        return {each["after"]["head"][:12] for each in log}

    @property
    def branch(self) -> str:
        return (self.path / ".helios/branch").read_text().strip()

    def is_clean(self) -> bool:
        return self.mounted.helios("status", "--short") == ""

    def _json(self, *argv: str, cwd: Path | None = None) -> Any:
        return json.loads(self.mounted.helios(*argv, cwd=cwd))
