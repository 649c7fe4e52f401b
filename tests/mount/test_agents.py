"""Agents in a mounted workspace: the hooks of their clients, through the launcher."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.mount.conftest import Mounted
from tests.mount.programs import LAUNCHER, SECONDS, run, shell

DATA = Path(__file__).parents[1] / "data/agents"
PLUGIN = Path(__file__).parents[2] / "integrations/plugin"


def recorded(client: str, event: str) -> dict[str, object]:
    for line in (DATA / f"{client}.jsonl").read_text().splitlines():
        payload: dict[str, object] = json.loads(line)
        if payload["hook_event_name"] == event:
            return payload
    raise LookupError(event)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the PATH with the launcher of these sources, and its Python side."""
    directory = tmp_path / "bin"
    directory.mkdir()
    shutil.copy(LAUNCHER, directory / "helios")
    python = sys.executable
    (directory / "helios-py").write_text(
        f'#!/bin/sh\nPYTHONPATH={Path(__file__).parents[2]} exec {python} -m heliosfs.cli "$@"\n'
    )
    (directory / "helios-py").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return directory


class Client:
    """A client of agents with the plugin's hooks for Claude Code, which runs in a directory."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.hooks = json.loads((PLUGIN / "hooks/hooks.json").read_text())["hooks"]

    def tell(self, event: str, *, at: Path | None = None, **members: object) -> str:
        """Run the hooks of an event, as the client does: a shell, and JSON on standard input."""
        done = self.send(event, json.dumps(recorded("claude", event) | members), at)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def send(
        self, event: str, text: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        [group] = self.hooks[event]
        [hook] = group["hooks"]
        return subprocess.run(
            ["sh", "-c", hook["command"]],
            cwd=cwd or self.cwd,
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


@pytest.fixture
def client(mounted: Mounted, path: Path) -> Client:
    return Client(mounted.path)


def test_a_session_that_edits_through_a_shell_is_rewound(mounted: Mounted, client: Client) -> None:
    ws = mounted.path
    context = json.loads(client.tell("SessionStart"))["hookSpecificOutput"]["additionalContext"]
    assert "helios rewind 1" in context
    (ws / "kept").write_text("by the user\n")
    for number, prompt in enumerate(("Add a parser", "Break it"), 1):
        members: dict[str, Any] = {"prompt": prompt, "prompt_id": str(number), "cwd": str(ws)}
        assert client.tell("UserPromptSubmit", **members) == ""
        shell(
            f"mkdir -p deep/{number}; echo {number} | tee -a all deep/{number}/new; rm -f kept", ws
        )
        assert client.tell("PostToolBatch", prompt_id=str(number)) == ""
        assert client.tell("Stop", prompt_id=str(number)) == ""
    assert sorted(os.listdir(ws / "deep")) == ["1", "2"]
    said = run("helios", "rewind", "break", cwd=ws).stdout
    assert "before 'Break it'" in said
    assert (ws / "all").read_text() == "1\n"
    assert os.listdir(ws / "deep") == ["1"]
    run("helios", "undo", cwd=ws)
    assert (ws / "all").read_text() == "1\n2\n"
    run("helios", "rewind", "2", cwd=ws)
    assert sorted(os.listdir(ws)) == ["kept"]
    assert (ws / "kept").read_text() == "by the user\n"


def test_eight_subagents_at_once(mounted: Mounted, client: Client) -> None:
    ws = mounted.path
    (ws / "base").write_text("0\n")
    client.tell("UserPromptSubmit")

    def subagent(number: int) -> str:
        name = f"agent-{number}"
        place = Path(client.tell("WorktreeCreate", name=name).rstrip("\n"))
        assert place == ws / ".helios/live" / name
        where: dict[str, Any] = {"cwd": str(place), "agent_id": f"id{number}"}
        for step in range(3):
            (place / f"of {number}").write_text(f"{step}\n")
            client.tell("PostToolBatch", at=place, **where)
        # As a client does that runs its hooks where it was started.
        (place / "last").write_text(f"{number}\n")
        client.tell("SubagentStop", **where)
        return run("helios", "log", "--format=%s", "-3", cwd=place).stdout

    with ThreadPoolExecutor(8) as pool:
        logs = list(pool.map(subagent, range(8)))
    assert logs == ["Changed b.py.\n" + "Write, Bash\n" * 2] * 8
    assert sorted(os.listdir(ws)) == ["base"]
    for number in range(8):
        place = ws / ".helios/branches" / f"agent-{number}"
        assert sorted(os.listdir(place)) == sorted(["base", "last", f"of {number}"])
        told = client.tell("WorktreeRemove", worktree_path=str(place))
        assert "is kept" in json.loads(told)["systemMessage"]
    for number in range(8):
        run("helios", "merge", "-X", "theirs", f"agent-{number}", cwd=ws)
        place = ws / ".helios/live" / f"agent-{number}"
        assert client.tell("WorktreeRemove", worktree_path=str(place)) == ""
    assert run("helios", "branch", cwd=ws).stdout == "* main\n"


def test_eight_subagents_in_one_directory(mounted: Mounted, client: Client) -> None:
    ws = mounted.path
    client.tell("UserPromptSubmit")

    def subagent(number: int) -> None:
        for step in range(3):
            (ws / f"of {number}").write_text(f"{step}\n")
            client.tell("PostToolBatch", agent_id=f"id{number}", agent_type="general-purpose")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(subagent, range(8)))
    assert run("helios", "status", "--short", cwd=ws).stdout == ""
    run("helios", "rewind", "1", cwd=ws)
    assert os.listdir(ws) == []


def test_outside_of_a_workspace_all_of_a_payload_is_read(tmp_path: Path, path: Path) -> None:
    client = Client(tmp_path)
    long = json.dumps({"prompt": "x" * 1_000_000})
    for event in ("SessionStart", "UserPromptSubmit", "PostToolBatch", "Stop", "SessionEnd"):
        done = client.send(event, long)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_long_payload_and_none(mounted: Mounted, client: Client) -> None:
    (mounted.path / "a").write_text("1")
    client.tell("PostToolBatch", more="x" * 3_000_000)
    assert "    Write, Bash\n" in run("helios", "log", cwd=mounted.path).stdout
    (mounted.path / "a").write_text("2")
    for text in ("", "no JSON", "{"):
        done = client.send("Stop", text)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "    the agent stopped\n" in run("helios", "log", cwd=mounted.path).stdout


def test_a_dead_mount_and_one_that_is_gone_do_not_hurt(mounted: Mounted, client: Client) -> None:
    inside = subprocess.Popen(
        ["sh", "-c", "read line; printf '{}' | helios hook Stop"],
        cwd=mounted.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    mounted.kill9()
    assert inside.communicate(b"\n", timeout=SECONDS) == (b"", b"")
    assert inside.returncode == 0
    mounted.mount()
    mounted.unmount()
    assert client.send("Stop", "{}").returncode == 0


@pytest.mark.parametrize("streams", ["<&-", ">&-", "> /dev/full", "<&- >&- 2>&-"])
@pytest.mark.parametrize("event", ["SessionStart", "Stop", "WorktreeRemove"])
def test_streams_that_are_closed_or_full_do_not_hurt(
    mounted: Mounted, tmp_path: Path, path: Path, event: str, streams: str
) -> None:
    for place in (mounted.path, tmp_path):
        words = ["sh", "-c", f"helios hook {event} {streams}"]
        done = subprocess.run(
            words,
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_worktree_that_cannot_be_made_has_an_exit_code(mounted: Mounted, client: Client) -> None:
    (mounted.path / "a").write_text("1")
    done = client.send("WorktreeCreate", json.dumps({"name": "a b"}))
    assert (done.returncode, done.stdout) == (1, "")
    assert "a b" in done.stderr


def test_where_no_workspace_is_git_makes_the_worktree(tmp_path: Path, path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    who = "-c user.name=n -c user.email=e@x"
    shell(f"git init -q && git {who} commit -q --allow-empty -m x", project)
    client = Client(project)
    done = client.send("WorktreeCreate", json.dumps({"name": "idea"}))
    assert done.returncode == 0, done.stderr
    place = project / ".claude/worktrees/idea"
    assert done.stdout == f"{place}\n"
    assert (place / ".git").is_file()
    (place / "new").write_text("1")
    text = json.dumps({"worktree_path": str(place)})
    assert "systemMessage" in json.loads(client.send("WorktreeRemove", text).stdout)
    (place / "new").unlink()
    assert client.send("WorktreeRemove", text).stdout == ""
    assert not place.exists()
    outside = Client(tmp_path).send("WorktreeCreate", json.dumps({"name": "idea"}))
    assert outside.returncode == 1
