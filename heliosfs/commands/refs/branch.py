"""`branch`: list, create, rename, delete."""

from __future__ import annotations

from heliosfs.commands.colours import Role, paint_of
from heliosfs.commands.declarations.shared_options import LISTED
from heliosfs.commands.options import Options, misuse
from heliosfs.commands.refs.form import HEADS, REMOTES, RefForm, listed, refs_of
from heliosfs.commands.render import bytes_of, commit_line, json_reply, short
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, NotFound, StoreError
from heliosfs.objects.ids import CommitId
from heliosfs.repo.branching import (
    branch_with_ignored,
    check_reached,
    create_branch,
    delete_branch,
    fork_branch,
    rename_branch,
    tips_beside,
)
from heliosfs.repo.refs import Branch
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import resolve
from heliosfs.repo.upstream import compare_upstream
from heliosfs.repo.view import View
from heliosfs.steps import ALONE, Steps, at_once
from heliosfs.trees.wildmatch import matcher

_FORMS = ("fork", "copy-ignored", "move", "copy", "delete", "force-delete", "show-current")
"""Options of which one excludes the others, and those of a list."""


def branch(request: Request, options: Options) -> str | Steps[str]:
    """List, create, move, copy or delete branches as the options say; without words, list them.

    Return the reply, or the steps that make it.
    """
    options.only_one(*_FORMS, "list")
    if options.has_any(LISTED):
        for key in _FORMS:
            for other in LISTED:
                options.only_one(key, other)
    if "delete" in options or "force-delete" in options:
        return _delete(request, options)
    if "move" in options:
        return _rename(request, options)
    if "copy" in options:
        return _copy(request, options)
    if "show-current" in options:
        options.at_most(0)
        return f"{request.view.branch}\n" if request.view.branch else ""
    is_list = options.has_any(("list", "remotes", "all", "verbose", *LISTED))
    if options.words and not is_list:
        return _create(request, options)
    for key in ("fork", "copy-ignored", "force"):
        if key in options:
            raise options.misuse(f"--{key} needs the name of the branch")
    return _list(request, options)


def make_branch(
    request: Request, name: str, base: str | None, *, fork: bool = False, with_ignored: bool = False
) -> Branch:
    """Create a branch at `base`, or at HEAD.

    `fork` takes the working state of `base`, or of the view; `with_ignored` the view's ignored
    files alone.
    """
    repository, view = request.repository, request.view
    if fork:
        return fork_branch(repository, name, _origin(request, base))
    if base is None and view.head is None:
        raise NotFound("nothing was committed yet: commit first, or use --fork")
    oid = resolve(repository, base or "HEAD", view.head)
    if with_ignored:
        return branch_with_ignored(repository, name, oid, view)
    return create_branch(repository, name, oid)


def _origin(request: Request, base: str | None) -> Branch | View:
    """Return what is forked.  Raise UsageError for a revision that is no branch."""
    if base is None or base == "HEAD":
        return request.view
    refs = request.repository.refs
    if base not in refs:
        # The error of a name that means nothing comes first.
        resolve(request.repository, base, request.view.head)
        raise misuse("branch", f"--fork takes a branch: {base[:80]!r} has no uncommitted changes")
    return refs.branch(base)


def _create(request: Request, options: Options) -> str:
    options.only_one("fork", "copy-ignored", "force")
    options.at_most(2)
    name, base = [*options.words, None][:2]
    assert name is not None
    if "force" in options and name in request.repository.refs:
        made = move_branch(request, name, base)
    else:
        made = make_branch(
            request, name, base, fork="fork" in options, with_ignored="copy-ignored" in options
        )
    if "json" in options:
        return json_reply(_document(request.repository, request.view, made))
    return ""


def move_branch(request: Request, name: str, base: str | None) -> Branch:
    """Move a branch that is not shown here to another commit, with its files.  Raise Busy."""
    repository, view = request.repository, request.view
    branch = repository.refs.branch(name)
    if branch.slot == view.slot:
        raise Busy(f"cannot move branch {name!r}: you are on it, use 'reset'")
    oid = resolve(repository, base or "HEAD", view.head)
    there = repository.view_of(branch) or repository.live_view(name)
    if there.has_changes():
        raise Busy(f"branch {name!r} has uncommitted changes: commit them, or 'reset' it there")
    there.reset(oid)
    return branch


def _delete(request: Request, options: Options) -> Steps[str]:
    repository = request.repository
    if not options.words:
        raise options.misuse("give the name of a branch")
    names = list(dict.fromkeys(options.words))
    for name in names:
        if name not in repository.refs and repository.remotes.find(name) is not None:
            remote, _, there = name.removeprefix("remotes/").partition("/")
            raise NotFound(f"{name!r} is at a remote: 'helios push --delete {remote} {there}'")
        if repository.refs.branch(name).slot == request.view.slot:
            raise Busy(f"cannot delete branch {name!r}: you are on it")
    force = "force-delete" in options
    looked = None if force else (yield from _check_reached(repository, names))
    yield ALONE
    if looked is not None and looked != _standing(repository, names):
        yield from _check_reached(repository, names)
    with repository.transaction:
        gone = {
            name: delete_branch(repository, name, force=force, is_reached=True) for name in names
        }
    lines: list[str] = []
    for name, (head, rest, ignored) in gone.items():
        lines.append(f"Deleted branch {name} (was {short(head) if head else 'without a commit'}).")
        if rest is not None:
            lines[-1] += f" Its uncommitted changes are in commit {short(rest)}."
        if ignored is not None:
            lines[-1] += f" Its ignored files are in commit {short(ignored)}."
    if "json" in options:
        return json_reply({"deleted": names})
    return "".join(f"{line}\n" for line in lines)


