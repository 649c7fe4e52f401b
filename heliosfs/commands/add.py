"""`add`: what the next commit takes."""

from __future__ import annotations

from heliosfs.commands.diff.changes import compare, within
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import chosen, is_magic
from heliosfs.commands.render import below, json_reply, quote_path, relative, text_of
from heliosfs.commands.revision_words import spec_of
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound, NotPermitted
from heliosfs.objects.tree import Entry
from heliosfs.store.base import Store
from heliosfs.trees.gitless import git_dir_of, put_at
from heliosfs.trees.graft import graft
from heliosfs.trees.stored import find_entry


def add(request: Request, options: Options) -> str:
    """Stage the paths as they are now.

    While a merge is open nothing needs to be staged: its commit takes everything.
    """
    words = [*options.words, *(options.paths or [])]
    options.only_one("all", "update")
    if not words and "all" not in options and "update" not in options:
        raise options.misuse("give a path: 'add .' takes everything below the current directory")
    _check_outside_git(request, words)
    view = request.view
    source = view.state().root if "force" in options else view.selected()
    if "update" in options:
        paths = _known(request, source, words)
    else:
        paths = [b""] if not words else _existing(request, words, source)
    if "force" in options:
        source = _without_git_dirs(request, source, paths)
    if "dry-run" in options:
        now = request.repository.clock.now_ns()
        changed = graft(request.repository.store, view.base_root(), source, paths, now).changed
    else:
        changed = [] if view.merging is not None else view.stage_paths(source, paths)
    if "json" in options:
        return json_reply({"changed": [text_of(path) for path in changed]})
    if "verbose" not in options and "dry-run" not in options:
        return ""
    store = request.repository.store
    lines = []
    for path in changed:
        verb = "remove" if find_entry(store, source, path) is None else "add"
        lines.append(f"{verb} {quote_path(relative(request.cwd, path))!r}\n")
    return "".join(lines)


def _check_outside_git(request: Request, words: list[str]) -> None:
    """Check that no path is in a `.git`.  Raise NotPermitted."""
    for word in words:
        if not is_magic(word) and git_dir_of(below(request.cwd, word)) is not None:
            raise NotPermitted(f"{word[:80]!r} is kept out of commits: git's own files stay git's")


def _without_git_dirs(request: Request, source: Entry, paths: list[bytes]) -> Entry:
    """Return the tree with no `.git` in the directories that are meant."""
    store, git_free = request.repository.store, request.repository.history.git_free
    for path in paths:
        entry = find_entry(store, source, path)
        if entry is None or not entry.is_dir:
            continue
        stripped = git_free.strip(entry)
        if not path:
            return stripped
        if stripped.oid != entry.oid:
            source = put_at(store, source, path, stripped)
    return source


def _known(request: Request, source: Entry, words: list[str]) -> list[bytes]:
    """Return the changed paths below the words that were there before; new ones are left out."""
    base = request.view.base_root()
    spec = spec_of(request, words, source, base)
    changes = compare(request.repository.store, base, source, with_renames=False)
    return [each.path for each in within(changes, spec) if each.old is not None]


def _existing(request: Request, words: list[str], source: Entry) -> list[bytes]:
    """Return the paths that the words mean, also deleted ones.

    Raise NotFound, which names a word without a path.
    """
    view = request.view
    try:
        return chosen(request, words, [source, view.base_root()], "here: nothing was staged")
    except NotFound:
        store = request.repository.store
        for word in words:
            if not is_magic(word) and _is_ignored(store, view.state().root, source, request, word):
                raise NotPermitted(f"{word[:80]!r} is ignored: 'add -f' stages it anyway") from None
        raise


def _is_ignored(store: Store, work: Entry, source: Entry, request: Request, word: str) -> bool:
    path = below(request.cwd, word)
    return find_entry(store, source, path) is None and find_entry(store, work, path) is not None
