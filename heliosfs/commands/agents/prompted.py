"""Prompts in a history, as the commits of hooks tell, and the commit before each of them."""

from __future__ import annotations

from dataclasses import dataclass

from heliosfs.commands.agent_trace import AgentTrace, trace_of
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo.history import History
from heliosfs.steps import TURN, Steps

SEARCHED_MAX = 20_000
"""Number of commits in which prompts are looked for."""


@dataclass(slots=True)
class PromptedChange:
    """A prompt, with the commits that were made for it."""

    key: tuple[str, str]
    """Session and turn."""
    prompt: str
    agent: str
    session: str
    seconds: int
    """Moment of its newest commit, in seconds since the epoch."""
    offset_minutes: int
    newest: CommitId
    before: CommitId | None = None
    """Commit with everything as it was when the prompt came; None if there was none."""
    commit_count: int = 0


def prompted_changes(history: History, head: CommitId | None) -> Steps[list[PromptedChange]]:
    """Return the prompts for which files were changed, the newest first, in steps.

    Only first parents are followed: what was merged came by the prompts of another branch.
    """
    found: dict[tuple[str, str], PromptedChange] = {}
    oid = head
    for _ in range(SEARCHED_MAX):
        if oid is None:
            break
        yield TURN
        commit = history.read(oid)
        trace = trace_of(commit)
        if trace is not None:
            _note(found, oid, commit, trace)
        oid = commit.parents[0] if commit.parents else None
    return list(found.values())


def _note(
    found: dict[tuple[str, str], PromptedChange], oid: CommitId, commit: Commit, trace: AgentTrace
) -> None:
    parent = commit.parents[0] if commit.parents else None
    if trace.is_before:
        of_this = found.get((trace.session, trace.turn))
        if of_this is not None:
            # The walk goes back in time: this commit is older than those of the prompt.
            of_this.before = oid
        if not trace.after_turn:
            return
    elif not trace.turn:
        return
    turn = trace.after_turn if trace.is_before else trace.turn
    key = (trace.session, turn)
    change = found.get(key)
    if change is None:
        change = found[key] = PromptedChange(
            key,
            trace.cause,
            trace.agent,
            trace.short_session,
            commit.committer.seconds,
            commit.committer.offset_minutes,
            oid,
        )
    change.commit_count += 1
    change.before = parent


def matching(changes: list[PromptedChange], words: list[str]) -> list[PromptedChange]:
    """Return the prompts that contain all of the words, in any order and case."""
    wanted = [word.casefold() for word in words]
    return [each for each in changes if all(word in each.prompt.casefold() for word in wanted)]
