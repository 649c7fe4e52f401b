"""`restore`, and `checkout REV -- PATH`: single paths as they are in a commit."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.commands.options import Options
from heliosfs.commands.render import below, json_reply, short, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.revisions import resolve
from heliosfs.workspace.edit import edit_tree
from heliosfs.workspace.trees import EMPTY_TREE, Change, differs, find_entry, walk_changes


def restore(request: Request, options: Options) -> str:
    """Make the paths exactly what the source has there: what it does not have goes."""
    words = [*options.words, *(options.paths or [])]
    if not words:
        raise options.misuse("which path?")
    oid = resolve(request.repository, options.value("source") or "HEAD", request.view.head)
    changed = restore_paths(request, oid, words, overlay=False)
    if "json" in options:
        return json_reply({"source": oid.hex(), "changed": [text_of(path) for path in changed]})
    return ""


def checkout_paths(request: Request, revision: str, words: list[str]) -> list[bytes]:
    """Bring the paths from a commit; files that it does not have stay.  Gives what changed."""
    oid = resolve(request.repository, revision, request.view.head)
    return restore_paths(request, oid, words, overlay=True)


def restore_paths(
    request: Request, oid: CommitId, words: list[str], *, overlay: bool
) -> list[bytes]:
    """Take paths out of a commit into the working tree, as one operation; gives what changed.

    With `overlay` nothing is removed.  NotFound names a path that is on neither side (with
    `overlay`: not in the commit).  Cost: O(changed).
    """
    repository, view = request.repository, request.view
    store = repository.store
    before = view.state()
    source = repository.history.read(oid).root
    edits: dict[bytes, Entry | None] = {}
    for word in words:
        path = below(request.cwd, word)
        here, there = (find_entry(store, root, path) for root in (before.root, source))
        if there is None and (overlay or here is None):
            raise NotFound(f"no path {word[:80]!r} in {short(oid)}")
        for change in _difference(request, path, here, there):
            is_replaced = there is not None and not there.is_dir
            if change.new is not None or not overlay or is_replaced:
                edits[change.path] = change.new
    changed = sorted(edits)
    if not changed:
        return []
    for path in changed:
        _make_parents(request, edits, path, before.root, source)
    root = edit_tree(store, before.root, edits, repository.clock.now_ns())
    text = f"{short(oid)}: {' '.join(words)}"
    view.move("restore", text, before, before._replace(root=root))
    return changed


def _difference(
    request: Request, path: bytes, here: Entry | None, there: Entry | None
) -> Iterator[Change]:
    if differs(here, there):
        yield Change(path, here, there)
    old, new = (
        TreeId(entry.oid) if entry is not None and entry.is_dir else EMPTY_TREE
        for entry in (here, there)
    )
    yield from walk_changes(request.repository.store, old, new, path + b"/" if path else b"")


def _make_parents(
    request: Request, edits: dict[bytes, Entry | None], path: bytes, root: Entry, source: Entry
) -> None:
    """The directories that are missing above a restored path come with it."""
    store = request.repository.store
    above = path.rpartition(b"/")[0]
    while above and edits[path] is not None and above not in edits:
        if find_entry(store, root, above) is not None:
            return
        edits[above] = find_entry(store, source, above)
        above = above.rpartition(b"/")[0]
