"""`stash`: put uncommitted changes aside, and bring them back (git-stash(1))."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from heliosfs.commands.diff.diff import compared
from heliosfs.commands.diff.form import changes_document, changes_text, chosen_changes
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import chosen, pathspec
from heliosfs.commands.render import commit_line, json_reply
from heliosfs.commands.status.conflicts import conflict_lines
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, Conflicted, NotFound
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.repo.branching import create_branch
from heliosfs.repo.merge import Conflict, Favor, Labels, MergeRules, merge_trees
from heliosfs.repo.stash import (
    StashChange,
    StashEntry,
    change_stash,
    find_stashed,
    new_entry,
    stashed,
)
from heliosfs.repo.view import View
from heliosfs.steps import Steps
from heliosfs.trees.graft import graft

_POSITION = re.compile(r"(?:stash@\{)?(\d{1,9})\}?")
_LABELS = Labels("Updated upstream", "Stash base", "Stashed changes")


class _Found(NamedTuple):
    """An entry that was named."""

    position: int
    entry: StashEntry
    commit: Commit

    @property
    def name(self) -> str:
        return f"stash@{{{self.position}}}"


def stash(request: Request, options: Options) -> str | Steps[str]:
    """Carry out the subcommand that the first word names; `push` without words."""
    verb, *words = options.words or ["push"]
    if options.words and options.paths is None and verb not in _VERBS:
        raise options.misuse(f"the first word is {', '.join(_VERBS)}, not {verb[:80]!r}")
    return _VERBS[verb](request, options, words)


def _push(request: Request, options: Options, words: list[str]) -> str:
    """Put changes aside, all or those of some paths, and restore these files from HEAD."""
    view = request.view
    head = view.head
    if view.merging is not None:
        raise Busy("a merge is open: conclude it, or give it up with 'merge --abort'")
    if head is None:
        raise NotFound("nothing was committed yet: there is nothing to go back to")
    said = options.value("message")
    paths = [*words, *(options.paths or [])]
    aside, left, meant = _parts(request, head, paths)
    root = request.repository.history.read(head).root
    if not view.has_changes() or (aside.oid == root.oid and view.stage.root is None):
        return _reply(request, options, None, "No local changes to save\n")
    staged = view.stage.root
    keeps = "keep-index" in options and staged is not None
    before = view.state()
    target = staged if keeps and staged is not None else left
    after = before._replace(root=view.ignoring.keep(target, before.root))
    place = view.branch or "(no branch)"
    message = f"On {place}: {said}" if said else f"WIP on {place}: {_line(request, head)}"
    with request.repository.transaction:
        entry = new_entry(request.repository.store, _commit(request, head, aside, message))
        kept = staged if keeps else _without(request, staged, root, meant)
        view.move("stash", message, before, after, kept)
        _record(view, [StashChange(is_added=True, entry=entry)])
    text = f"Saved working directory and index state {message}\n"
    return _reply(request, options, entry, text)


def _parts(request: Request, head: CommitId, words: list[str]) -> tuple[Entry, Entry, list[bytes]]:
    """Return the tree to put aside, the one that stays in the workspace, and the paths meant."""
    root = request.repository.history.read(head).root
    work = request.view.selected()
    if not words:
        return work, root, []
    paths = chosen(request, words, [work, root], "to put aside")
    store, now = request.repository.store, request.repository.clock.now_ns()
    aside = graft(store, root, work, paths, now).root
    return aside, graft(store, work, root, paths, now).root, paths


def _without(
    request: Request, staged: Entry | None, root: Entry, paths: list[bytes]
) -> Entry | None:
    """Return the tree that stays staged: none, or all but some paths."""
    if staged is None or not paths:
        return None
    now = request.repository.clock.now_ns()
    left = graft(request.repository.store, staged, root, paths, now).root
    return None if left.oid == root.oid else left


def _commit(request: Request, head: CommitId, root: Entry, message: str) -> CommitId:
    """Make the commit of an entry; the stage is its second parent, as in git."""
    repository, view = request.repository, request.view
    who = repository.identity.sign(repository.clock)
    parents = [head]
    if view.stage.root is not None:
        text = f"index on {view.branch or '(no branch)'}: {_line(request, head)}"
        index = Commit(view.stage.root, (head,), who, who, _bytes(text))
        parents.append(repository.history.write(index))
    return repository.history.write(Commit(root, tuple(parents), who, who, _bytes(message)))


def _apply(request: Request, options: Options, words: list[str]) -> str:
    return _apply_entry(request, options, _find(request, options, words), drops=False)


def _pop(request: Request, options: Options, words: list[str]) -> str:
    return _apply_entry(request, options, _find(request, options, words), drops=True)


def _apply_entry(request: Request, options: Options, found: _Found, *, drops: bool) -> str:
    """Merge an entry into the files; one that left conflicts stays in the stash."""
    options.only_one("markers", "ours", "theirs")
    repository, view = request.repository, request.view
    if view.merging is not None:
        raise Busy("a merge is open: conclude it, or give it up with 'merge --abort'")
    favor = Favor.THEIRS if "theirs" in options else Favor.NONE
    rules = MergeRules(Favor.OURS if "ours" in options else favor, _LABELS)
    base = repository.history.read(found.commit.parents[0])
    before, work = view.state(), view.selected()
    now = repository.clock.now_ns()
    merged = merge_trees(repository.store, base.root, work, found.commit.root, rules, now)
    if merged.conflicts and "markers" not in options:
        raise Conflicted(_ways_to_resolve(merged.conflicts, found, "pop" if drops else "apply"))
    staged = _staged(request, options, found)
    after = before._replace(root=view.ignoring.keep(merged.root, before.root))
    drops = drops and not merged.conflicts
    verb = "pop" if drops else "apply"
    with repository.transaction:
        view.move("stash", f"{verb} {found.name}", before, after, staged)
        _record(view, [StashChange(is_added=False, entry=found.entry)] if drops else [])
    text = conflict_lines(merged.conflicts)
    if merged.conflicts:
        text += f"{found.name} was kept: edit these files, then 'stash drop' it.\n"
    elif drops:
        text = f"Dropped {found.name} ({found.entry.oid.hex()})\n"
    return _reply(request, options, found.entry, text)


def _staged(request: Request, options: Options, found: _Found) -> Entry | None:
    """Return the stage for afterwards: that of now, or, with --index, that of then."""
    view = request.view
    if "index" not in options or len(found.commit.parents) < 2:
        return view.stage.root
    if view.head != found.commit.parents[0] or view.stage.root is not None:
        raise Busy(f"HEAD or the stage is not as it was at {found.name}: leave out --index")
    return request.repository.history.read(found.commit.parents[1]).root


def _ways_to_resolve(conflicts: list[Conflict], found: _Found, verb: str) -> str:
    count = "1 path" if len(conflicts) == 1 else f"{len(conflicts)} paths"
    return (
        f"conflict in {count}: nothing was changed\n{conflict_lines(conflicts)}ways to continue:\n"
        f"  helios stash {verb} --markers {found.name}   write both versions into the files\n"
        f"  helios stash {verb} --ours {found.name}      keep the files where they collide\n"
        f"  helios stash {verb} --theirs {found.name}    take {found.name} where they collide"
    )


def _branch(request: Request, options: Options, words: list[str]) -> str:
    """Create a branch where the entry was made, with its changes."""
    if not words:
        raise options.misuse("give the name of the new branch, as in 'stash branch NAME'")
    name, rest = words[0], words[1:]
    found = _find(request, options, rest)
    repository = request.repository
    if request.view is not request.repository.root:
        raise options.misuse(
            "a live view cannot leave its branch: run 'stash branch' at the mount point"
        )
    with repository.transaction:
        create_branch(repository, name, found.commit.parents[0])
        repository.checkout_branch(name)
        there = request._replace(view=repository.root)
        return f"Switched to a new branch '{name}'\n" + _apply_entry(
            there, options, found, drops=True
        )


def _drop(request: Request, options: Options, words: list[str]) -> str:
    found = _find(request, options, words)
    _take(request, f"drop {found.name}", [found.entry])
    text = f"Dropped {found.name} ({found.entry.oid.hex()})\n"
    return _reply(request, options, found.entry, text)


def _clear(request: Request, options: Options, words: list[str]) -> str:
    if words:
        raise options.misuse(f"one argument too many: {words[0]!r}")
    entries = stashed(request.repository.store)
    if entries:
        _take(request, "clear", entries)
    return ""


def _take(request: Request, text: str, entries: list[StashEntry]) -> None:
    """Take entries out, as an operation that undo takes back."""
    view = request.view
    state = view.state()
    with request.repository.transaction:
        view.move("stash", text, state, state, view.stage.root)
        _record(view, [StashChange(is_added=False, entry=entry) for entry in entries])


def _record(view: View, changes: list[StashChange]) -> None:
    assert view.log.last is not None
    change_stash(view.core.store, view.slot, view.log.last.sequence, changes)


def _list(request: Request, options: Options, words: list[str]) -> Steps[str]:
    """List the entries, the newest first."""
    if words:
        raise options.misuse(f"one argument too many: {words[0]!r}")
    yield from ()
    history = request.repository.history
    entries = stashed(request.repository.store)
    commits = [history.read(entry.oid) for entry in entries]
    pairs = list(zip(entries, commits, strict=True))
    if "json" in options:
        return json_reply(
            [
                {"name": f"stash@{{{at}}}", "id": entry.oid.hex(), "subject": commit.subject}
                for at, (entry, commit) in enumerate(pairs)
            ]
        )
    return "".join(f"stash@{{{at}}}: {commit.subject}\n" for at, (_, commit) in enumerate(pairs))


def _show(request: Request, options: Options, words: list[str]) -> Steps[str]:
    """Show the changes of an entry, counted by files if nothing else is asked for."""
    found = _find(request, options, words)
    old = request.repository.history.read(found.commit.parents[0]).root
    spec = pathspec(request.cwd, options.paths or [])
    changes = yield from compared(request, options, old, found.commit.root, spec)
    changes = chosen_changes(options, changes)
    if "json" in options:
        document = yield from changes_document(request, options, changes)
        return json_reply({"id": found.entry.oid.hex(), "changes": document})
    return (yield from changes_text(request, options, changes, default="stat"))


def _find(request: Request, options: Options, words: list[str]) -> _Found:
    """Return the entry that a word names; the newest without one.  Raise UsageError or NotFound."""
    if len(words) > 1:
        raise options.misuse(f"one argument too many: {words[1]!r}")
    matched = _POSITION.fullmatch(words[0]) if words else None
    if words and matched is None and words[0] != "stash":
        raise options.misuse(f"name an entry as stash@{{N}}, not as {words[0][:80]!r}")
    position = int(matched[1]) if matched else 0
    entry = find_stashed(request.repository.store, position)
    return _Found(position, entry, request.repository.history.read(entry.oid))


def _line(request: Request, oid: CommitId) -> str:
    return commit_line(request.repository, oid)


def _reply(request: Request, options: Options, entry: StashEntry | None, text: str) -> str:
    if "json" in options:
        return json_reply({"id": entry.oid.hex() if entry else None})
    return "" if "quiet" in options else text


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_VERBS: dict[str, Callable[[Request, Options, list[str]], str | Steps[str]]] = {
    "push": _push,
    "save": _push,
    "pop": _pop,
    "apply": _apply,
    "list": _list,
    "show": _show,
    "drop": _drop,
    "clear": _clear,
    "branch": _branch,
}
