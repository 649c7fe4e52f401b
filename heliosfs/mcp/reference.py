"""Reference page of the MCP server, made from the table of verbs.

`python -m heliosfs.mcp.reference` prints docs/reference/mcp.md.
"""

from __future__ import annotations

import sys

from heliosfs.commands.verb import Effect, Verb
from heliosfs.mcp.words import LISTED_COUNT, tool_verbs

_PAGE = """\
# MCP server

`helios mcp [--workspace DIR]` speaks the Model Context Protocol on standard input and output, in the
versions from 2024-11-05 to 2026-07-28. [How to set it up](../how-to/mcp.md).

<!-- Made by `python -m heliosfs.mcp.reference` from the table of verbs. -->

## Tools

Each is a verb; `helios VERB --help` and [the page of the verbs](control-files.md) say what it does. The hints are those
of its widest form: `branch` only lists the branches without arguments, but it can delete one. None of
them reaches out of the workspace (`openWorldHint` is false).

| tool | | `readOnlyHint` | `destructiveHint` | `idempotentHint` |
|---|---|---|---|---|
{tools}

- A tool that only reads changes nothing. One that is destructive may replace or remove files, names
  or records; `undo` brings back what the verbs of the command line promise. An idempotent one, called
  again in the same way, changes nothing more.
- The input has a property for each option that matters to a reply in JSON, by its long name with
  underscores, `max_count`; `tools/list` has them all. A flag is true or false; an option that may be repeated is a list; an option whose value may
  be left out takes an empty text.
- `arguments` are the words that are no options: `{{"hard": true, "arguments": ["HEAD~1"]}}` is `reset --hard HEAD~1`.
  `paths` are what comes after `--`.
- `directory` is where relative paths begin, and which branch is meant: `.helios/branches/NAME` is the
  live workspace of a branch. It begins at the directory of the client, and does not leave the workspace.
- A list has the newest {count} entries, unless `max_count` says otherwise.

## Results

- A result is the reply of `--json`, as `structuredContent` and once more as text; [its fields are
  listed](json.md). A list is in `result`, because a structured result is an object.
- A refusal is a result with `isError`: the reason as text, and `error` and `errno` as structured content. A merge with
  conflicts adds `conflicts` and `ways`. Nothing was changed then.
- Bytes that are not UTF-8 are shown as `\\udc80` to `\\udcff`.
- A reply of more than 4 MiB is refused, with EMSGSIZE.
- A call that the client cancels, because its time is up for example, is not answered. Its verb has been carried out as a whole,
  or not at all; `log` and `status` tell which.

## Resources

| resource | content |
|---|---|
| `helios://log` | the last 50 commits |
| `helios://status` | the branch, and what differs from HEAD |
| `helios://diff/{{old}}..{{new}}` | the changed lines between two revisions |
| `helios://show/{{revision}}/{{+path}}` | a file as it was in a commit, or the names in a directory; base64 if it is not text |

A slash in a revision is `%2F`.

## Prompt

`rewind`, with the argument `words`: tells the model to go back to before a prompt, or to a commit, by its number or by words. It contains the
last prompts that changed files, and the last commits.

## Workspace

1. `--workspace DIR`: the workspace that DIR is in, and no other.
2. Without it, the first root of the client that is in a mounted workspace. A client that has roots is asked at the first call,
   and again when it says that they have changed.
3. Without roots, the current directory of the server.
"""


def mcp_page() -> str:
    """Return the page in Markdown."""
    return _PAGE.format(tools="\n".join(map(_row, tool_verbs())), count=LISTED_COUNT)


def _row(verb: Verb) -> str:
    hints = " | ".join("yes" if hint else "" for hint in _hints(verb.effect))
    return f"| `{verb.name}` | {verb.summary} | {hints} |"


def _hints(effect: Effect) -> tuple[bool, bool, bool]:
    return effect.is_read_only, effect.is_destructive, effect.is_idempotent


if __name__ == "__main__":
    sys.stdout.write(mcp_page())
