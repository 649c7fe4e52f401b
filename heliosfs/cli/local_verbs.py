"""The verbs that the command line carries out itself: a table of names, which imports no verb."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from argparse import ArgumentParser


class LocalVerb(NamedTuple):
    """A verb that the command line carries out itself."""

    summary: str
    module: str
    """Module of this package with a function of the verb's name, and one that makes its parser."""
    name: str

    def run(self, argv: Sequence[str]) -> int:
        """Carry the verb out and return the exit code; `argv` are the words after the verb."""
        code: int = self._of_module(self.name)(argv)
        return code

    def parser(self) -> ArgumentParser:
        """Return the parser of its arguments, which has its help as well."""
        parser: ArgumentParser = self._of_module(f"{self.name}_parser")()
        return parser

    def _of_module(self, name: str) -> Any:
        """Return a function of the module, imported only now: imports take most of the start."""
        return getattr(import_module(f"heliosfs.cli.{self.module}"), name)


LOCAL_VERBS: dict[str, LocalVerb] = {
    verb.name: verb
    for verb in (
        LocalVerb("make a repository without mounting it", "mount", "init"),
        LocalVerb("make a workspace of what a remote has", "clone", "clone"),
        LocalVerb("mount a workspace, made on first use", "mount", "mount"),
        LocalVerb("end a mount; everything is kept", "umount", "umount"),
        LocalVerb("make a project ready for agents, and take that back", "agent", "agent"),
        LocalVerb("list the workspaces on this machine, mounted and not", "listing", "ls"),
        LocalVerb("check what this machine offers, and say what to do", "doctor", "doctor"),
        LocalVerb("serve the verbs of history to an agent, by MCP", "mcp", "mcp"),
        LocalVerb("print what makes a shell complete verbs", "completion", "completion"),
        LocalVerb("write manual pages for man(1)", "man", "man"),
    )
}
