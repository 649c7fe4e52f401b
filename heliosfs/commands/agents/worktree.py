"""Worktrees that an agent's client asks for: live views of branches.

The reply is the path of the live view below the root of the view: the command line makes it
absolute, because it knows by which path the caller sees the workspace.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from heliosfs.commands.agents.payload import HookPayload, one_line, text_at
from heliosfs.commands.refs.branch import make_branch
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, HeliosError, PromisedObject, UsageError
from heliosfs.objects.tree import Entry
from heliosfs.repo.branching import delete_branch
from heliosfs.repo.repository import Repository
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import find_entry

_SETTINGS = (b".claude/settings.local.json", b".claude/settings.json")
"""Settings of Claude Code, of which the first that says something counts."""
_BRANCHES = (".helios/live/", ".helios/branches/")


def create_worktree(request: Request, payload: HookPayload, save: Callable[[str], None]) -> str:
    """Make a branch for a worktree, or take the one of that name; reply with its path.

    It is a fork of the view, with uncommitted changes and ignored files; or, if the client's
    setting `worktree.baseRef` is "fresh", a branch at HEAD with the ignored files alone.
    `save` commits the changes of the view first, by which a fork can be removed without loss
    later.  Raise UsageError or Busy.
    """
    repository = request.repository
    name = text_at(payload, "name")
    if not name:
        raise UsageError("usage: the client gave no name for the worktree")
    branch = repository.refs.find(name)
    if branch is None:
        is_fresh = request.view.head is not None and _base(request, payload) == "fresh"
        if not is_fresh:
            save(name)
        branch = make_branch(request, name, None, fork=not is_fresh, with_ignored=is_fresh)
    elif branch.slot == repository.root.slot:
        raise Busy(f"branch {name!r} is checked out at the mount point: no worktree can show it")
    return f".helios/branches/{branch.name}\n"


def remove_worktree(request: Request, payload: HookPayload) -> str:
    """Delete the branch of a worktree, unless commits or changes would be lost; tell if so."""
    path = text_at(payload, "worktree_path", "worktreePath")
    name = _branch_at(request.repository, path)
    if name is None:
        return ""
    try:
        delete_branch(request.repository, name)
    except Busy as error:
        kept = one_line(str(error), 300)
        text = f"helios: worktree {name!r} is kept, 'helios merge {name}' takes its work ({kept})"
        return json.dumps({"systemMessage": text}) + "\n"
    return ""


def _branch_at(repository: Repository, path: str) -> str | None:
    """Return the branch whose live view is at a path; None if there is none."""
    for directory in _BRANCHES:
        _, _, name = path.rpartition(f"/{directory}")
        if name and repository.refs.find(name.rstrip("/")) is not None:
            return name.rstrip("/")
    return None


def _base(request: Request, payload: HookPayload) -> str:
    """Return the base that the client's settings ask for: "fresh", "head", or ""."""
    given = text_at(payload, "base_ref", "baseRef")
    if given:
        return given
    root = request.view.state().root
    return next(filter(None, (_setting(request.repository, root, path) for path in _SETTINGS)), "")


def _setting(repository: Repository, root: Entry, path: bytes) -> str:
    try:
        entry = find_entry(repository.store, root, path)
        if entry is None:
            return ""
        document = json.loads(read_file(repository.store, entry))
        value = document["worktree"]["baseRef"]
    except PromisedObject:
        raise
    except (HeliosError, ValueError, LookupError, TypeError, RecursionError):
        # Settings of another program, of which nothing here depends on the form.
        return ""
    return value if isinstance(value, str) else ""
