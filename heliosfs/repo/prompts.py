"""Prompts that agents are working on, as their hooks told: memory of the daemon, not of the store.

A hook after a tool call names its session, but not the words of the prompt.  They are remembered
from the hook before it.
"""

from __future__ import annotations

from typing import NamedTuple

_SESSIONS_MAX = 256
"""Number of sessions that are remembered; the one that was silent for longest goes first."""


class AgentPrompt(NamedTuple):
    """A prompt of a session."""

    turn: str
    """Id of the prompt within its session."""
    text: str
    """Beginning of the prompt, in one line."""
    is_answered: bool = False
    """True once the agent has stopped by itself; it does not tell of an interrupt."""


class PromptMemory:
    """The last prompt of each session."""

    def __init__(self) -> None:
        self._prompts: dict[str, AgentPrompt] = {}
        self._open: dict[int, dict[str, str]] = {}
        """By slot of a view: metadata about the prompt that an agent is working on there."""

    def open(self, slot: int, metadata: dict[str, str]) -> None:
        """Remember that an agent works on a prompt in a view, until `close` or the next one."""
        self._open[slot] = metadata

    def close(self, slot: int) -> None:
        """Remember that the agent is done."""
        self._open.pop(slot, None)

    def open_at(self, slot: int) -> dict[str, str]:
        """Return metadata for a commit made in a view meanwhile; empty if no agent works there."""
        return self._open.get(slot, {})

    def last(self, session: str) -> AgentPrompt | None:
        """Return the last prompt of a session; None if it is not known."""
        return self._prompts.get(session)

    def note(self, session: str, prompt: AgentPrompt) -> None:
        """Remember the prompt as the last one of its session."""
        self._prompts.pop(session, None)
        self._prompts[session] = prompt
        if len(self._prompts) > _SESSIONS_MAX:
            del self._prompts[next(iter(self._prompts))]
