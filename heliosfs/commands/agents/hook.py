"""`hook`: what an agent's client tells, and the commit that is made of it."""

from __future__ import annotations

import json
import re

from heliosfs.commands import agent_trace as trace
from heliosfs.commands.agents.payload import (
    MOMENTS,
    HookMoment,
    HookPayload,
    counted,
    one_line,
    read_payload,
    text_at,
    tool_names,
)
from heliosfs.commands.agents.worktree import create_worktree, remove_worktree
from heliosfs.commands.options import Options
from heliosfs.commands.verb import Request
from heliosfs.errors import NothingToCommit
from heliosfs.repo.prompts import AgentPrompt
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View

_PROMPT_WIDTH = 200
_SUBJECT_WIDTH = 72
_DEFAULT_AGENT = "agent"
_LAST_WORDS = ("last_assistant_message", "prompt_response", "response", "finalMessage")
"""Members with what the agent said in the end, as the clients call them."""
_HOOK_CONTEXT = re.compile(r"\A\s*<hook_context>.*?</hook_context>\s*", re.DOTALL)
_LIVE = "/.helios/live/"
_RECALLED_MAX = 20
"""Number of commits in which the prompt of a session is looked for after a remount."""

_CONTEXT = """\
This directory is a helios workspace, on {place}: hooks commit all files at every prompt and after \
every batch of tool calls ({newest}).
History: 'helios log --agent' (which prompt made what), 'helios blame --agent FILE', 'helios diff \
REV'; old files are in .helios/snapshots/REV/.
Go back: 'helios rewind 1' to before the last prompt that changed files, 'helios rewind' lists \
them, 'helios undo' takes it back. That covers what shells and scripts wrote, too."""


def hook(request: Request, options: Options) -> str:
    """Make the commit that an event asks for; return what the client reads, or "".

    An event that means nothing here has no effect.  Cost: 10 us if nothing changed, else those of
    a commit.  Raise the errors of a commit.
    """
    options.at_most(1)
    if not options.words:
        raise options.misuse("name the event")
    moment = MOMENTS.get(options.words[0])
    if moment is None:
        return ""
    payload = read_payload(options.value("payload") or "{}")
    agent = one_line(options.value("client") or _DEFAULT_AGENT, 40) or _DEFAULT_AGENT
    request = request._replace(view=_view_of(request, payload))
    if moment is HookMoment.START:
        return _context(request, agent, options.words[0])
    if moment is HookMoment.WORKTREE_CREATE:
        return create_worktree(request, payload, lambda name: _save_for(request, agent, name))
    if moment is HookMoment.WORKTREE_REMOVE:
        return remove_worktree(request, payload)
    _commit(request, moment, agent, payload)
    return ""


def _view_of(request: Request, payload: HookPayload) -> View:
    """Return the view in which the agent works: that of its directory, if it is another one.

    A client may run its hooks where it was started, while the agent is in a live view.
    """
    repository = request.repository
    place, _, below = text_at(payload, "cwd", "workingDirectory").partition(_LIVE)
    if not below or not repository.path or place != repository.path:
        return request.view
    name = below
    while name:
        branch = repository.refs.find(name)
        if branch is not None:
            view = repository.view_of(branch)
            return view if view is not None else repository.live_view(name)
        name = name.rpartition("/")[0]
    return request.view


def _commit(request: Request, moment: HookMoment, agent: str, payload: HookPayload) -> None:
    repository, view = request.repository, request.view
    session = one_line(text_at(payload, "session_id", "sessionId"), 80)
    subagent = _subagent(payload)
    last = _last_prompt(repository, view, session)
    if moment is HookMoment.PROMPT and last is not None and _continues(last, payload):
        moment = HookMoment.TOOLS
    metadata = {trace.AGENT: agent, trace.EVENT: moment.value}
    if session:
        metadata[trace.SESSION] = session
    if moment is HookMoment.PROMPT:
        prompt = _new_prompt(repository, payload)
        message = f"before: {one_line(prompt.text, _SUBJECT_WIDTH - 8) or 'a prompt'}"
        if last is not None and not last.is_answered:
            metadata |= {trace.AFTER: last.text, trace.AFTER_TURN: last.turn}
    else:
        prompt = _prompt_of(last, payload)
        message = _message(moment, payload, prompt)
    if prompt.turn:
        metadata[trace.TURN] = prompt.turn
    if prompt.text:
        metadata[trace.PROMPT] = prompt.text
    if names := tool_names(payload):
        metadata[trace.TOOLS] = one_line(",".join(dict.fromkeys(names)), _PROMPT_WIDTH)
    if subagent:
        metadata[trace.SUBAGENT] = subagent
    _note_open(repository, view, moment, metadata)
    if session:
        # A subagent that stops, or that goes on in the background, leaves the prompt open.
        is_stop = moment is HookMoment.STOP and not subagent
        is_answered = prompt.is_answered or (is_stop and not payload.get("background_tasks"))
        repository.prompts.note(session, prompt._replace(is_answered=is_answered))
    save(view, message, metadata, is_first=moment is HookMoment.PROMPT and view.head is None)


