"""Tools of the server: one for each verb of history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from anyio import to_thread
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import model_validator

from heliosfs.commands.verb import Verb
from heliosfs.errors import HeliosError
from heliosfs.mcp.places import ClientPlace
from heliosfs.mcp.replies import check_size, refused, result_of
from heliosfs.mcp.words import directory_of, input_schema, tool_description, tool_verbs, words_of


class GivenArguments(ArgModelBase):
    """Input of a tool, as it came: `words_of` checks it, with a text that helps a model."""

    given: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {"given": data}


def verb_tools(place: ClientPlace) -> list[Tool]:
    """Return the tools, which act where the client works."""
    return [_tool(verb, place) for verb in tool_verbs()]


def _tool(verb: Verb, place: ClientPlace) -> Tool:
    effect = verb.effect
    return Tool(
        fn=_function(verb, place),
        name=verb.name,
        title=f"helios {verb.name}",
        description=tool_description(verb),
        parameters=input_schema(verb),
        fn_metadata=FuncMetadata(arg_model=GivenArguments),
        is_async=True,
        context_kwarg=None,
        annotations=ToolAnnotations(
            read_only_hint=effect.is_read_only,
            destructive_hint=effect.is_destructive,
            idempotent_hint=effect.is_idempotent,
            open_world_hint=False,
        ),
    )


def _function(verb: Verb, place: ClientPlace) -> Callable[..., Awaitable[CallToolResult]]:
    async def call(given: dict[str, Any]) -> CallToolResult:
        # A call that the client gives up waits for its thread, and is not answered: the verb is
        # carried out as a whole, or not at all if it had not begun.
        return await to_thread.run_sync(partial(_carry_out, verb, place, given))

    return call


def _carry_out(verb: Verb, place: ClientPlace, given: dict[str, Any]) -> CallToolResult:
    try:
        reply = place.ask(words_of(verb, given), directory_of(verb, given))
        if verb.effect.is_read_only:
            check_size(reply)
        return result_of(reply)
    except HeliosError as error:
        return refused(error)
