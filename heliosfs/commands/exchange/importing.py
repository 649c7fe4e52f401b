"""`import`: history from git, files from a directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from heliosfs.commands.exchange.from_directory import import_directory
from heliosfs.commands.exchange.places import named_path
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, listed
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, HeliosError, NotFound, UsageError
from heliosfs.git.adopt import Outcome
from heliosfs.git.importer import Import
from heliosfs.git.marks import carry_marks
from heliosfs.git.process import Git
from heliosfs.git.refs import GitRefs
from heliosfs.git.verify import VerifyResult, verify
from heliosfs.mounttable import workspace_over
from heliosfs.repo.beneath import Beneath
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.steps import Steps, on_thread

_LISTED_COUNT = 20

SOURCES = ("from-git", "from-dir", "verify")
"""The options that name what is imported, or compared."""


def import_(request: Request, options: Options) -> Steps[str]:
    """Carry out the form of `import` that the options choose."""
    options.only_one(*SOURCES, "beneath")
    sources = {}
    for key in SOURCES:
        sources[key] = yield from named_path(options, key)
    path = sources["from-dir"]
    is_beneath = _beneath(request, options, path) is not None
    if path is not None and not is_beneath and (place := workspace_over(path)) is not None:
        # Its files are read here; git is asked on threads, and so may ask ourselves.
        raise Busy(
            f"{path} lies in the mounted workspace {place}: unmount it first, or name a "
            "directory outside"
        )
    return (yield from import_steps(request, options, sources))


def import_steps(
    request: Request, options: Options, sources: Mapping[str, str | None]
) -> Steps[str]:
    """Carry out `import` from these `sources`, the values of its options."""
    options.only_one(*SOURCES, "beneath")
    options.at_most(0)
    beneath = _beneath(request, options, sources["from-dir"])
    directory = beneath.path if beneath is not None else sources["from-dir"]
    for key in ("dry-run", "keep-both"):
        if key in options and directory is None:
            raise options.misuse(f"--{key} belongs to --from-dir and --beneath")
    for key in ("branch", "as", "deleted"):
        if key in options and sources["from-git"] is None:
            raise options.misuse(f"--{key} belongs to --from-git")
    as_json = "json" in options
    if (path := sources["from-git"]) is not None:
        return _import_history(request.repository, path, options)
    if directory is not None:
        return import_directory(request, options, directory, beneath)
    if (path := sources["verify"]) is not None:
        return _verify(request.repository, path, as_json=as_json)
    raise options.misuse("give --from-git, --from-dir, --beneath or --verify")


def _beneath(request: Request, options: Options, path: str | None) -> Beneath | None:
    """Return the directory beneath the mount point if that is what is asked for.

    Its path names it, too: an import of the workspace into itself is never intended.
    """
    beneath = request.repository.beneath
    if "beneath" in options:
        if beneath is None or request.view is not request.repository.root:
            raise UsageError("--beneath is for the branch that is shown at the mount point")
        return beneath
    return beneath if beneath is not None and path == beneath.path else None


def survey(path: str, options: Options) -> tuple[Git, GitRefs]:
    """Return the repository at `path` and the refs that the options choose; waits for git.

    NotFound, HeliosError: the errors that can be found before anything is done.
    """
    git = Git.find(path)
    refs = GitRefs(git, options.values("branch"), restores_deleted="deleted" in options)
    if not refs.chosen and refs.detached is None:
        found = ", ".join(f"{count} in {place}" for place, count in refs.others.items())
        if not found:
            raise NotFound(f"{path} has no commit yet")
        raise NotFound(
            f"{path} has no branch, no tag and nothing checked out, only other refs ({found}): "
            "check one out there ('git checkout --detach REF'), or give it a branch"
        )
    return git, refs


def _import_history(repository: Repository, path: str, options: Options) -> Steps[str]:
    git, refs = yield from on_thread(partial(survey, path, options))
    status = yield from on_thread(partial(os.stat, git.git_dir))
    own = _view_around(repository, git.git_dir, status)
    importing = Import(repository, git, refs, own, name=options.value("as"))
    outcome = yield from importing.run()
    if outcome.kept_files:
        yield from carry_marks(repository.root)
        repository.checkpoint()
    if "json" in options:
        return json_reply(_document(importing, outcome, refs))
    return _text(importing, outcome, refs, git)


def _view_around(repository: Repository, git_dir: str, status: os.stat_result) -> View | None:
    """Find the mounted view that has this `.git` at its root, known by inode and ctime."""
    if workspace_over(git_dir) is not None:
        for view in repository.views():
            node = view.workspace.lookup(view.workspace.root, b".git")
            if node is not None and node.ino == status.st_ino:
                return view if node.ctime_ns == status.st_ctime_ns else None
    return None


def _verify(repository: Repository, path: str, *, as_json: bool) -> Steps[str]:
    git = yield from on_thread(partial(Git.find, path))
    found = yield from verify(repository, git)
    if found.missing or found.different:
        raise HeliosError(_differences(found, path))
    if as_json:
        return json_reply({"commit_count": found.commit_count, "missing": [], "different": []})
    return f"{found.commit_count} commits of {path} are the same here, file by file\n"


def _differences(found: VerifyResult, path: str) -> str:
    """Return one line: the first item of each kind, and the number of all."""
    parts = []
    if found.missing:
        parts.append(f"{len(found.missing)} were not imported, {found.missing[0]} among them")
    if found.different:
        parts.append(f"{len(found.different)} are not the same, {found.different[0]} among them")
    return f"of {found.commit_count} commits of {path} {' and '.join(parts)}"


def _text(done: Import, outcome: Outcome, refs: GitRefs, git: Git) -> str:
    lines = [
        f"{done.intake.commit_count} commits, {done.intake.object_count} objects from {git.git_dir}"
    ]
    for word, names in (("new", outcome.new), ("moved", outcome.moved)):
        lines += [f"  {word}: {name.split('/', 1)[1]}" for name in names[:_LISTED_COUNT]]
        if len(names) > _LISTED_COUNT:
            lines.append(f"  and {len(names) - _LISTED_COUNT} more {word}")
    if outcome.same_count:
        lines.append(f"  unchanged: {outcome.same_count}")
    lines += [
        f"  {name!r} belongs to another repository here: this repository's is {ours!r}"
        for name, ours in outcome.apart[:_LISTED_COUNT]
    ]
    lines += [
        f"  branch {name!r} has work of its own here: git's is {aside!r}"
        for name, aside in outcome.aside
    ]
    lines += [
        f"  branch {name!r} is in conflict with a branch name here: git's is {aside!r}"
        for name, aside in outcome.blocked
    ]
    if outcome.deleted:
        lines.append(
            f"  deleted here, and not moved in git since: {listed(outcome.deleted)} "
            "(--deleted imports them again)"
        )
    if outcome.gone:
        lines.append(f"  deleted in git, still here: {listed(outcome.gone)}")
    lines += [f"  left out: {name}: {reason}" for name, reason in outcome.skipped]
    if refs.detached is not None and refs.detached not in refs.chosen:
        oid, holder = refs.detached.git_id.hex(), refs.detached_in.split("/", 1)[1]
        lines.append(f"  HEAD is detached in git at {oid}, which is part of {holder}")
    lines += [
        f"  left out: HEAD of {path}, detached at {oid}, which is part of no branch or tag"
        for path, oid in refs.elsewhere
    ]
    for place, count in refs.others.items():
        lines.append(f"  left out: {count} refs in {place}, neither branches nor tags")
    lines += _of_files(done)
    if outcome.kept_files:
        lines.append("  the files stay as they are; 'helios status' compares them with HEAD")
    return "".join(f"{line}\n" for line in lines)


def _of_files(done: Import) -> list[str]:
    """Return lines on files that are not here as a checkout of git would have them."""
    lines = []
    if done.converted.file_count:
        lines.append(
            f"  {done.converted}: not converted here, where files are as git stores them; "
            "changed ones with filters are not exported without --with-filtered"
        )
    if done.intake.covered_count:
        versions = (
            "1 version"
            if done.intake.covered_count == 1
            else f"{done.intake.covered_count} versions"
        )
        lines.append(
            f"  {versions} of .helios in the history, kept and exported again, but not shown by a "
            "workspace: the name is reserved"
        )
    return lines


def _document(done: Import, outcome: Outcome, refs: GitRefs) -> dict[str, object]:
    return {
        "commit_count": done.intake.commit_count,
        "object_count": done.intake.object_count,
        "converted": dict(done.converted.counts),
        "covered_count": done.intake.covered_count,
        "new": outcome.new,
        "moved": outcome.moved,
        "same_count": outcome.same_count,
        "apart": dict(outcome.apart),
        "aside": dict(outcome.aside + outcome.blocked),
        "deleted": sorted(outcome.deleted),
        "gone": sorted(outcome.gone),
        "left_out": dict(outcome.skipped),
        "other_ref_count": sum(refs.others.values()),
        "kept_files": outcome.kept_files,
    }