def _note_open(
    repository: Repository, view: View, moment: HookMoment, metadata: dict[str, str]
) -> None:
    """Let the commits that the agent, or a tool of it, makes by itself name the prompt, too."""
    if moment is HookMoment.PROMPT:
        keys = (trace.AGENT, trace.SESSION, trace.TURN, trace.PROMPT)
        said = {key: metadata[key] for key in keys if key in metadata}
        repository.prompts.open(view.slot, said | {trace.EVENT: trace.BY_ITSELF})
    elif moment in (HookMoment.STOP, HookMoment.END) and trace.SUBAGENT not in metadata:
        repository.prompts.close(view.slot)


def save(view: View, message: str, metadata: dict[str, str], *, is_first: bool = False) -> None:
    """Commit everything in a view, if anything changed and no merge is open.

    `is_first` makes the commit also if nothing is there yet, so that there is a way back.
    """
    if view.merging is not None:
        # A commit would conclude the merge, with its conflicts.
        return
    content = view.selected() if view.stage.root is not None else None
    try:
        view.commit(message, allow_empty=is_first, metadata=metadata, content=content)
    except NothingToCommit:
        return


def _save_for(request: Request, agent: str, name: str) -> None:
    metadata = {trace.AGENT: agent, trace.EVENT: HookMoment.WORKTREE_CREATE.value}
    save(request.view, f"before: worktree {name}", metadata)


def _new_prompt(repository: Repository, payload: HookPayload) -> AgentPrompt:
    turn = _turn(payload) or f"{repository.clock.now_ns():x}"
    return AgentPrompt(turn, one_line(_words(payload), _PROMPT_WIDTH))


def _words(payload: HookPayload) -> str:
    """Return the prompt, without what Gemini CLI puts before it: the context of SessionStart."""
    return _HOOK_CONTEXT.sub("", text_at(payload, "prompt"))


def _prompt_of(last: AgentPrompt | None, payload: HookPayload) -> AgentPrompt:
    """Return the prompt for which an agent works: the last one, unless the payload has another."""
    turn = _turn(payload)
    return last if last is not None and turn in ("", last.turn) else AgentPrompt(turn, "")


def _continues(last: AgentPrompt, payload: HookPayload) -> bool:
    """Return True if no words came: Qwen Code tells of a prompt whenever tools have answered."""
    return not (last.is_answered or _words(payload).strip())


def _turn(payload: HookPayload) -> str:
    """Return the id of the prompt, which payloads of Claude Code and Codex have."""
    return one_line(text_at(payload, "prompt_id", "turn_id"), 80)


def _last_prompt(repository: Repository, view: View, session: str) -> AgentPrompt | None:
    """Return the last prompt of a session.

    After a remount it is that of the newest commit of the session, if that is near.
    """
    last = repository.prompts.last(session)
    if last is not None or not session:
        return last
    oid = view.head
    for _ in range(_RECALLED_MAX):
        if oid is None:
            return None
        commit = repository.history.read(oid)
        found = trace.trace_of(commit)
        if found is not None and found.session == session and found.turn:
            return AgentPrompt(found.turn, found.prompt, commit.metadata[trace.EVENT] == "stop")
        oid = commit.parents[0] if commit.parents else None
    return None


def _subagent(payload: HookPayload) -> str:
    name = text_at(payload, "agent_type", "agentType", "agentName")
    key = text_at(payload, "agent_id", "agentId")
    return one_line(f"{name} {key}", 80) if key or "agentName" in payload else ""


def _message(moment: HookMoment, payload: HookPayload, prompt: AgentPrompt) -> str:
    if moment is HookMoment.TOOLS:
        text = counted(tool_names(payload)) or f"after: {prompt.text or 'a prompt'}"
    else:
        text = text_at(payload, *_LAST_WORDS)
        if not one_line(text, _SUBJECT_WIDTH):
            text = f"after: {prompt.text}" if prompt.text else "the agent stopped"
    return one_line(text, _SUBJECT_WIDTH)


def _context(request: Request, agent: str, event: str) -> str:
    """Return three lines for the model, in the client's form: what is kept, and how to go back."""
    repository, view = request.repository, request.view
    place = f"branch {view.branch!r}" if view.branch else "a detached HEAD"
    newest = f"newest: {repository.history.read(view.head).subject!r}" if view.head else "none yet"
    text = _CONTEXT.format(place=place, newest=one_line(newest, 100))
    if agent == "copilot" and event == "sessionStart":
        return json.dumps({"additionalContext": text}) + "\n"
    output = {"hookEventName": "SessionStart", "additionalContext": text}
    return json.dumps({"hookSpecificOutput": output}) + "\n"
