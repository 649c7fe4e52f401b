"""Declarations of the verbs for agents: what their hooks call, and the way back."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_FULL, E_USAGE, NUMBER
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import REPLACES, Verb

HOOK = Verb(
    name="hook",
    module="agents.hook",
    summary="commit what an agent did; its client calls this at each event",
    synopsis=("EVENT [--client NAME]",),
    description=(
        "Reads the client's JSON from standard input, and writes an answer for it. EVENT is the\n"
        "client's name of it: UserPromptSubmit, PostToolBatch, Stop, SessionStart and others of\n"
        "Claude Code, Codex, Gemini CLI, Qwen Code and Copilot; one that means nothing here is\n"
        "ignored. Commits have the metadata agent, session, prompt and turn. If nothing changed,\n"
        "no commit is made. Trouble never stops an agent: the exit code is 0, and the answer\n"
        "tells the user; only a WorktreeCreate that failed has exit code 1. Outside of a\n"
        "workspace it has no effect."
    ),
    options=(
        Option(("--client",), "name of the agent: claude, codex, gemini, qwen, copilot", "NAME"),
        Option(("--payload",), "the client's JSON, where there is no standard input", "JSON"),
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "WorktreeCreate: a name that no branch may have"),
        ("EBUSY", "WorktreeCreate: the branch is shown at the mount point"),
        E_FULL,
    ),
    example="Stop --client claude",
    effect=REPLACES,
    barrier=True,
    client="hook",
)

REWIND = Verb(
    name="rewind",
    module="agents.rewind",
    summary="go back to before a prompt of an agent, with all files",
    synopsis=("[-n N] [--json]", "N", "WORD..."),
    description=(
        "Without words, lists the prompts for which an agent changed files, the newest first,\n"
        "with the number of commits. With a number, or words of a prompt, does 'reset --hard' to\n"
        "the commit with everything as it was when that prompt came, whatever wrote the files;\n"
        "'undo' comes back. It knows what the hooks told: see 'hook'."
    ),
    options=(NUMBER, JSON),
    errors=(E_USAGE, ("ENOENT", "no such prompt changed files on this branch"), E_FULL),
    example="1",
    effect=REPLACES,
    is_own=True,
    barrier=True,
    is_reading=True,
    is_tool=True,
)

DECLARED_AGENTS = (HOOK, REWIND)
