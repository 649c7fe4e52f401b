"""`import`: history from git, files from a directory."""

from __future__ import annotations

import os
from collections.abc import Callable

from heliosfs.commands.options import Options
from heliosfs.commands.places import outside
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, HeliosError, NotFound
from heliosfs.git.adopt import Outcome
from heliosfs.git.importer import Import, Progress
from heliosfs.git.marks import carry_marks
from heliosfs.git.process import Git
from heliosfs.git.refs import Refs
from heliosfs.git.verify import Verified, verify
from heliosfs.repo.repository import Repository
from heliosfs.workspace.flush import flush
from heliosfs.workspace.ingest import drain, ingest
from heliosfs.workspace.trees import EMPTY_TREE
from heliosfs.workspace.workspace import Workspace, empty_root

_STEP_BYTES = 1024 * 1024
_STEP_OBJECTS = 4096
_BACKLOG_BYTES = 128 * 1024 * 1024
_SHOWN_COUNT = 20

Report = Callable[[Progress], None]


def import_(request: Request, options: Options) -> str:
    """Do what the options say, to the end: nothing else is served meanwhile."""
    sources = {key: outside(options, key) for key in ("from-git", "from-dir", "verify")}
    return run_import(request, options, sources, lambda progress: None)


def run_import(
    request: Request, options: Options, sources: dict[str, str | None], report: Report
) -> str:
    """The verb, for callers that know where `sources` are and show the progress."""
    options.only_one("from-git", "from-dir", "verify")
    options.at_most(0)
    branches = options.values("branch")
    if branches and sources["from-git"] is None:
        raise options.misuse("--branch belongs to --from-git")
    as_json = "json" in options
    if (path := sources["from-git"]) is not None:
        return import_history(request.repository, path, branches, report, as_json=as_json)
    if (path := sources["from-dir"]) is not None:
        return import_directory(request, path, as_json=as_json)
    if (path := sources["verify"]) is not None:
        return _verify(request.repository, path, report, as_json=as_json)
    raise options.misuse("--from-git, --from-dir or --verify?")


def import_history(
    repository: Repository, path: str, branches: list[str], report: Report, *, as_json: bool
) -> str:
    """Import branches and tags of a git repository; gives the reply."""
    git = Git.find(path)
    refs = Refs(git, branches)
    if not refs.chosen:
        raise NotFound(f"{path} has no commit yet")
    importing = Import(repository, git, refs)
    try:
        while (step := importing.plan(_STEP_BYTES, _STEP_OBJECTS)) is not None:
            step.execute()
            step.apply()
            if repository.store.pending_bytes > _BACKLOG_BYTES:
                drain(repository.store)
            report(importing.progress)
        outcome = importing.finish()
    finally:
        importing.close()
    if outcome.kept_files:
        carry_marks(repository.root)
        repository.checkpoint()
    if as_json:
        return json_reply(_document(importing.progress, outcome, refs))
    return _text(importing.progress, outcome, refs, git)


def import_directory(request: Request, path: str, *, as_json: bool) -> str:
    """Make the files of a directory the content of the empty workspace; gives the reply."""
    repository, view = request.repository, request.view
    before = view.state()
    if before.root.oid != EMPTY_TREE:
        raise Busy("the workspace is not empty: import into a new one, or a new branch")
    try:
        dir_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"cannot open {path}: {(error.strerror or '').lower()}") from error
    identity, clock = repository.identity, repository.clock
    root = empty_root(identity.uid, identity.gid, clock.now_ns())
    # On the side, so that what cannot be read to the end leaves the workspace empty.
    taken = Workspace(repository.store, clock, repository.inodes, repository.contents, root)
    try:
        count = ingest(taken, dir_fd)
        after = before._replace(root=flush(taken))
    finally:
        os.close(dir_fd)
        taken.close()
    view.move("import", path, before, after)
    if as_json:
        return json_reply({"file_count": count})
    return f"took in {count} files from {path}; nothing is committed yet\n"


def _verify(repository: Repository, path: str, report: Report, *, as_json: bool) -> str:
    git = Git.find(path)

    def told(count: int, of: int) -> None:
        report(Progress(commits=count, commit_count=of))

    found = verify(repository, git, told)
    if found.missing or found.different:
        raise HeliosError(_differences(found, path))
    if as_json:
        return json_reply({"commit_count": found.commit_count, "missing": [], "different": []})
    return f"{found.commit_count} commits of {path} are the same here, file by file\n"


def _differences(found: Verified, path: str) -> str:
    """One line: the first of each, and how many there are."""
    parts = []
    if found.missing:
        parts.append(f"{len(found.missing)} were not imported, {found.missing[0]} among them")
    if found.different:
        parts.append(f"{len(found.different)} are not the same, {found.different[0]} among them")
    return f"of {found.commit_count} commits of {path} {' and '.join(parts)}"


def _text(progress: Progress, outcome: Outcome, refs: Refs, git: Git) -> str:
    lines = [f"{progress.commits} commits, {progress.objects} objects from {git.git_dir}"]
    for word, names in (("new", outcome.new), ("moved", outcome.moved)):
        lines += [f"  {word}: {name.split('/', 1)[1]}" for name in names[:_SHOWN_COUNT]]
        if len(names) > _SHOWN_COUNT:
            lines.append(f"  and {len(names) - _SHOWN_COUNT} more {word}")
    if outcome.same_count:
        lines.append(f"  as before: {outcome.same_count}")
    lines += [
        f"  branch {name!r} has work of its own here: git's is {aside!r}"
        for name, aside in outcome.aside
    ]
    lines += [f"  left out: {name}: {reason}" for name, reason in outcome.skipped]
    if refs.other_count:
        lines.append(f"  left out: {refs.other_count} refs that are neither branch nor tag")
    if outcome.kept_files:
        lines.append("  the files stay as they are; 'helios status' compares them with HEAD")
    return "".join(f"{line}\n" for line in lines)


def _document(progress: Progress, outcome: Outcome, refs: Refs) -> dict[str, object]:
    return {
        "commit_count": progress.commits,
        "object_count": progress.objects,
        "new": outcome.new,
        "moved": outcome.moved,
        "same_count": outcome.same_count,
        "aside": dict(outcome.aside),
        "left_out": dict(outcome.skipped),
        "other_ref_count": refs.other_count,
        "kept_files": outcome.kept_files,
    }
