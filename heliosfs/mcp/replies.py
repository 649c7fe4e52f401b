"""Replies of verbs as results of tools: structured, and the same as text."""

from __future__ import annotations

import json
from typing import Any

from mcp_types import CallToolResult, TextContent

from heliosfs.commands.refusal import DOCUMENT, refusal
from heliosfs.errors import HeliosError, TooLarge

REPLY_MAX_LETTERS = 4 * 1024 * 1024
"""Length of the longest reply that a client is sent, on one line, and most of it twice."""
_USAGE = "usage: "


def result_of(reply: str) -> CallToolResult:
    r"""Return the result for a reply in JSON; a list is in `result`, as it has to be an object.

    Bytes that are not UTF-8, which are lone surrogates in the reply, are shown as `\udc80` and
    the like: no message of JSON-RPC can carry them.
    """
    try:
        document = json.loads(reply)
    except ValueError:
        document = {"text": reply}
    document = _encodable(document) if "\\ud" in reply else document
    structured = document if isinstance(document, dict) else {"result": document}
    return CallToolResult(content=[_text(_compact(document))], structured_content=structured)


def check_size(reply: str) -> None:
    """Refuse a reply that is too long for a client, let alone for a model.  Raise TooLarge."""
    if len(reply) > REPLY_MAX_LETTERS:
        mib = f"{len(reply) / 1024**2:.1f} MiB"
        raise TooLarge(
            f"the reply has {mib}, a result at most {REPLY_MAX_LETTERS // 1024**2}: name paths, "
            "ask for fewer commits, or read the files below .helios/snapshots"
        )


def refused(error: HeliosError) -> CallToolResult:
    """Return the result for a refusal: in words, and as the document of `--json`.

    A result, because of an exception the client is told nothing but the name of the tool.
    """
    document = refusal_document(error)
    lines = [str(document["error"])]
    lines += [f"{each['kind']}: {each['path']}" for each in document.get("conflicts", ())]
    lines += map(str, document.get("ways", ()))
    return CallToolResult(
        content=[_text("\n".join(lines))], structured_content=document, is_error=True
    )


def refusal_document(error: HeliosError) -> dict[str, Any]:
    """Return a refusal as the document that `--json` replies with."""
    text = str(error).removeprefix(_USAGE)
    document = json.loads(text if text.startswith(DOCUMENT) else refusal(text, error.errno))
    encodable: dict[str, Any] = _encodable(document)
    return encodable


def encodable_text(text: str) -> str:
    r"""Return a text in which no half of a character is left.

    >>> encodable_text("a\udcff")
    'a\\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable_text(value)
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    if isinstance(value, dict):
        return {encodable_text(key): _encodable(each) for key, each in value.items()}
    return value


def _compact(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)
