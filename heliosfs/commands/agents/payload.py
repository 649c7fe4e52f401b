"""Payload of a hook: a JSON document of an agent's client, of which the end may be missing.

Claude Code, Codex, Gemini CLI, Qwen Code and Copilot call the same things by three sets of names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum

_DECODER = json.JSONDecoder()
_GAP = re.compile(r"[\s,:]*")
_WHOLE_PART = re.compile(r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*')
"""Characters of a JSON string up to its end, or to an escape that is cut off."""

HookPayload = dict[str, object]


class HookMoment(Enum):
    """Moment of a session at which a hook runs."""

    START = "start"
    PROMPT = "prompt"
    TOOLS = "tools"
    STOP = "stop"
    END = "end"
    WORKTREE_CREATE = "worktree-create"
    WORKTREE_REMOVE = "worktree-remove"


MOMENTS = {
    "SessionStart": HookMoment.START,
    "sessionStart": HookMoment.START,
    "UserPromptSubmit": HookMoment.PROMPT,
    "BeforeAgent": HookMoment.PROMPT,
    "userPromptSubmitted": HookMoment.PROMPT,
    "PostToolBatch": HookMoment.TOOLS,
    "PostToolUse": HookMoment.TOOLS,
    "PostToolUseFailure": HookMoment.TOOLS,
    "AfterTool": HookMoment.TOOLS,
    "postToolUse": HookMoment.TOOLS,
    "postToolUseFailure": HookMoment.TOOLS,
    "Stop": HookMoment.STOP,
    "StopFailure": HookMoment.STOP,
    "SubagentStop": HookMoment.STOP,
    "AfterAgent": HookMoment.STOP,
    "agentStop": HookMoment.STOP,
    "subagentStop": HookMoment.STOP,
    "Interrupt": HookMoment.END,
    "SessionEnd": HookMoment.END,
    "sessionEnd": HookMoment.END,
    "WorktreeCreate": HookMoment.WORKTREE_CREATE,
    "WorktreeRemove": HookMoment.WORKTREE_REMOVE,
}
"""Names of events, as the clients call them."""
_DIRECTORIES = ("cwd", "workingDirectory")
"""Members with the directory of the agent, as the clients call them."""


def read_payload(text: str) -> HookPayload:
    """Return the members of a JSON object, as far as the text goes.

    A document whose end is missing has the members before it, and the beginning of a string or a
    list.  What is no object is an empty one: a hook never fails for its input.

    >>> read_payload('{"session_id": "s", "tool_calls": [{"tool_name": "Edit"}, {"tool_na')
    {'session_id': 's', 'tool_calls': [{'tool_name': 'Edit'}]}
    """
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return dict(_members(text))
    return whole if isinstance(whole, dict) else {}


def confined(line: str, text: str) -> tuple[str, str]:
    """Return the line and the payload of an event in a sandbox, where there is one view only.

    The directory of the agent would choose another one.  Worktrees mean nothing there.

    >>> confined("Stop --client x", '{"cwd": "/ws/.helios/live/other", "session_id": "s"}')
    ('Stop --client x', '{"session_id": "s"}')
    >>> confined("WorktreeRemove", "{}")
    ('', '{}')
    """
    words = line.split()
    worktrees = (HookMoment.WORKTREE_CREATE, HookMoment.WORKTREE_REMOVE)
    if any(MOMENTS.get(word) in worktrees for word in words):
        return "", "{}"
    payload = {key: each for key, each in read_payload(text).items() if key not in _DIRECTORIES}
    return line, json.dumps(payload)


def _members(text: str) -> Iterator[tuple[str, object]]:
    at = text.find("{") + 1
    while at:
        try:
            key, at = _DECODER.raw_decode(text, _after_gap(text, at))
        except (ValueError, RecursionError):
            return
        if not isinstance(key, str):
            return
        at = _after_gap(text, at)
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            beginning = _beginning(text, at)
            if beginning is not None:
                yield key, beginning
            return
        yield key, value


def _beginning(text: str, at: int) -> object:
    """Return the first part of a value that has no end; None if it is no string and no list."""
    if text.startswith('"', at):
        part = _WHOLE_PART.match(text, at + 1)
        assert part is not None
        return json.loads(f'"{part[0]}"', strict=False)
    if not text.startswith("[", at):
        return None
    items: list[object] = []
    at += 1
    while True:
        try:
            item, at = _DECODER.raw_decode(text, _after_gap(text, at))
        except (ValueError, RecursionError):
            return items
        items.append(item)


def _after_gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    assert found is not None
    return found.end()


def text_at(payload: HookPayload, *keys: str) -> str:
    """Return the first of these members that is a text; "" if none is."""
    for key in keys:
        value = payload.get(key)
        if isinstance(value, str) and value:
            return value
    return ""


def one_line(text: str, width: int) -> str:
    r"""Return the first line of a text that has words, without what a terminal would obey.

    >>> one_line("\n  Fix   the\tparser \nthen test", 60)
    'Fix the parser'
    >>> one_line("one two three", 9)
    'one two …'
    """
    line = next((part for part in text.splitlines() if part.strip()), "")
    # Half of a surrogate pair, which JSON can contain, is not printable either.
    line = "".join(letter for letter in line if letter.isprintable() or letter.isspace())
    line = " ".join(line.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def tool_names(payload: HookPayload) -> list[str]:
    """Return the tools that were called, in order, each as often as it was called."""
    calls = payload.get("tool_calls")
    found = calls if isinstance(calls, list) else [payload]
    names = [
        one_line(text_at(call, "tool_name", "toolName"), 60)
        for call in found
        if isinstance(call, dict)
    ]
    return [name for name in names if name]


def counted(names: list[str]) -> str:
    """Return names with the number of times that each occurs.

    >>> counted(["Edit", "Bash", "Edit"])
    'Edit x2, Bash'
    """
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return ", ".join(f"{name} x{count}" if count > 1 else name for name, count in counts.items())
