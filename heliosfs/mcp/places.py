"""Directory in which a client works: by its roots, or by the directory of this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import InputRequiredResult, ListRootsRequest, ListRootsResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from heliosfs.errors import HeliosError, NotFound, UsageError

_ACTING = frozenset({"tools/call", "resources/read", "prompts/get"})
"""Requests that concern a workspace."""
_CHANGED = "notifications/roots/list_changed"
_KEY = "roots"
_SECONDS = 10
"""Longest time that a client may take to name its roots."""

_roots_asked: ContextVar[tuple[str, ...]] = ContextVar("roots")
"""Roots of the client as they were when it made the request that is being carried out."""


class Access(NamedTuple):
    """Ways to the workspaces of this machine.  Both block, and raise HeliosError."""

    find: Callable[[str], str]
    """Return the root of the mounted view around a directory."""
    ask: Callable[[str, Sequence[str]], str]
    """Return the reply of that view to a verb, called in that directory."""


class ClientPlace:
    """Directory that tools, resources and prompts act in, and the middleware that asks for it.

    A client that has roots is asked once, and again when it says that they have changed; since
    protocol 2026-07-28 it is not asked but told to call again with the answer.
    """

    def __init__(self, access: Access, workspace: str | None) -> None:
        """Take the ways to workspaces, and the directory that the user fixed, if there is one."""
        self._access = access
        self._workspace = workspace
        self._roots: tuple[str, ...] | None = () if workspace else None

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """See to it that the roots are known before a request that needs them is carried out."""
        if ctx.method == _CHANGED and not self._workspace:
            self._roots = None
        if ctx.method in _ACTING:
            roots = self._roots
            if roots is None:
                roots = await _asked_roots(ctx)
                if roots is None:
                    return _input_required()
                self._roots = roots
            _roots_asked.set(roots)
        return await call_next(ctx)

    def ask(self, argv: Sequence[str], directory: str = "") -> str:
        """Return the reply to a verb; `directory` begins where the client works.

        Blocks.  Raise HeliosError; NotFound if the client works in no mounted workspace.
        """
        return self._access.ask(self._inside(directory), argv)

    @property
    def is_in_workspace(self) -> bool:
        """Return True if the client works in a mounted workspace.  Blocks."""
        try:
            self._access.find(self._directory())
        except HeliosError:
            return False
        return True

    def _inside(self, directory: str) -> str:
        where = self._directory()
        if not directory:
            return where
        # The links below `.helios/branches` lead to where a branch is.
        inner = os.path.realpath(os.path.join(where, directory))
        root = self._access.find(where)
        if os.path.commonpath((root, inner)) != root:
            raise UsageError(f"{directory[:80]!r} is outside of the workspace {root}")
        if not os.path.isdir(inner):
            raise NotFound(f"{directory[:80]!r} is no directory of the workspace {root}")
        return inner

    def _directory(self) -> str:
        """Return the first root that is in a workspace.  Raise the error of the first root."""
        places = _roots_asked.get(()) or (self._workspace or os.curdir,)
        if len(places) == 1:
            # The request itself finds out, and says so.
            return os.path.realpath(places[0])
        errors: list[HeliosError] = []
        for place in places:
            where = os.path.realpath(place)
            try:
                self._access.find(where)
            except HeliosError as error:
                errors.append(error)
            else:
                return where
        raise errors[0]


async def _asked_roots(context: ServerRequestContext[Any, Any]) -> tuple[str, ...] | None:
    """Return the roots of the client; none if it has none; None if it has to call again."""
    capabilities = context.session.client_capabilities
    if capabilities is None or capabilities.roots is None:
        return ()
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return _answered_roots(context.params or {})
    try:
        with anyio.fail_after(_SECONDS):
            request = ListRootsRequest()
            return _paths(await context.session.send_request(request, ListRootsResult))
    except (MCPError, TimeoutError, ValidationError):
        # It said that it has roots, and cannot name them.
        return ()


def _answered_roots(params: Mapping[str, Any]) -> tuple[str, ...] | None:
    answers = params.get("inputResponses")
    if not isinstance(answers, Mapping) or _KEY not in answers:
        return None
    try:
        return _paths(ListRootsResult.model_validate(answers[_KEY]))
    except ValidationError:
        return ()


def _input_required() -> HandlerResult:
    return InputRequiredResult(input_requests={_KEY: ListRootsRequest()})


def _paths(result: ListRootsResult) -> tuple[str, ...]:
    parts = (urlsplit(str(root.uri)) for root in result.roots)
    return tuple(unquote(part.path) for part in parts if part.scheme == "file")
