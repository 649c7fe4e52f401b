"""The server: tools, resources and the prompt `rewind`, over stdio."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from heliosfs import __version__
from heliosfs.commands.render import SHORT_DIGITS
from heliosfs.errors import HeliosError
from heliosfs.mcp.places import Access, ClientPlace
from heliosfs.mcp.replies import check_size, encodable_text, refusal_document
from heliosfs.mcp.tools import verb_tools

Row = dict[str, Any]
"""One of the documents in a reply."""

_INSTRUCTIONS = """\
The workspace is a heliosfs mount: it keeps every state of its files, new ones and ignored ones too.
Work on the files with your own tools. `commit` keeps a state in under a millisecond: use it after
each step that you may want back. `undo` takes back the last commit, reset, merge or checkout, with
all files. Old files are read-only directories: .helios/snapshots/REV/PATH, such as HEAD~2/src/a.py.
Each branch has its own live files in .helios/branches/NAME; `directory` makes a tool act there.
A refusal changed nothing, and says why."""

_REWIND = """\
Take the files of this workspace back to an earlier state. {wanted}
Where a prompt is meant, call the tool `rewind` with its number: everything becomes as it was when
that prompt came. Where a commit is meant, call `reset` with hard: true and its id. A number alone
is that of a prompt, or of commits to go back if there is no prompt. If more than one fits, ask.
Then say what changed, and that the tool `undo` brings everything back, uncommitted changes too.

Prompts that changed files, newest first:
{prompts}

Commits, newest first:
{commits}"""
_LOG_COUNT = 50
_REWIND_COUNT = 30


def run_server(access: Access, workspace: str | None) -> None:
    """Serve the client on standard input and output, until it closes them."""
    make_server(access, workspace).run("stdio")


def make_server(access: Access, workspace: str | None = None) -> MCPServer[None]:
    """Return a server for the workspace of the client, or for the one that the user fixed."""
    place = ClientPlace(access, workspace)
    server: MCPServer[None] = MCPServer(
        "helios",
        title="heliosfs",
        version=__version__,
        instructions=_INSTRUCTIONS,
        tools=verb_tools(place),
        log_level="WARNING",
        middleware=[place],
    )
    _add_resources(server, place)
    _add_prompt(server, place)
    return server


def _add_resources(server: MCPServer[None], place: ClientPlace) -> None:
    @server.resource("helios://log", description=f"The last {_LOG_COUNT} commits.")
    def log() -> str:
        return _text(place, ["log", f"-n{_LOG_COUNT}"])

    @server.resource("helios://status", description="The branch, and what differs from HEAD.")
    def status() -> str:
        return _text(place, ["status"])

    @server.resource(
        "helios://diff/{old}..{new}",
        description="The changed lines between two revisions.",
        mime_type="text/x-diff",
    )
    def diff(old: str, new: str) -> str:
        return _text(place, ["diff", _revision(old), _revision(new), "--"])

    @server.resource(
        "helios://show/{revision}/{+path}",
        description="A file as it was in a commit; the names in a directory.",
    )
    def show(revision: str, path: str) -> str | bytes:
        reply = _reply(place, ["show", f"{_revision(revision)}:{path}"])
        data = reply.encode("utf-8", "surrogateescape")
        return reply if _is_text(data) else data


def _add_prompt(server: MCPServer[None], place: ClientPlace) -> None:
    @server.prompt(
        title="Rewind",
        description="Go back to before a prompt, or to a commit. "
        "WORDS: its number, or words of the prompt or of the message.",
    )
    def rewind(words: str = "") -> str:
        try:
            prompts = _rows(place, ["rewind", "--json", f"-n{_REWIND_COUNT}"])
            commits = _rows(place, ["log", "--json", f"-n{_REWIND_COUNT}"])
        except HeliosError as error:
            message = str(refusal_document(error)["error"])
            raise MCPError(code=INVALID_PARAMS, message=message) from error
        return rewind_text(prompts, commits, words)


def rewind_text(prompts: Sequence[Row], commits: Sequence[Row], words: str) -> str:
    """Return what the model is asked to do: to find the state, to go there, to tell the way back.

    `prompts` are those of `rewind --json`, `commits` those of `log --json`.
    """
    wanted = f"The user wants to go back to: {words}" if words else "Ask the user where to go."
    said = [f"{each['number']}  {each['prompt']}" for each in prompts]
    made = [f"{each['id'][:SHORT_DIGITS]}  {_time(each)}  {each['subject']}" for each in commits]
    text = _REWIND.format(
        wanted=wanted, prompts="\n".join(said) or "none", commits="\n".join(made) or "none"
    )
    return encodable_text(text)


def _rows(place: ClientPlace, argv: Sequence[str]) -> list[Row]:
    """Return the documents of a list; none before the first commit.  Raise HeliosError."""
    try:
        rows: list[Row] = json.loads(place.ask(argv))
    except HeliosError as error:
        if error.errno == errno.ENOENT and place.is_in_workspace:
            return []
        raise
    return rows


def _time(commit: Row) -> str:
    time: str = commit["author"]["time"]
    return time


def _text(place: ClientPlace, argv: Sequence[str]) -> str:
    return encodable_text(_reply(place, argv))


def _reply(place: ClientPlace, argv: Sequence[str]) -> str:
    """Return the reply to a verb.  Raise ResourceError, whose text the client is told."""
    try:
        reply = place.ask(argv)
        check_size(reply)
    except HeliosError as error:
        kind = ResourceNotFoundError if error.errno == errno.ENOENT else ResourceError
        raise kind(str(refusal_document(error)["error"])) from error
    return reply


def _revision(word: str) -> str:
    """Return a revision.  Raise ResourceError for a word that would pass for an option."""
    if word.startswith("-"):
        raise ResourceError(f"{word[:80]!r} is no revision")
    return word


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data
