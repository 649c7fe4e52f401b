"""Stands in for the SDK of that name: the answers are small programs, one after another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.standins.answers import next_answer


class ChatCompletion:
    """Stand-in for the class as it was before version 1."""

    @staticmethod
    def create(*, model: str, messages: list[dict[str, str]], temperature: float = 1) -> Any:
        assert model and messages[-1]["role"] == "user" and 0 <= temperature <= 2
        message = SimpleNamespace(content=next_answer(messages[-1]["content"]))
        return SimpleNamespace(choices=[SimpleNamespace(message=message)])


class OpenAI:
    """The client of today, with its Responses API."""

    def __init__(self) -> None:
        self.responses = SimpleNamespace(create=self._create)

    @staticmethod
    def _create(*, model: str, input: str, instructions: str = "") -> Any:  # noqa: A002
        assert model
        return SimpleNamespace(output_text=next_answer(input))
