"""`export`: branches and tags to git."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial

from heliosfs.commands.exchange.places import named_path
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, listed
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.git.exporter import Export, ExportResult
from heliosfs.git.outgoing import choose, hash_of
from heliosfs.git.pack import Pack
from heliosfs.git.process import Git
from heliosfs.git.target import Target
from heliosfs.mounttable import workspace_over
from heliosfs.objects.ids import Kind
from heliosfs.remote.contents import bring_all_of
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, on_thread

_ID_DIGITS = 12


def export(request: Request, options: Options) -> Steps[str]:
    """Carry out the form of `export` that the options choose."""
    path = yield from named_path(options, "to-git")
    return (yield from export_steps(request, options, path))


def export_steps(request: Request, options: Options, path: str | None) -> Steps[str]:
    """Carry out `export` to the git repository at `path`."""
    if path is None:
        raise options.misuse("give a repository, as in 'export --to-git DIR'")
    repository = request.repository
    chosen = choose(repository, options.words)
    heads = (repository.refs.branch(name).head for name in chosen)
    yield from bring_all_of(repository, [(Kind.COMMIT, head) for head in heads if head])
    git, device = yield from _open(repository, path, chosen)
    is_outside = workspace_over(git.git_dir) is None
    try:
        target = yield from on_thread(partial(Target, git))
        with closing(target), closing(Pack(git, beside=is_outside)) as pack:
            done = yield from Export(
                *(repository, target, pack), with_filtered="with-filtered" in options
            ).run(
                chosen if options.words else None,
                tags=not options.words and "squash" not in options,
                squash="squash" in options,
                force="force" in options,
            )
        if device is not None:
            refs = done.branches
            current = refs.get(repository.root.branch or "", next(iter(refs.values())))
            yield from on_thread(partial(git.ask, "symbolic-ref", "HEAD", current))
    except BaseException as error:
        if device is not None:
            yield from _take_back(partial(_remove, path, device), error)
        raise
    if "json" in options:
        return json_reply(_document(done))
    return _text(done, git)


def _open(
    repository: Repository, path: str, branches: Iterable[str]
) -> Steps[tuple[Git, int | None]]:
    """Open or make the repository; return it and, if it is new, the device that it is on."""
    git = yield from on_thread(partial(_find, path))
    if git is not None:
        return git, None
    hash_name = yield from hash_of(repository, branches)
    return (yield from on_thread(partial(_create, path, hash_name)))


def _find(path: str) -> Git | None:
    """Return the repository at a path; None where one can be made."""
    if not os.path.lexists(path):
        return None
    try:
        return Git.find(path)
    except NotFound:
        if not os.path.isdir(path) or os.listdir(path):
            raise
    return None


def _create(path: str, hash_name: str) -> tuple[Git, int]:
    git = Git.create(path, hash_name)
    return git, os.lstat(path).st_dev


def _take_back(remove: Callable[[], None], error: BaseException) -> Steps[None]:
    """Remove a repository that was created for an export that failed.

    If the steps were closed nothing runs them any more, so a thread of its own removes it.
    """
    if isinstance(error, Exception):
        yield from on_thread(remove)
    else:
        threading.Thread(target=remove, name="remover").start()


def _remove(path: str, device: int) -> None:
    """Remove what was made; content that a mount over it had covered stays."""
    with suppress(OSError):
        if os.lstat(path).st_dev == device:
            shutil.rmtree(path, ignore_errors=True)


def _text(done: ExportResult, git: Git) -> str:
    lines = [f"{done.object_count} new objects to {git.git_dir}"]
    lines += [
        f"  {done.refs[ref].hex()[:_ID_DIGITS]} {ref.split('/', 1)[1]}" for ref in done.changed
    ]
    left = done.left
    for names, why in (
        (left.others, "of other repositories; name branches to export them"),
        (left.deleted_there, "deleted in git, not moved here since; name branches to export them"),
    ):
        if names:
            lines.append(f"  left out: {listed(names)}: {why}")
    if left.deleted_here:
        refs = [ref.split("/", 1)[1] for ref in left.deleted_here]
        lines.append(f"  deleted here, still in git: {listed(refs)}")
    lines += [f"  left out: {name}: git cannot have it beside {ref}" for name, ref in left.blocked]
    same_count = len(done.refs) - len(done.changed)
    if same_count:
        lines.append(f"  unchanged: {same_count}")
    for count, what in (
        (done.empty_count, "empty directories, which git does not keep"),
        (done.special_count, "FIFOs, sockets or devices, which git does not keep"),
        (done.dotgit_count, "entries with a name that git keeps for itself ('.git')"),
    ):
        if count:
            lines.append(f"  left out: {count} {what}")
    if done.submodules:
        lines.append(
            f"  left out: the files of {len(done.submodules)} submodules, which git keeps in "
            f"repositories of their own: {listed(done.submodules)}"
        )
    if done.vendored:
        lines.append(f"  submodules that are plain directories now: {listed(done.vendored)}")
    if done.converted.file_count:
        lines.append(f"  not converted: {done.converted}; git would have converted them")
    return "".join(f"{line}\n" for line in lines)


def _document(done: ExportResult) -> dict[str, object]:
    return {
        "object_count": done.object_count,
        "refs": {name: git_id.hex() for name, git_id in done.refs.items()},
        "changed": done.changed,
        "converted": dict(done.converted.counts),
        "deleted_here": done.left.deleted_here,
        "vendored": done.vendored,
        "left_out": {
            "other_repositories": done.left.others,
            "deleted_in_git": done.left.deleted_there,
            "no_place": dict(done.left.blocked),
            "empty_directories": done.empty_count,
            "special_files": done.special_count,
            "reserved_names": done.dotgit_count,
            "submodule_files": done.submodules,
        },
    }
