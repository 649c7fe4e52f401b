"""`upload-pack` and `receive-pack`: the two sides of this repository towards a clone of git."""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial

from heliosfs.commands.exchange.places import named_path
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.errors import HeliosError, NotFound, UsageError
from heliosfs.git.outgoing import hash_of
from heliosfs.git.pack import Pack
from heliosfs.git.process import Git
from heliosfs.git.received import ReceivedPush, RefUpdate
from heliosfs.git.served import Served, ServedRefs
from heliosfs.git.target import Target
from heliosfs.mounttable import workspace_over
from heliosfs.objects.ids import Kind
from heliosfs.remote.contents import bring_all_of
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, on_thread

_ABSENT, _UNKNOWN = "-", "?"
_FORMATS = ("sha1", "sha256")
_LIST_MAX_BYTES = 256 * 1024 * 1024


def upload_pack(request: Request, options: Options) -> Steps[str]:
    """List the refs, or send the objects that a file names."""
    options.only_one("known", "want")
    options.at_most(0)
    to_git = yield from named_path(options, "to-git")
    want = yield from named_path(options, "want")
    if want is not None and to_git is None:
        raise options.misuse("--want needs --to-git")
    preferred = options.value("object-format") or "sha1"
    if preferred not in _FORMATS:
        raise options.misuse(f"an object format is sha1 or sha256, not {preferred[:80]!r}")
    repository = request.repository
    hash_name = yield from _hash_name(repository, preferred)
    if to_git is None or "known" in options:
        served = Served(repository, hash_name)
        return (yield from _list(request, served, hash_name, only_known="known" in options))
    if want is None:
        # Most often nothing is new, and REPO need not be looked at.
        served = Served(repository, hash_name)
        found = yield from served.list(request.view, only_known=True)
        if None not in found.refs.values():
            yield from served.remember()
            return json_reply(_document(found, hash_name))
    git = yield from on_thread(partial(Git.find, to_git))
    if git.hash_name != hash_name:
        # Where only the listing is wanted, it says so, and git refuses.
        if want is None:
            served = Served(repository, hash_name)
            return (yield from _list(request, served, hash_name, only_known=False))
        raise HeliosError(
            f"the history has ids of {hash_name}, and {git.git_dir} those of {git.hash_name}"
        )
    target = yield from on_thread(partial(Target, git))
    is_outside = workspace_over(git.git_dir) is None
    with closing(target), closing(Pack(git, beside=is_outside)) as pack:
        served = Served(repository, hash_name, target.has, pack.add)
        if want is not None:
            lines = yield from on_thread(partial(_read_lines, want))
            heads = [branch.head for branch in repository.refs if branch.head is not None]
            tips = [*heads, *repository.refs.tags.values()]
            yield from bring_all_of(repository, [(Kind.COMMIT, each) for each in tips])
            yield from served.send([_git_id(line) for line in lines])
            reply = json_reply({"object_count": pack.count})
        else:
            found = yield from served.list(request.view, only_known=False)
            reply = json_reply(_document(found, hash_name))
        yield from on_thread(pack.index)
        yield from served.remember()
    return reply


def receive_pack(request: Request, options: Options) -> Steps[str]:
    """Change refs to commits of a git repository, as a push asks for."""
    options.at_most(0)
    from_git = yield from named_path(options, "from-git")
    path = yield from named_path(options, "updates")
    if from_git is None or path is None:
        raise options.misuse("give --from-git and --updates")
    repository = request.repository
    git = yield from on_thread(partial(Git.find, from_git))
    hash_name = yield from _hash_name(repository, git.hash_name)
    if git.hash_name != hash_name:
        raise HeliosError(
            f"{git.git_dir} has ids of {git.hash_name}, and the history here those of {hash_name}"
        )
    lines = yield from on_thread(partial(_read_lines, path))
    push = ReceivedPush(repository, request.view, git, [_update(line) for line in lines])
    reasons = yield from push.run(is_atomic="atomic" in options, is_dry="dry-run" in options)
    lost = {ref: each._asdict() for ref, each in push.lost.items() if ref not in reasons}
    return json_reply({"refused": reasons, "lost": lost})


def _hash_name(repository: Repository, preferred: str) -> Steps[str]:
    """Return the name of the hash of the history here; `preferred` if it came from no git."""
    names = [branch.name for branch in repository.refs if branch.head is not None]
    return (yield from hash_of(repository, names, preferred))


def _list(request: Request, served: Served, hash_name: str, *, only_known: bool) -> Steps[str]:
    """List the refs without sending anything."""
    found = yield from served.list(request.view, only_known=only_known)
    if not only_known:
        yield from served.remember()
    return json_reply(_document(found, hash_name))


def _document(found: ServedRefs, hash_name: str) -> dict[str, object]:
    return {
        "object_format": hash_name,
        "head": found.head or None,
        "refs": {ref: each.hex() if each else None for ref, each in found.refs.items()},
        "peeled": {ref: each.hex() for ref, each in found.peeled.items()},
        "left_out": found.left_out,
    }


def _read_lines(path: str) -> list[str]:
    """Return the lines of a file that the caller wrote.  Raise NotFound."""
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(_LIST_MAX_BYTES)).splitlines()
    except OSError as error:
        raise NotFound(f"cannot read {path}: {(error.strerror or '').lower()}") from error


def _update(line: str) -> RefUpdate:
    """Read a line of `+` or `=`, the id before, the id after and the full name of the ref."""
    mark, old, new, ref = [*line.split(" ", 3), "", "", ""][:4]
    if mark not in ("+", "=") or not ref:
        raise UsageError(f"{line[:80]!r} is no update of a ref")
    return RefUpdate(
        ref,
        None if old in (_ABSENT, _UNKNOWN) else _git_id(old),
        None if new == _ABSENT else _git_id(new),
        is_forced=mark == "+",
        was_unknown=old == _UNKNOWN,
    )


def _git_id(word: str) -> bytes:
    try:
        return bytes.fromhex(word)
    except ValueError as error:
        raise UsageError(f"{word[:80]!r} is no id of git") from error
