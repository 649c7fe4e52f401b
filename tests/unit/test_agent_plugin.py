"""The plugin for agents: each file is as its client reads it, and calls what there is.

The fields are those that the packages of the clients declare: `sdk.d.ts` of claude-agent-sdk
0.3.332 and `claude plugin validate` 2.1.332, the schemas in codex 0.171.0, the documentation in
gemini-cli 0.61.0 and qwen-code 0.15.10, and `types.d.ts` in copilot 1.0.102.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from heliosfs import __version__
from heliosfs.cli.agentclients import CLIENTS
from heliosfs.commands.agents.payload import MOMENTS
from heliosfs.commands.table import VERBS

PLUGIN = Path(__file__).parents[2] / "integrations/plugin"

EVENTS = {
    "claude": {
        "PreToolUse", "PostToolUse", "PostToolUseFailure", "PostToolBatch", "Notification",
        "UserPromptSubmit", "UserPromptExpansion", "SessionStart", "SessionEnd", "Stop",
        "StopFailure", "SubagentStart", "SubagentStop", "PreCompact", "PostCompact",
        "PermissionRequest", "PermissionDenied", "Setup", "TeammateIdle", "TaskCreated",
        "TaskCompleted", "Elicitation", "ElicitationResult", "ConfigChange", "WorktreeCreate",
        "WorktreeRemove", "InstructionsLoaded", "CwdChanged", "FileChanged", "DirectoryAdded",
    },
    "codex": {
        "PreToolUse", "PermissionRequest", "PostToolUse", "PreCompact", "PostCompact",
        "SessionStart", "SessionEnd", "UserPromptSubmit", "SubagentStart", "SubagentStop", "Stop",
        "Interrupt",
    },
    "gemini": {
        "BeforeTool", "AfterTool", "BeforeAgent", "AfterAgent", "BeforeModel", "AfterModel",
        "BeforeToolSelection", "SessionStart", "SessionEnd", "Notification", "PreCompress",
    },
    "qwen": {
        "PreToolUse", "PostToolUse", "PostToolUseFailure", "UserPromptSubmit", "SessionStart",
        "SessionEnd", "Stop", "SubagentStart", "SubagentStop", "PreCompact", "Notification",
        "PermissionRequest",
    },
    "copilot": {
        "preToolUse", "postToolUse", "postToolUseFailure", "userPromptSubmitted", "sessionStart",
        "sessionEnd", "errorOccurred", "agentStop", "subagentStart", "subagentStop", "preCompact",
        "notification", "permissionRequest",
    },
}  # fmt: skip
"""Events of each client, as its package declares them."""
HOOKS = {
    "claude": "hooks/hooks.json",
    "codex": "hooks/codex.json",
    "gemini": "gemini/hooks/hooks.json",
    "qwen": "hooks/qwen.json",
    "copilot": "hooks/copilot.json",
}
TIMEOUTS = {"claude": 30, "codex": 30, "gemini": 30_000, "qwen": 30_000}
"""Half a minute, in the unit that each client counts in; Codex allows three seconds at an end."""
MANIFESTS = (
    ".claude-plugin/plugin.json",
    ".codex-plugin/plugin.json",
    ".github/plugin/plugin.json",
    "gemini/gemini-extension.json",
    "qwen-extension.json",
)


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((PLUGIN / name).read_text())
    return document


def commands(client: str) -> dict[str, str]:
    """The command of each event of a client."""
    document = read(HOOKS[client])
    assert document.keys() <= {"description", "hooks", "version"}
    found = {}
    for event, groups in document["hooks"].items():
        [group] = groups
        if client == "copilot":
            assert group.keys() == {"type", "bash", "timeoutSec"}
            assert (group["type"], group["timeoutSec"]) == ("command", 30)
            # It runs the hooks of a plugin in the plugin's own directory.
            entered, _, called = group["bash"].partition(" && ")
            assert entered == 'cd "${COPILOT_PROJECT_DIR:-.}"'
            found[event] = called
            continue
        # Without a matcher, it is for every tool and every source.
        assert group.keys() == {"hooks"}
        [hook] = group["hooks"]
        assert hook.keys() == {"type", "command", "timeout"}
        is_short = client == "codex" and event in {"SessionEnd", "Interrupt"}
        assert (hook["type"], hook["timeout"]) == ("command", 3 if is_short else TIMEOUTS[client])
        found[event] = hook["command"]
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_hooks_call_helios_with_the_event(client: str) -> None:
    found = commands(client)
    assert found.keys() <= EVENTS[client]
    assert found.keys() <= MOMENTS.keys()
    for event, command in found.items():
        assert shlex.split(command) == ["helios", "hook", event, "--client", client]
    moments = {MOMENTS[event].value for event in found}
    assert moments >= {"start", "prompt", "tools", "stop", "end"}
    assert ("worktree-create" in moments) == (client == "claude")


@pytest.mark.parametrize("client", CLIENTS)
def test_every_event_of_the_hooks_has_a_recorded_payload(client: str) -> None:
    path = Path(__file__).parents[1] / f"data/agents/{client}.jsonl"
    recorded = {
        payload.get("event") or payload["hook_event_name"]
        for payload in map(json.loads, path.read_text().splitlines())
    }
    # A failed tool differs from others in fields that are not read.
    assert commands(client).keys() - recorded <= {"PostToolUseFailure", "postToolUseFailure"}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests(name: str) -> None:
    manifest = read(name)
    assert manifest["name"] == "helios"
    assert manifest["version"] == __version__
    for key in ("hooks", "skills"):
        if key in manifest:
            root = PLUGIN if name != "gemini/gemini-extension.json" else PLUGIN / "gemini"
            assert (root / manifest[key]).exists()
    if name.startswith(".codex"):
        # Codex takes no other paths.
        assert manifest["hooks"].startswith("./")
        assert manifest["skills"].startswith("./")
        assert len(manifest["interface"]["defaultPrompt"]) <= 3


def test_marketplace() -> None:
    market = read(".claude-plugin/marketplace.json")
    assert market["name"] == "heliosfs"
    assert market["owner"]["name"]
    [plugin] = market["plugins"]
    assert (plugin["name"], plugin["source"]) == ("helios", "./")


@pytest.mark.parametrize(
    "path", sorted(PLUGIN.rglob("SKILL.md")), ids=lambda path: str(path.parent.name)
)
def test_skills(path: Path) -> None:
    text = path.read_text()
    _, head, body = text.split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    assert fields.keys() <= {"name", "description", "argument-hint"}
    assert fields["name"] == path.parent.name
    assert re.fullmatch(r"[a-z0-9-]{1,64}", fields["name"])
    assert len(fields["description"]) <= 1024
    assert ": " not in fields["description"], "it would be a mapping in YAML"
    called = set(re.findall(r"helios ([a-z-]+)", body))
    assert called - {"workspace", "answers"} <= {*VERBS, "agent"}
    assert "rewind" in called


def test_gemini_has_the_same_skills() -> None:
    names = {path.relative_to(PLUGIN / "skills") for path in (PLUGIN / "skills").rglob("*.md")}
    copies = {
        path.relative_to(PLUGIN / "gemini/skills")
        for path in (PLUGIN / "gemini/skills").rglob("*.md")
    }
    assert names == copies
    for name in names:
        assert (PLUGIN / "skills" / name).read_bytes() == (
            PLUGIN / "gemini/skills" / name
        ).read_bytes()
