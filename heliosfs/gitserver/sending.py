"""The words of `git push`, and its answer for each ref."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from heliosfs.gitserver.transfer import GitEnd, reason_in
from heliosfs.remote.foundrefs import RefName

REFS_MAX = 400
"""Largest number of refs in one command, whose words have to fit into what execve(2) takes."""

_PUSH = (
    "push",
    "--porcelain",
    "--progress",
    "--no-follow-tags",
    "--no-signed",
    "--no-verify",
    "--recurse-submodules=no",
)
_DONE = " +*-="
"""Flags of refs that are as they were to be (git-push(1), "Output")."""
_LINE = re.compile(r"(.)\t[^\t]*:([^\t]+)\t(.*)")
_IN_BRACKETS = re.compile(r"\[[\w ]+\] \((.*)\)")
_OF_MIRROR = re.compile(
    r"pack-objects|corrupt|bad object|bad tree|unable to read|could not read [0-9a-f]{40}"
    r"|not a valid object|missing (blob|tree|commit)|inflate|does not match any",
    re.IGNORECASE,
)
_TOLD_MAX = 3


class SentRef(NamedTuple):
    """A ref that is to be moved at the server, by git's ids."""

    name: RefName
    old: bytes | None
    """Id that it must have now; None if it must not be there."""
    new: bytes | None
    """Id that it is to have; None to delete it."""

    @property
    def full(self) -> str:
        """Full name of the ref at the server."""
        return f"refs/{self.name[0]}/{self.name[1]}"


def push_words(url: str, refs: Sequence[SentRef]) -> list[str]:
    """Return the words of a push that moves each ref from the id that was seen, or not at all."""
    leases = [f"--force-with-lease={each.full}:{_hex(each.old)}" for each in refs]
    specs = [f"{_hex(each.new)}:{each.full}" for each in refs]
    return [*_PUSH, *leases, "--", url, *specs]


class Answers(NamedTuple):
    """The answers of a server to a push."""

    done: set[str]
    """Full names of the refs that are as they were to be."""
    reasons: dict[str, str]
    """Reasons by full name of those that are not."""
    reason: str
    """Last words of git, which are about no ref."""
    is_own_fault: bool
    """True if git could not read the mirror."""


def answers_in(outcome: GitEnd) -> Answers:
    """Read the output of a push."""
    done, reasons = set(), {}
    remote = [each for each in outcome.said if each.startswith("remote:")]
    for line in os.fsdecode(outcome.output).splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        flag, ref, summary = found.groups()
        if flag in _DONE:
            done.add(ref)
            continue
        said = _IN_BRACKETS.fullmatch(summary)
        told = [each.removeprefix("remote:") for each in remote[:_TOLD_MAX]]
        reasons[ref] = reason_in([said[1] if said else summary, *told])
    own = any(_OF_MIRROR.search(each) for each in outcome.said if not each.startswith("remote:"))
    return Answers(done, reasons, outcome.reason, own)


def _hex(git_id: bytes | None) -> str:
    return git_id.hex() if git_id else ""
