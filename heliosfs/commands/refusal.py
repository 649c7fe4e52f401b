"""A refusal as one JSON document, on one line, where the request asked for JSON."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence

from heliosfs.errors import HeliosError

DOCUMENT = '{"error": '
"""Beginning of such a refusal, and of no other."""
_USAGE = "usage: "


_TAKE_COMMAND = frozenset({"race", "run", "try"})
"""Verbs whose words may be options of a command."""


def asks_for_json(argv: Sequence[str]) -> bool:
    """Return True if the words of a request, verb included, have `--json` among its options."""
    if argv and argv[0] in _TAKE_COMMAND:
        return False
    for word in argv:
        if word == "--":
            return False
        if word == "--json":
            return True
    return False


def refusal(text: str, number: int) -> str:
    r"""Return the document of a refusal: what is wrong, and the name of the errno.

    >>> refusal("no branch 'x'", errno.ENOENT)
    '{"error": "no branch \'x\'", "errno": "ENOENT"}'
    """
    if text.startswith(DOCUMENT):
        document = json.loads(text)
        document.setdefault("errno", errno.errorcode.get(number, "EIO"))
        return json.dumps(document)
    return json.dumps({"error": text, "errno": errno.errorcode.get(number, "EIO")})


def put_into_words(error: HeliosError) -> None:
    """Let an error whose text is such a document say it in words again."""
    text = str(error)
    if text.startswith(DOCUMENT):
        error.args = (json.loads(text)["error"],)


def tell_as_json(error: HeliosError, argv: Sequence[str]) -> None:
    """Let an error say its text as a document, if the request asked for JSON.

    The prefix `usage: ` of an error in the syntax stays in front of the document.
    """
    if asks_for_json(argv):
        text = str(error)
        before = _USAGE if text.startswith(_USAGE) else ""
        error.args = (before + refusal(text.removeprefix(_USAGE), error.errno),)
