"""`helios ls`: the workspaces of this user on this machine, mounted and not."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from heliosfs import mounttable
from heliosfs.cli import runfiles
from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.locate import FORMAT, has_repository

MOUNTED, UNMOUNTED, DEAD, GONE = "mounted", "unmounted", "dead", "gone"
_MEANINGS = {
    MOUNTED: "ready for work",
    UNMOUNTED: "everything is saved: helios mount DIR",
    DEAD: "the mount lost its daemon: helios mount DIR",
    GONE: "its store is not where it was: is its disk mounted?",
}


class ListedWorkspace(NamedTuple):
    """Workspace with the facts that `ls` shows, which are the fields of `--json`."""

    path: str
    state: str
    branch: str | None
    """Branch at the mount point; None for a detached HEAD, and if nothing is mounted."""
    store: str
    log: str
    pid: int | None
    """Process id of the daemon; None if nothing is mounted."""


def ls_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios ls`."""
    states = "\n".join(f"  {state:<10} {text}" for state, text in _MEANINGS.items())
    parser = LocalVerbParser(
        prog="helios ls",
        description="List the workspaces that you have mounted on this machine, now or before: "
        "path, state, branch.\n'helios umount --forget DIR' removes one from the list.\n\n"
        f"states:\n{states}",
    )
    parser.add_argument("--mounted", action="store_true", help="list only mounted ones")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def ls(argv: Sequence[str]) -> int:
    """Run `helios ls` and return the exit code."""
    asked = ls_parser().parse_args(argv)
    found = [_listed(each) for each in runfiles.workspaces()]
    if asked.mounted:
        found = [each for each in found if each.state == MOUNTED]
    if asked.json:
        print(json.dumps([each._asdict() for each in found], indent=2))
        return 0
    width = max((len(each.path) for each in found), default=0)
    for each in found:
        print(f"{each.path:<{width}}  {each.state:<9}  {each.branch or '-'}")
    return 0


def _listed(workspace: runfiles.KnownWorkspace) -> ListedWorkspace:
    path = workspace.path
    daemon = runfiles.find(path)
    mount = mounttable.mount_at(path)
    is_ours = mount is not None and mount.is_ours
    branch = None
    if daemon is not None and is_ours:
        state = MOUNTED
        with suppress(OSError):
            branch = _branch(path)
    elif is_ours:
        state = DEAD
    else:
        is_there = has_repository(path) and os.path.exists(os.path.join(workspace.store, FORMAT))
        state = UNMOUNTED if is_there else GONE
    pid = daemon.pid if daemon is not None else None
    return ListedWorkspace(path, state, branch, workspace.store, runfiles.last_log(path), pid)


def _branch(path: str) -> str | None:
    with open(
        os.path.join(path, ".helios", "branch"), encoding="utf-8", errors="surrogateescape"
    ) as file:
        return file.read().strip() or None
