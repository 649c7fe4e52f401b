"""Stands in for the SDK of that name: an agent that writes one file where it works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.standins.answers import next_answer


@dataclass
class ClaudeAgentOptions:
    """Options that the samples use."""

    cwd: str | Path | None = None
    permission_mode: str | None = None
    allowed_tools: list[str] = field(default_factory=list)


@dataclass
class ResultMessage:
    """The last message."""

    result: str


async def query(*, prompt: str, options: ClaudeAgentOptions) -> AsyncIterator[ResultMessage]:
    """Work, and tell at the end."""
    assert options.permission_mode == "acceptEdits" and "Write" in options.allowed_tools
    Path(options.cwd or ".", "answer.py").write_text(next_answer(prompt))
    yield ResultMessage("done")