_Standing = tuple[list[CommitId | None], frozenset[CommitId]]


def _standing(repository: Repository, names: list[str]) -> _Standing:
    """Return the state of the branches on which the answer of `check_reached` depends."""
    branches = [repository.refs.branch(name) for name in names]
    return [each.head for each in branches], tips_beside(repository, branches)


def _check_reached(repository: Repository, names: list[str]) -> Steps[_Standing]:
    standing = _standing(repository, names)
    yield from check_reached(repository, [repository.refs.branch(name) for name in names])
    return standing


def _old_and_new(request: Request, options: Options) -> tuple[str, str]:
    """Return the two names of -m and -c; with one word, the old one is the view's branch."""
    options.at_most(2)
    if not options.words:
        raise options.misuse("give the new name")
    new = options.words[-1]
    old = options.words[0] if len(options.words) == 2 else request.view.require_branch()
    return old, new


def _rename(request: Request, options: Options) -> str:
    old, new = _old_and_new(request, options)
    renamed = rename_branch(request.repository, old, new)
    if "json" in options:
        return json_reply(_document(request.repository, request.view, renamed))
    return ""


def _copy(request: Request, options: Options) -> str:
    """Create a branch of another name at the same commit."""
    old, new = _old_and_new(request, options)
    repository = request.repository
    if "force" in options and new in repository.refs:
        made = move_branch(request, new, old)
    else:
        made = create_branch(repository, new, repository.refs.branch(old).head)
    if "json" in options:
        return json_reply(_document(repository, request.view, made))
    return ""


def _list(request: Request, options: Options) -> str | Steps[str]:
    if any(key in options for key in LISTED):
        return _listed(request, options)
    repository = request.repository
    tests = [matcher(bytes_of(pattern)) for pattern in options.words or ["*"]]

    def is_chosen(name: str) -> bool:
        return any(fits(bytes_of(name)) for fits in tests)

    found = [] if "remotes" in options else _sorted(repository)
    far = repository.remotes.branches() if options.has_any(("remotes", "all")) else ()
    return _shown(
        request,
        options,
        [each for each in found if is_chosen(each.name)],
        [(name, oid) for name, oid in far if is_chosen(name)],
    )


def _listed(request: Request, options: Options) -> Steps[str]:
    """List the branches that the options let through, in their order and form."""
    kinds = [HEADS] if "remotes" not in options else []
    kinds += [REMOTES] if options.has_any(("remotes", "all")) else []
    refs = yield from refs_of(request, options, kinds)
    tests = [matcher(bytes_of(pattern)) for pattern in options.words or ["*"]]
    refs = [ref for ref in refs if any(fits(bytes_of(ref.short)) for fits in tests)]
    template = options.value("format")
    if template is not None:
        return listed(refs, RefForm(request, template, paint_of(request, options)))
    branches = request.repository.refs
    return _shown(
        request,
        options,
        [branches.branch(ref.short) for ref in refs if ref.name.startswith(HEADS)],
        [(ref.short, ref.oid) for ref in refs if ref.name.startswith(REMOTES)],
    )


def _shown(
    request: Request,
    options: Options,
    found: list[Branch],
    far: list[tuple[str, CommitId]],
) -> str:
    """Return a line for each branch, and for each of `far`, which are branches of remotes."""
    repository, view = request.repository, request.view
    if "json" in options:
        documents = [_document(repository, view, each) for each in found]
        return json_reply(documents + [_far_document(*each) for each in far])
    rows: list[tuple[str, str, CommitId | None]] = []
    is_chosen = bool(options.words) or options.has_any(("remotes", *LISTED))
    if view.branch is None and not is_chosen:
        at = f" at {short(view.head)}" if view.head else ""
        rows.append(("*", f"(HEAD detached{at})", view.head))
    rows += [("*" if each.slot == view.slot else " ", each.name, each.head) for each in found]
    prefix = "" if "remotes" in options else "remotes/"
    rows += [(" ", prefix + name, oid) for name, oid in far]
    is_verbose = "verbose" in options
    width = max((len(name) for _, name, _ in rows), default=0) if is_verbose else 0
    paint = paint_of(request, options)
    lines = []
    for mark, name, head in rows:
        shown = f"{name:<{width}}"
        line = f"{mark} {paint(Role.CURRENT, shown) if mark == '*' else shown}"
        if is_verbose:
            line += f" {_tip(repository, name, head)}"
        lines.append(f"{line}\n")
    return "".join(lines)


def _tip(repository: Repository, name: str, head: CommitId | None) -> str:
    """Return id and subject of a branch's commit, and how it differs from its upstream.

    A damaged commit does not hide the others.
    """
    if head is None:
        return "(no commit)"
    try:
        upstream = at_once(compare_upstream(repository, name, head))
        oid, _, subject = commit_line(repository, head).partition(" ")
    except StoreError:
        return f"{short(head)} (cannot be read: 'helios fsck' tells more)"
    if upstream is not None:
        subject = f"[{upstream.name}{': ' * bool(str(upstream))}{upstream}] {subject}"
    return f"{oid} {subject}".rstrip()


def _sorted(repository: Repository) -> list[Branch]:
    return sorted(repository.refs, key=lambda branch: branch.name)


def _far_document(name: str, head: CommitId) -> dict[str, object]:
    return {"name": name, "head": head.hex(), "current": False, "mounted": False}


def _document(repository: Repository, view: View, branch: Branch) -> dict[str, object]:
    return {
        "name": branch.name,
        "head": branch.head.hex() if branch.head else None,
        "current": branch.slot == view.slot,
        "mounted": branch.slot == repository.root.slot,
    }
