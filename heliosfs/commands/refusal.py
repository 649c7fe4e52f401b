"""A refusal as one JSON document, on one line, where the request asked for JSON."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence

from heliosfs.errors import HeliosError

DOCUMENT = '{"error": '
"""Beginning of such a refusal, and of no other."""
_USAGE = "usage: "


def asks_for_json(argv: Sequence[str]) -> bool:
    """Return True if the words of a request have `--json` among its options."""
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


def tell_as_json(error: HeliosError, argv: Sequence[str]) -> None:
    """Let an error say its text as a document, if the request asked for JSON.

    The prefix `usage: ` of an error in the syntax stays in front of the document.
    """
    if argv and argv[0] != "run" and asks_for_json(argv):
        text = str(error)
        before = _USAGE if text.startswith(_USAGE) else ""
        error.args = (before + refusal(text.removeprefix(_USAGE), error.errno),)
