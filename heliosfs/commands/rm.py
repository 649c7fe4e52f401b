"""`rm`: remove files from the workspace and from the next commit, or from that alone."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec, paths_below, pathspec
from heliosfs.commands.render import json_reply, quote_path, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, NotFound
from heliosfs.objects.tree import Entry
from heliosfs.steps import ALONE, Steps
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.same import differs
from heliosfs.trees.stored import find_entry

_NAMED_COUNT = 10


def rm(request: Request, options: Options) -> Steps[str]:
    """Remove the files that HEAD or the stage has and the words name."""
    words = [*options.words, *(options.paths or [])]
    if not words:
        raise options.misuse("give a path")
    spec = pathspec(request.cwd, words, default=request.cwd)
    base = _base_of(request, options)
    paths = yield from _files_to_remove(request, options, spec, base)
    yield ALONE
    if base != (base := _base_of(request, options)):
        # Others have changed it meanwhile; now they cannot, but for the files of an open merge.
        paths = yield from _files_to_remove(request, options, spec, base)
    with request.repository.transaction:
        _remove(request, options, words, base, paths)
    if "json" in options:
        return json_reply({"changed": [text_of(path) for path in paths]})
    if "quiet" in options:
        return ""
    return "".join(f"rm {_single_quoted(path)}\n" for path in paths)


def _remove(
    request: Request, options: Options, words: list[str], base: Entry, paths: list[bytes]
) -> None:
    """Remove the files of a tree, unless content would be lost.  Raise Busy."""
    view, store = request.view, request.repository.store
    is_merging, work = view.merging is not None, view.selected()
    if not (is_merging or "force" in options):
        _check_kept(request, options, paths, base, work)
    if "dry-run" in options or not paths:
        return
    now = request.repository.clock.now_ns()
    edits: dict[bytes, Entry | None] = dict.fromkeys(_with_parents(paths))
    staged = edit_tree(store, base, _present(request, edits, base), now)
    staged_root = staged if view.differs(view.head, staged) and not is_merging else None
    if "cached" in options:
        view.stage.replace(staged_root)
        return
    before = view.state()
    root = edit_tree(store, work, _present(request, edits, work), now)
    after = before._replace(root=view.ignoring.keep(root, before.root))
    view.move("rm", " ".join(words), before, after, staged_root)


def _single_quoted(path: bytes) -> str:
    return "'" + quote_path(path) + "'"


def _base_of(request: Request, options: Options) -> Entry:
    """Return the tree whose files are meant.  Raise Busy."""
    view = request.view
    if view.merging is None:
        return view.base_root()
    if "cached" in options:
        raise Busy("a merge is open, and its commit takes every file: leave out --cached")
    # In an open merge what is there counts: that is how a deletion is decided for.
    return view.selected()


def _files_to_remove(
    request: Request, options: Options, spec: Pathspec, base: Entry
) -> Steps[list[bytes]]:
    """Return the files to remove.  Raise NotFound for a word without one; directories need -r."""
    store = request.repository.store
    paths = yield from paths_below(store, base, spec)
    for item in spec.items:
        if item.fits is not None and any(map(item.fits, paths)):
            continue
        entry = find_entry(store, base, item.place) if item.fits is None else None
        if entry is None:
            if "ignore-unmatch" in options:
                continue
            raise NotFound(f"no path {item.word[:80]!r} in HEAD or the stage: use rm(1)")
        if entry.is_dir and "recursive" not in options:
            raise options.misuse(
                f"{item.word[:80]!r} is a directory: -r removes it with everything in it"
            )
    return paths


def _check_kept(
    request: Request, options: Options, paths: list[bytes], base: Entry, work: Entry
) -> None:
    """Check that no content is lost that no commit has.  Raise Busy."""
    view, store = request.view, request.repository.store
    head = view.head_root()
    changed: list[bytes] = []
    for path in paths:
        here, staged = (find_entry(store, root, path) for root in (work, base))
        before = find_entry(store, head, path) if head is not None else None
        is_new = _differ(staged, before)
        is_edited = here is not None and _differ(here, staged)
        if (is_new and is_edited) if "cached" in options else (is_new or is_edited):
            changed.append(path)
    if changed:
        shown = ", ".join(map(quote_path, changed[:_NAMED_COUNT]))
        more = f" and {len(changed) - _NAMED_COUNT} more" if changed[_NAMED_COUNT:] else ""
        raise Busy(
            f"changed and not committed: {shown}{more}: --cached keeps the file, -f removes it"
        )


def _differ(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None:
        return one is not other
    if stat.S_IFMT(one.mode) != stat.S_IFMT(other.mode):
        return True
    return differs(one._replace(name=b""), other._replace(name=b""))


def _with_parents(paths: list[bytes]) -> Iterator[bytes]:
    """Yield the paths and the directories above them, which are removed when they become empty."""
    for path in paths:
        while path:
            yield path
            path = path.rpartition(b"/")[0]


def _present(
    request: Request, edits: dict[bytes, Entry | None], root: Entry
) -> dict[bytes, Entry | None]:
    """Return those edits whose path the tree has."""
    store = request.repository.store
    return {path: None for path in edits if find_entry(store, root, path) is not None}
