"""The page on security: the tests that its rows name, and what can be read from the sources."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import heliosfs
from tests.sources import parsed

PACKAGE = Path(heliosfs.__file__).parent
TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/explanation/security.md"

_ROW = re.compile(r"^\| (?!who wants|---)(.+) \| (.+) \| (.+) \|$", re.MULTILINE)
_NAME = re.compile(r"`(test_\w+)`")
ROWS = _ROW.findall(PAGE.read_text())

NETWORK = {
    "asyncio",
    "ftplib",
    "http",
    "imaplib",
    "obstore",
    "smtplib",
    "socket",
    "socketserver",
    "ssl",
    "urllib",
}
OF_THIS_MACHINE = {
    "client/threads.py": "the loop of a program that uses asyncio",
    "cli/identity.py": "the name of the host",
    "cli/namespace.py": "the loopback device of a sandbox, by its ioctl",
    "cli/unit.py": "systemd's socket",
    "fuse/connection.py": "the pair over which pyfuse3 gets its requests",
    "fuse/mounting.py": "the pair over which fusermount3 sends the device",
    "gitserver/addresses.py": "the form of the URLs of git servers",
    "mcp/places.py": "the form of file: addresses",
    "remote/buckets/opening.py": "the form of the URLs of remotes",
}
TO_REMOTES = {f"remote/buckets/{name}.py" for name in ("cloud", "cloud_errors", "cloud_settings")}
"""Modules that speak to the storage of a remote, which the user named by a URL."""


def defined() -> set[str]:
    return {
        each.name
        for path in TESTS.rglob("*.py")
        for each in ast.walk(parsed(path))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_row_names_tests_that_exist() -> None:
    assert len(ROWS) >= 20
    there = defined()
    for who, _, tests in ROWS:
        named = set(_NAME.findall(tests))
        assert named, f"{who}: no test"
        assert named <= there, f"{who}: {named - there}"


def imported(path: Path) -> set[str]:
    """The top-level modules that a module imports, at its top or later."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_speaks_to_a_network(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    assert not imported(path) & NETWORK or name in OF_THIS_MACHINE or name in TO_REMOTES
    if name in OF_THIS_MACHINE:
        assert not re.search(r"AF_INET|create_connection|create_server", path.read_text())
