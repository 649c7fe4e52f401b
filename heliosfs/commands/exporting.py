"""`export`: branches and tags to git."""

from __future__ import annotations

import os
import shutil
from contextlib import closing

from heliosfs.commands.options import Options
from heliosfs.commands.places import outside
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.git.exporter import Export, Exported, choose
from heliosfs.git.pack import Pack
from heliosfs.git.process import Git
from heliosfs.git.refs import HEADS
from heliosfs.git.target import Target
from heliosfs.repo.repository import Repository

_ID_DIGITS = 12


def export(request: Request, options: Options) -> str:
    """Do what the options say, to the end: nothing else is served meanwhile."""
    return run_export(request, options, outside(options, "to-git"))


def run_export(request: Request, options: Options, path: str | None) -> str:
    """The verb, for callers that know where the repository is."""
    if path is None:
        raise options.misuse("--to-git says where")
    repository = request.repository
    branches = choose(repository, options.words)
    git, is_new = _open(path)
    try:
        with closing(Target(git)) as target, closing(Pack(git)) as pack:
            done = Export(repository, target, pack).run(
                branches,
                tags=not options.words and "squash" not in options,
                squash="squash" in options,
                force="force" in options,
            )
    except BaseException:
        if is_new:
            shutil.rmtree(path, ignore_errors=True)
        raise
    if is_new:
        _set_head(repository, git, branches)
    if "json" in options:
        return json_reply(_document(done))
    return _text(done, git)


def _open(path: str) -> tuple[Git, bool]:
    """The repository, and whether it was made now."""
    if not os.path.lexists(path):
        return Git.create(path), True
    try:
        return Git.find(path), False
    except NotFound:
        if os.path.isdir(path) and not os.listdir(path):
            return Git.create(path), True
        raise


def _set_head(repository: Repository, git: Git, branches: dict[str, str]) -> None:
    """Let a new repository have the branch of the mount point checked out."""
    current = repository.root.branch
    name = branches.get(current or "", next(iter(branches.values())))
    git.ask("symbolic-ref", "HEAD", HEADS + name)


def _text(done: Exported, git: Git) -> str:
    lines = [f"{done.object_count} new objects to {git.git_dir}"]
    lines += [
        f"  {done.refs[ref].hex()[:_ID_DIGITS]} {ref.split('/', 1)[1]}" for ref in done.changed
    ]
    same_count = len(done.refs) - len(done.changed)
    if same_count:
        lines.append(f"  as before: {same_count}")
    for count, what in (
        (done.empty_count, "empty directories, which git does not keep"),
        (done.special_count, "FIFOs, sockets or devices, which git does not keep"),
        (done.dotgit_count, "entries with a name that git keeps for itself ('.git')"),
    ):
        if count:
            lines.append(f"  left out: {count} {what}")
    return "".join(f"{line}\n" for line in lines)


def _document(done: Exported) -> dict[str, object]:
    return {
        "object_count": done.object_count,
        "refs": {name: git_id.hex() for name, git_id in done.refs.items()},
        "changed": done.changed,
        "left_out": {
            "empty_directories": done.empty_count,
            "special_files": done.special_count,
            "reserved_names": done.dotgit_count,
        },
    }
