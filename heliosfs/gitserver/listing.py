"""The listing of a server: its refs and ids, as `git ls-remote` prints them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from heliosfs.errors import NotFound, UsageError
from heliosfs.gitserver.addresses import check_git_url
from heliosfs.gitserver.transfer import GitEnd, Transfer
from heliosfs.remote.bucket import Unreachable
from heliosfs.remote.foundrefs import RefName
from heliosfs.repo.ref_names import check_name
from heliosfs.repo.remotes import HEADS, KIND_WORDS, TAGS
from heliosfs.steps import Steps, read_far

LISTED_SECONDS = 60.0
"""Time in which a server must have listed its refs."""
_ID_DIGITS = (40, 64)
_FIRST = ("main", "master")
"""Branches that a clone shows if the server names none that it has."""
_HEAD = "ref: refs/heads/"


class ServerRefs(NamedTuple):
    """The branches and tags of a server at one moment."""

    refs: dict[RefName, bytes]
    head: str
    """Name of the branch that the server calls its first one; empty if it calls none."""

    @property
    def hash_name(self) -> str:
        """Name of the hash of its ids, which an empty server does not tell."""
        return "sha256" if any(len(each) == 32 for each in self.refs.values()) else "sha1"

    def first_branch(self) -> str | None:
        """Return the branch that a clone shows; None if there is none."""
        names = sorted(name for kind, name in self.refs if kind == HEADS)
        wanted = [each for each in (self.head, *_FIRST) if each in names]
        return next(iter([*wanted, *names]), None)


def ask_listing(url: str, remote: str = "") -> Steps[ServerRefs]:
    """Ask a server for its branches and tags.  Unreachable, UsageError; NotFound without git."""
    # A path may lead into the mount that this process serves.
    yield from read_far(partial(check_git_url, url))
    outcome = yield from Transfer(
        ["ls-remote", "--symref", "--", url], silent_seconds=LISTED_SECONDS
    ).run()
    if outcome.code:
        raise unreachable(remote or url, outcome)
    head = ""
    for line in os.fsdecode(outcome.output).splitlines():
        if line.startswith(_HEAD) and line.endswith("\tHEAD"):
            head = line.removeprefix(_HEAD).removesuffix("\tHEAD")
    return ServerRefs(listed(outcome.output), head)


def listed(said: bytes) -> dict[RefName, bytes]:
    """Return the branches and tags of lines of an id, a tab and the full name of a ref."""
    found = {}
    for line in said.splitlines():
        git_id, _, ref = os.fsdecode(line).partition("\t")
        parts = ref.split("/", 2)
        is_whole = len(parts) == 3 and parts[0] == "refs" and parts[1] in (HEADS, TAGS)
        if is_whole and len(git_id) in _ID_DIGITS and not ref.endswith("^{}"):
            found[parts[1], parts[2]] = bytes.fromhex(git_id)
    return found


def unreachable(remote: str, outcome: GitEnd) -> Unreachable:
    """Return the error for a server that does not answer, or not us."""
    return Unreachable(f"{remote} cannot be reached: git says: {outcome.reason}")


def name_problem(name: RefName) -> str:
    """Return the reason why a ref cannot have its name here; empty if it can."""
    try:
        check_name(name[1], KIND_WORDS[name[0]])
    except UsageError as error:
        return str(error)
    return ""


def check_has(remote: str, refs: Iterable[RefName], names: Iterable[RefName]) -> None:
    """Check that a server has some refs.  NotFound."""
    there = set(refs)
    for kind, name in names:
        if (kind, name) not in there:
            raise NotFound(f"{remote} has no {KIND_WORDS[kind]} {name[:80]!r}")
