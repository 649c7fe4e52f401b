"""Agents that write `generated.py`, and break off when their task says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.standins.answers import next_answer


class AgentExecutor:
    """Stand-in for the class as it was before version 1."""

    def run(self, task: str) -> str:
        """Write, and fail after that if the task is to fail."""
        Path("generated.py").write_text(next_answer(task))
        if "fail" in task:
            raise RuntimeError("the agent broke off")
        return "done"


def create_agent(
    model: str, tools: list[Callable[..., str]], *, system_prompt: str = ""
) -> SimpleNamespace:
    """An agent of today: it calls each of its tools once."""
    assert model

    def invoke(state: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
        task = state["messages"][-1]["content"]
        for tool in tools:
            tool("generated.py", next_answer(task))
        if "fail" in task:
            raise RuntimeError("the agent broke off")
        return {"messages": [*state["messages"], SimpleNamespace(content="done")]}

    return SimpleNamespace(invoke=invoke)
