"""`helios agent`: make a project ready for agents, and take that back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from heliosfs import __version__
from heliosfs.cli import runfiles
from heliosfs.cli.agentclients import (
    CLIENTS,
    AgentClient,
    command_lines,
    found_clients,
    install,
    plugin_directory,
    uninstall,
    used_clients,
)
from heliosfs.cli.agentfiles import (
    AGENTS,
    CLAUDE,
    IGNORE,
    INSTRUCTIONS,
    MARKED,
    is_included,
    leads_outside,
    put_block,
    read_text,
    restore_json,
    take_block,
)
from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.client import ask_in_current_directory, current_directory, refuse_dead
from heliosfs.cli.locate import find_repository, find_view
from heliosfs.commands.refusal import put_into_words
from heliosfs.errors import HeliosError, UsageError

_GB = 1000**3
_SIZE_MAX_GB = 20
_INCLUDE = "#!include:.gitignore"
"""Line of a `.heliosignore` by which git's ignore files count."""


def agent_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios agent`."""
    parser = LocalVerbParser(
        prog="helios agent",
        description="init: make the workspace, or the project, that the current directory is in\n"
        "ready for agents. Lines for them go into AGENTS.md and CLAUDE.md, .heliosignore takes in\n"
        ".gitignore, each client that is found gets the plugin, and the history a bound.\n"
        "A second time brings all of that up to date.\n"
        "remove: take all of that back.",
        epilog="clients: " + ", ".join(CLIENTS),
    )
    parser.add_argument("action", choices=("init", "remove"))
    parser.add_argument(
        "--client",
        metavar="NAME[,NAME]",
        help="only these clients, instead of all that are on the PATH; 'none' for no client",
    )
    return parser


def agent(argv: Sequence[str]) -> int:
    """Run `helios agent` and return the exit code: 1 if a client did not take the plugin.

    Raise HeliosError or OSError.
    """
    asked = agent_parser().parse_args(argv)
    root = _root()
    chosen = _chosen(asked.client)
    setup = _AgentSetup(root)
    if asked.action == "init":
        return setup.init(
            found_clients() if chosen is None else chosen, is_chosen=chosen is not None
        )
    return setup.remove(chosen)


def _root() -> str:
    """Return the directory that the project begins at: of the workspace, or of git, or this one."""
    where = current_directory()
    view = find_view(where)
    if view is not None:
        return view.root
    refuse_dead(where)
    place = find_repository(where)
    if place is not None:
        return place.root
    path = where
    while not os.path.exists(os.path.join(path, ".git")):
        if path == os.path.dirname(path):
            return where
        path = os.path.dirname(path)
    return path


def _chosen(text: str | None) -> list[AgentClient] | None:
    if text is None:
        return None
    names = [name for name in text.split(",") if name and name != "none"]
    for name in names:
        if name not in CLIENTS:
            raise UsageError(f"no client {name[:80]!r}: there are {', '.join(CLIENTS)}")
    return [CLIENTS[name] for name in dict.fromkeys(names)]


class _AgentSetup:
    """A project, with what was done to it before."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._record = runfiles.agent_record(root)
        self._done: dict[str, Any] = {"path": root, "clients": {}, "settings": {}}
        with suppress(ValueError, OSError):
            self._done |= json.loads(read_text(self._record) or "{}")

    def init(self, clients: list[AgentClient], *, is_chosen: bool) -> int:
        """Make the project ready; print what was done.  Return the exit code."""
        self._write_files(clients)
        failed = self._install(clients)
        if not clients and not is_chosen:
            print("clients: none of " + ", ".join(CLIENTS) + " is on the PATH")
        for client in used_clients() if not is_chosen else []:
            lines = command_lines(client, plugin_directory())
            print(f"{client.name}: not on the PATH; the plugin is installed by: {'; '.join(lines)}")
        self._bound_history()
        self._save()
        if not shutil.which("helios"):
            print(
                "helios is not on the PATH, where the hooks look for it: link it into ~/.local/bin"
            )
        print("take it back: helios agent remove")
        return 1 if failed else 0

    def remove(self, clients: list[AgentClient] | None) -> int:
        """Take back what `init` did, or only for some clients; print that.

        Return the exit code.
        """
        failed = False
        has_any = os.path.exists(self._record)
        if clients is not None:
            for client in clients:
                if client.name not in self._done["clients"]:
                    print(f"{client.name}: 'helios agent init' has not installed the plugin here")
        for name in list(self._done["clients"]):
            if clients is None or CLIENTS.get(name) in clients:
                failed |= not self._uninstall(name)
        if clients is None:
            for file in MARKED:
                # Without a record of it, a file with no other lines is taken for ours.
                is_made = file.name in self._done.get("made", [file.name])
                if leads_outside(self._root, file):
                    continue
                if take_block(self._root, file, is_made=is_made):
                    has_any = True
                    print(f"{file.name}: lines taken out")
            self._unbound_history()
            if not has_any:
                print(f"nothing of 'helios agent init' is in {self._root}")
        if failed or (clients is not None and has_any):
            self._save()
        else:
            with suppress(FileNotFoundError):
                os.unlink(self._record)
        return 1 if failed else 0

    def _write_files(self, clients: list[AgentClient]) -> None:
        files = [(AGENTS, INSTRUCTIONS)]
        has_claude = os.path.exists(os.path.join(self._root, CLAUDE.name))
        if (has_claude or CLIENTS["claude"] in clients) and not is_included(self._root):
            files.append((CLAUDE, INSTRUCTIONS))
        if not _takes_in_git_rules(self._root):
            files.append((IGNORE, _INCLUDE))
        made: list[str] = self._done.setdefault("made", [])
        for file, text in files:
            if leads_outside(self._root, file):
                print(f"{file.name}: a link that leads outside of the project: left as it is")
                continue
            done = put_block(self._root, file, text)
            if done == "made":
                made.append(file.name)
            what = "the rules of .gitignore" if file is IGNORE else "lines for agents"
            print(f"{file.name}: {what} {done or 'are there already'}")

    def _install(self, clients: list[AgentClient]) -> bool:
        """Install the plugin; return True if a client did not take it."""
        if not clients:
            return False
        plugin = plugin_directory()
        recorded: dict[str, dict[str, str | None]] = self._done["clients"]
        before = {
            client.name: recorded.get(client.name)
            or {path: read_text(os.path.join(self._root, path)) for path in client.project_files}
            for client in clients
        }

        def run(client: AgentClient) -> str:
            return install(client, plugin, self._root, is_again=client.name in recorded)

        # Each takes seconds, most of which it waits.
        with ThreadPoolExecutor(len(clients)) as pool:
            problems = list(pool.map(run, clients))
        for client, problem in zip(clients, problems, strict=True):
            if problem:
                print(f"{client.name}: the plugin is not installed: {problem}")
                print(f"  by hand: {'; '.join(command_lines(client, plugin))}")
                continue
            recorded[client.name] = before[client.name]
            where = "this project" if client.project_files else "all projects of this user"
            print(f"{client.name}: the plugin is installed, for {where}")
            if client.note:
                print(f"  {client.note}")
        return any(problems)

    def _uninstall(self, name: str) -> bool:
        """Remove the plugin from a client, unless another project needs it there."""
        client = CLIENTS[name]
        if not client.project_files and self._is_needed_elsewhere(name):
            print(f"{name}: the plugin stays, for other projects")
            del self._done["clients"][name]
            return True
        problem = uninstall(client, self._root)
        if problem:
            print(f"{name}: the plugin is not removed: {problem}")
            return False
        for path, old in self._done["clients"].pop(name).items():
            if not restore_json(os.path.join(self._root, path), old):
                print(f"{name}: {path} has changed since, and stays as it is")
        print(f"{name}: the plugin is removed")
        return True

    def _is_needed_elsewhere(self, name: str) -> bool:
        for path in runfiles.agent_records():
            if path == self._record:
                continue
            with suppress(ValueError, OSError):
                if name in json.loads(read_text(path) or "{}").get("clients", {}):
                    return True
        return False

    def _bound_history(self) -> None:
        """Set the keys that keep history from growing without end, where nobody has set them."""
        wanted = {"cleanup.auto_gc_enabled": "true", "storage.max_size": _size(self._root)}
        if not (find_view(self._root) or find_repository(self._root)):
            root = shlex.quote(self._root)
            print(f"history: 'helios mount {root}' makes it a workspace; then, for its bound, this")
            print(f"  again: cd {root} && helios agent init")
            return
        entries = json.loads(self._config("list", "--json"))
        for entry in entries:
            key = entry["key"]
            if key not in wanted:
                continue
            if entry["source"] == "default":
                self._config("set", key, wanted[key])
                self._done["settings"][key] = wanted[key]
                print(f"history: {key} = {wanted[key]}")
            else:
                print(f"history: {key} = {entry['text']}, as it was")

    def _unbound_history(self) -> None:
        for key, text in self._done["settings"].items():
            try:
                is_ours = self._config("get", key).strip() == text
                if is_ours:
                    self._config("unset", key)
            except HeliosError as error:
                print(f"history: {key}: {error}")
                continue
            print(f"history: {key} {'unset' if is_ours else 'has changed since, and stays'}")
        self._done["settings"] = {}

    def _config(self, *words: str) -> str:
        os.chdir(self._root)
        try:
            return ask_in_current_directory(["config", *words])
        except HeliosError as error:
            put_into_words(error)
            raise

    def _save(self) -> None:
        self._done["version"] = __version__
        runfiles.write_agent_record(self._root, json.dumps(self._done, indent=1))


def _takes_in_git_rules(root: str) -> bool:
    """Return True if a `.heliosignore` of the user's takes in git's rules already."""
    text = read_text(os.path.join(root, IGNORE.name)) or ""
    place = IGNORE.place(text)
    own = text if place is None else text[: place[0]] + text[place[1] :]
    return _INCLUDE in own.splitlines()


def _size(root: str) -> str:
    """Return the bound of a store: half of what is free, and no more than an amount of GB."""
    free = shutil.disk_usage(root).free
    return f"{max(1, min(_SIZE_MAX_GB, free // 2 // _GB))}GB"
