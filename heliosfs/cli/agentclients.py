"""Clients of agents that `helios agent` knows: how each of them installs a plugin."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NamedTuple

import heliosfs
from heliosfs.errors import NotFound

PLUGIN = "{plugin}"
"""Word of a command that stands for the directory of the plugin."""
_SELECTOR = "helios@heliosfs"
_INSTALL_SECONDS = 180


class AgentClient(NamedTuple):
    """A client of agents, and the commands by which it installs and removes the plugin."""

    name: str
    home: str
    """Directory in the user's home by which a client that is not on the PATH is recognized."""
    install: tuple[tuple[str, ...], ...]
    remove: tuple[tuple[str, ...], ...]
    project_files: tuple[str, ...] = ()
    """Files of the project that these commands change; empty if they change the user's alone."""
    answer: str = ""
    """Answer to the question that the client asks when it installs."""
    note: str = ""
    """Thing that the user has to do after that."""


_LOCAL = ("--scope", "local")
CLIENTS = {
    client.name: client
    for client in (
        AgentClient(
            "claude",
            ".claude",
            (
                ("plugin", "marketplace", "add", PLUGIN, *_LOCAL),
                ("plugin", "install", _SELECTOR, *_LOCAL),
            ),
            (
                ("plugin", "uninstall", _SELECTOR, *_LOCAL),
                ("plugin", "marketplace", "remove", "heliosfs", *_LOCAL),
            ),
            project_files=(".claude/settings.local.json",),
        ),
        AgentClient(
            "codex",
            ".codex",
            (("plugin", "marketplace", "add", PLUGIN), ("plugin", "add", _SELECTOR)),
            (("plugin", "remove", _SELECTOR), ("plugin", "marketplace", "remove", "heliosfs")),
            note="codex asks once whether it may run the hooks: type /hooks in it",
        ),
        AgentClient(
            "gemini",
            ".gemini",
            (("extensions", "link", f"{PLUGIN}/gemini", "--consent"),),
            (("extensions", "uninstall", "helios"),),
        ),
        AgentClient(
            "qwen",
            ".qwen",
            (("extensions", "link", PLUGIN),),
            (("extensions", "uninstall", "helios"),),
            answer="y\n",
        ),
        AgentClient(
            "copilot",
            ".copilot",
            (("plugin", "marketplace", "add", PLUGIN), ("plugin", "install", _SELECTOR)),
            (("plugin", "uninstall", _SELECTOR), ("plugin", "marketplace", "remove", "heliosfs")),
        ),
    )
}


def plugin_directory() -> str:
    """Return the directory of the plugin: that of the installed package, or of the sources.

    Raise NotFound.
    """
    package = os.path.dirname(os.path.abspath(heliosfs.__file__))
    sources = os.path.join(os.path.dirname(package), "integrations", "plugin")
    for path in (os.path.join(package, "plugin"), sources):
        if os.path.isfile(os.path.join(path, "hooks", "hooks.json")):
            return path
    raise NotFound(f"the plugin is not where it was installed: {sources}")


def found_clients() -> list[AgentClient]:
    """Return the clients whose program is on the PATH."""
    return [client for client in CLIENTS.values() if shutil.which(client.name)]


def used_clients() -> list[AgentClient]:
    """Return the clients that this user has used, and whose program is not on the PATH."""
    return [
        client
        for client in CLIENTS.values()
        if not shutil.which(client.name) and os.path.isdir(os.path.expanduser(f"~/{client.home}"))
    ]


def command_lines(client: AgentClient, plugin: str) -> list[str]:
    """Return the commands that install the plugin, for a person to run."""
    import shlex

    return [shlex.join([client.name, *_filled(words, plugin)]) for words in client.install]


def install(client: AgentClient, plugin: str, directory: str, *, is_again: bool) -> str:
    """Install the plugin; return why that failed, or "".

    `is_again` brings an installed one up to date: a client may keep a copy of its files.
    """
    if not is_again:
        problem = _run_all(client, client.install, plugin, directory)
        if not problem:
            return ""
    # It may be installed in a way that nobody recorded, and a client may refuse a second time.
    uninstall(client, directory)
    return _run_all(client, client.install, plugin, directory)


def uninstall(client: AgentClient, directory: str) -> str:
    """Remove the plugin; return why that failed, or ""."""
    problems = [_run(client, list(words), directory) for words in client.remove]
    return next(filter(None, problems), "")


def _run_all(
    client: AgentClient, commands: tuple[tuple[str, ...], ...], plugin: str, directory: str
) -> str:
    """Run commands of a client until one fails; return what it said then, or ""."""
    for words in commands:
        problem = _run(client, _filled(words, plugin), directory)
        if problem:
            return problem
    return ""


def _filled(words: tuple[str, ...], plugin: str) -> list[str]:
    return [word.replace(PLUGIN, plugin) for word in words]


def _run(client: AgentClient, words: list[str], directory: str) -> str:
    """Run a command of a client in a directory; return the last line that it said if it failed."""
    try:
        done = subprocess.run(
            [client.name, *words],
            cwd=directory,
            input=client.answer,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return f"{client.name} is not on the PATH"
    except (OSError, subprocess.SubprocessError) as error:
        return f"{client.name} {words[0]}: {error}"
    if not done.returncode:
        return ""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"{client.name} {' '.join(words[:2])}: {said[-1] if said else 'failed'}"
