"""The part of `helios clone` that knows git servers."""

from __future__ import annotations

import os

from heliosfs.errors import NotFound
from heliosfs.gitserver.addresses import is_git_url, is_repository
from heliosfs.gitserver.listing import ask_listing
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import Work, run_to_end


class _NoStore:
    """The store of steps that store nothing."""

    pending_bytes = 0

    def plan_drain(self) -> Work | None:
        return None


def git_url(word: str) -> str | None:
    """Return the URL of a git server or repository, a relative path made absolute; else None."""
    if is_git_url(word):
        return word
    path = os.path.abspath(word)
    return path if "://" not in word and is_repository(path) else None


def branch_there(url: str, asked: str | None) -> str:
    """Return the branch that becomes one here, before anything is made.  NotFound, Unreachable."""
    listing = run_to_end(ask_listing(url), _NoStore())
    first = listing.first_branch()
    if asked is not None and (HEADS, asked) not in listing.refs:
        raise NotFound(f"{url} has no branch {asked[:80]!r}")
    if first is None:
        raise NotFound(f"{url} has no branch yet: 'helios remote add' it to a workspace, and push")
    return asked or first
