"""Requests to the control files of a view, and the errors of `heliosfs.errors` for refusals."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from heliosfs.cli.client import Refused, exchange, request_line
from heliosfs.cli.locate import CONTROL, Location
from heliosfs.client.values import PathConflict
from heliosfs.commands.refusal import DOCUMENT
from heliosfs.errors import (
    AlreadyExists,
    Ambiguous,
    Busy,
    Conflicted,
    HeliosError,
    Interrupted,
    NotFound,
    NothingToCommit,
    NotPermitted,
    PosixError,
    ReadOnly,
    Stale,
    StoreError,
    StoreFull,
    TooLarge,
    UsageError,
)

_KINDS: dict[int, type[HeliosError]] = {
    kind.errno: kind
    for kind in (
        AlreadyExists,
        Ambiguous,
        Busy,
        Interrupted,
        NotFound,
        NothingToCommit,
        NotPermitted,
        ReadOnly,
        Stale,
        StoreError,
        StoreFull,
        TooLarge,
        UsageError,
    )
}
"""Class of the error for an errno; that of conflicts has fields of its own."""


class UnmergedPaths(Conflicted):
    """Refusal of a merge because both sides changed the same paths; nothing was changed.

    `conflicts` names the paths, and `ways` the commands that decide or show them.
    """

    def __init__(self, text: str, conflicts: tuple[PathConflict, ...], ways: tuple[str, ...]):
        super().__init__(text)
        self.conflicts = conflicts
        self.ways = ways


class Door(NamedTuple):
    """A view whose control files take requests, and the branch that these are about."""

    view: Location
    branch: str | None = None
    """Branch that is meant in place of the one that the view shows."""


def request_text(door: Door, argv: Sequence[str]) -> str:
    """Return the reply to a verb.  Raise the class of `heliosfs.errors` that has the errno."""
    line = request_line(argv, "", door.branch)
    return _ask(door.view, door.view.command, line).decode("utf-8", "surrogateescape")


def request_json(door: Door, argv: Sequence[str]) -> Any:
    """Return the document that a verb replies with `--json`.  Raise a HeliosError."""
    return json.loads(request_text(door, argv))


def commit_everything(door: Door, message: str) -> str:
    """Commit with no options, the fastest way, and return the id.  Raise a HeliosError."""
    # An empty request would be none: `ctl/commit` then shows HEAD.
    if door.branch is not None or not message:
        words = ("commit", "--json", f"--message={message}")
        return str(request_json(door, words)["id"])
    path = os.path.join(door.view.root, CONTROL, "commit")
    try:
        text = message.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError("the message is not UTF-8") from None
    return _ask(door.view, path, text).decode().rstrip("\n")


def _ask(view: Location, path: str, request: bytes) -> bytes:
    try:
        return exchange(view, path, request)
    except Refused as refused:
        raise _error_of(refused) from None


def _error_of(refused: Refused) -> HeliosError:
    """Return the error that a refusal stands for, its errno kept."""
    text, document = str(refused), dict[str, Any]()
    if text.startswith(DOCUMENT):
        document = json.loads(text)
        text = document["error"]
    number = refused.errno
    if number == errno.EAGAIN:
        conflicts = tuple(map(PathConflict.of, document.get("conflicts", ())))
        return UnmergedPaths(text, conflicts, tuple(document.get("ways", ())))
    return error_of(number, text)


def error_of(number: int, text: str) -> HeliosError:
    """Return the error that has an errno."""
    kind = _KINDS.get(number)
    return PosixError(number, text) if kind is None else kind(text)
