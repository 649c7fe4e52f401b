"""Stands in for the SDK of that name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.standins.answers import next_answer


class Anthropic:
    """The client, with its Messages API."""

    def __init__(self) -> None:
        self.messages = SimpleNamespace(create=self._create)

    @staticmethod
    def _create(*, model: str, max_tokens: int, messages: list[dict[str, str]]) -> Any:
        assert model and max_tokens > 0 and messages[-1]["role"] == "user"
        text = next_answer(messages[-1]["content"])
        return SimpleNamespace(content=[SimpleNamespace(type="text", text=text)])
