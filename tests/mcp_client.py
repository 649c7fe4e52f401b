"""Parts that the tests of the MCP server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent

MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])
"""Protocol 2026-07-28, in which a client is told to call again with its roots, and those before."""
Use = Callable[[Client], Awaitable[None]]


def text(result: CallToolResult) -> str:
    """Return the text of a result, which is all of it."""
    (part,) = result.content
    assert isinstance(part, TextContent)
    found: str = part.text
    return found
