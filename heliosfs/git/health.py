"""Checks for objects that a git repository lacks, before an import and when it meets one.

A shallow clone lacks the parents of some commits, a partial clone the objects that it leaves to a
remote, and a damaged repository any object.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO

from heliosfs.errors import HeliosError
from heliosfs.git.process import Git, end_unseen
from heliosfs.git.raw import parse_commit
from heliosfs.git.refs import GitRef
from heliosfs.git.stream import FORMAT, ObjectStream
from heliosfs.objects.ids import CommitId
from heliosfs.steps import Steps, on_thread

_WALK = ("rev-list", "--objects", "--missing=print")
_ID = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b")
_READ_BYTES = 1024 * 1024
_NAMED_MAX = 200
"""Largest number of refs that are searched for a missing object."""


class Damaged(HeliosError):
    """An object that git cannot read or lacks, or that cannot exist here; `oid` is hex or empty."""

    def __init__(self, text: str, oid: str) -> None:
        super().__init__(text)
        self.oid = oid


class Unfit(Damaged):
    """An object that git has, and that cannot exist here."""


def check_complete(
    git: Git,
    refs: list[GitRef],
    known: Iterable[bytes],
    find: Callable[[bytes], CommitId | None],
) -> Steps[None]:
    """Raise HeliosError if it is known beforehand that the history of `refs` is incomplete.

    For a shallow clone, parents that are here already, according to `find`, do not count as
    missing.  A full clone costs two calls of git, others walks through their history.
    """
    boundary = yield from on_thread(partial(_boundary, git))
    cut = {
        end: parent.hex()
        for end, parents in boundary.items()
        for parent in parents
        if find(parent) is None
    }
    if cut:
        yield from on_thread(partial(_check_boundary, git, refs, cut))
    promisor = yield from on_thread(git.promisor)
    if promisor:
        yield from on_thread(partial(_check_promised, git, refs, known, promisor))


def name_missing(git: Git, refs: list[GitRef], oid: str) -> str:
    """Return the ref that needs an object, and the path; empty if that cannot be found out."""
    done: list[str] = []
    for ref in refs[:_NAMED_MAX]:
        for line in _walk(git, [ref.git_id.hex(), *done]):
            if line.startswith((oid, f"?{oid}")):
                path = line.partition(" ")[2]
                return f"{ref.name} needs it" + (f" for {path!r}" if path else "")
            if line.startswith("!"):
                return f"{ref.name} needs it"
        done.append(f"^{ref.git_id.hex()}")
    return ""


def id_in(text: str) -> str:
    """Return the first object id in a message of git; empty if there is none."""
    found = _ID.search(text)
    return found[0] if found else ""


def _boundary(git: Git) -> dict[str, list[bytes]]:
    """Return the commits at which a shallow clone ends, and their parents."""
    if not git.is_shallow():
        return {}
    with open(os.path.join(git.common_dir, "shallow"), encoding="ascii") as file:
        ends = file.read().split()
    ids = {bytes.fromhex(end) for end in ends}
    asked = _lines(sorted(each.hex() for each in ids - git.missing(ids)))
    said = git.ask("cat-file", FORMAT, "--buffer", data=asked, seconds=None)
    stream = ObjectStream(BytesIO(said))
    found: dict[str, list[bytes]] = {}
    while commits := stream.read(_READ_BYTES):
        found.update((each.id.hex(), parse_commit(each.data).parents) for each in commits)
    return found


def _check_boundary(git: Git, refs: list[GitRef], cut: dict[str, str]) -> None:
    for ref in refs:
        reached = git.ask("rev-list", "--stdin", data=_lines([ref.git_id.hex()]), seconds=None)
        for end in reached.decode("ascii").split():
            if end in cut:
                raise HeliosError(
                    f"{git.git_dir} is a shallow clone: the history of {ref.name} ends at {end}, "
                    f"whose parent {cut[end]} is missing; run "
                    "'git fetch --unshallow' there to fetch the rest"
                )


def _check_promised(git: Git, refs: list[GitRef], known: Iterable[bytes], promisor: str) -> None:
    revisions = [ref.git_id.hex() for ref in refs] + [f"^{each.hex()}" for each in known]
    first, count = "", 0
    for line in _walk(git, revisions):
        if line.startswith("?"):
            first, count = first or line[1:].partition(" ")[0], count + 1
    if count:
        where = name_missing(git, refs, first)
        raise HeliosError(
            f"{git.git_dir} is a partial clone ({promisor}): {count} objects are missing, "
            f"{first} among them{f', and {where}' if where else ''}; "
            "run 'git fetch --refetch --no-filter' there to fetch them"
        )


def _walk(git: Git, revisions: list[str]) -> Iterator[str]:
    """Yield the ids that are reached, each with a path; a missing one begins with `?`.

    A line `!` with git's message ends the walk if git cannot continue.
    """
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as errors:
        asked.write(_lines(revisions))
        asked.seek(0)
        argv = (*_WALK, "--ignore-missing", "--stdin")
        process = git.start(*argv, stdin=asked, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield os.fsdecode(line.rstrip(b"\n"))
            if process.wait():
                errors.seek(0)
                yield "!" + errors.read().decode("utf-8", "replace")
        finally:
            end_unseen(process)


def _lines(words: Iterable[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode("ascii")
