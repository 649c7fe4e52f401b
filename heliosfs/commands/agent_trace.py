"""Metadata by which a commit says which agent made it, in which session, for which prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from heliosfs.objects.commit import Commit

AGENT = "agent"
SESSION = "session"
PROMPT = "prompt"
TURN = "turn"
EVENT = "event"
BY_ITSELF = "commit"
"""Event of a commit that no hook made, while an agent worked on a prompt."""
TOOLS = "tools"
SUBAGENT = "subagent"
AFTER = "after"
"""Key of the interrupted prompt after which the changes were made, in a commit before another."""
AFTER_TURN = "after-turn"

_SHORT = 8
"""Number of letters of a session's id that people read."""


class AgentTrace(NamedTuple):
    """Metadata of a commit about the agent that made its changes."""

    agent: str
    session: str
    turn: str
    prompt: str
    """Beginning of the prompt for which the changes were made; "" if it is not known."""
    subagent: str
    is_before: bool
    """True if the changes were there when the prompt came, and so were not made for it."""
    after: str
    """The prompt that was interrupted before, for which they may have been made; "" if none was."""
    after_turn: str

    @property
    def short_session(self) -> str:
        """The beginning of the session's id."""
        return self.session[:_SHORT]

    @property
    def who(self) -> str:
        """Agent and session, and the subagent if it was one, for people."""
        name = f"{self.agent} {self.short_session}".rstrip()
        return f"{name}, {self.subagent}" if self.subagent else name

    @property
    def cause(self) -> str:
        """The prompt for which the changes were made; "" if they were made for none."""
        return self.after if self.is_before else self.prompt

    @property
    def is_made(self) -> bool:
        """Return True if an agent made the changes."""
        return not self.is_before or bool(self.after_turn)


def trace_of(commit: Commit) -> AgentTrace | None:
    """Return what a commit says of an agent; None if none was at work."""
    metadata: Mapping[str, str] = commit.metadata
    if AGENT not in metadata or EVENT not in metadata:
        return None

    def said(key: str) -> str:
        return metadata.get(key, "")

    return AgentTrace(
        agent=said(AGENT),
        session=said(SESSION),
        turn=said(TURN),
        prompt=said(PROMPT),
        subagent=said(SUBAGENT),
        is_before=said(EVENT) == "prompt",
        after=said(AFTER),
        after_turn=said(AFTER_TURN),
    )
