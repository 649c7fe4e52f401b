"""The history of paths: the commits that changed them (git-log(1), History Simplification)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, Oid, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.history import History
from heliosfs.repo.merge.renames import find_renames
from heliosfs.repo.merge.sides import Side
from heliosfs.repo.walks import Stepper, WalkStep, whole
from heliosfs.store.base import Store
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, find_entry, has_changes, walk_changes

_KNOWN_MAX = 100_000


class PathLog:
    """The steps of a walk over the commits that changed one of the paths.

    If a merge has the same content at the paths as one of its parents, the walk continues only
    there.
    """

    def __init__(
        self,
        store: Store,
        history: History,
        paths: Sequence[bytes],
        step: Stepper = whole,
        matches: Callable[[bytes], bool] | None = None,
        *,
        follows: bool = False,
    ) -> None:
        self._store = store
        self._history = history
        self._paths = list(paths)
        self._step = step
        """Step of the same walk without paths."""
        self._matches = matches
        """Filter of the files at and below the paths; None for all."""
        self._follows = follows
        """True if a file that a commit renamed is followed under its earlier name."""
        self._known: dict[tuple[Oid, bytes], Entry | None] = {}
        """Entry by directory and name: most are the same from commit to commit."""

    def step(self, oid: CommitId, commit: Commit) -> WalkStep:
        """Return whether the commit changed the paths, and where to continue.  Cost: O(depth)."""
        parents = self._step(oid, commit).parents
        if not parents:
            return WalkStep((), is_shown=any(self._has(commit.root, path) for path in self._paths))
        roots = [self._history.read(parent).root for parent in parents]
        for parent, root in zip(parents, roots, strict=True):
            if all(self._is_same(root, commit.root, path) for path in self._paths):
                return WalkStep((parent,), is_shown=False)
        if self._follows:
            self._follow(roots[0], commit.root)
        return WalkStep(parents)

    def _has(self, root: Entry, path: bytes) -> bool:
        entry = self._at(root, path)
        if self._matches is None or entry is None:
            return entry is not None
        return any(map(self._matches, self._changed(path, None, entry)))

    def _follow(self, old: Entry, new: Entry) -> None:
        for at, path in enumerate(self._paths):
            if self._at(old, path) is None and self._at(new, path) is not None:
                self._paths[at] = rename_source(self._store, old, new, path) or path

    def _is_same(self, old: Entry, new: Entry, path: bytes) -> bool:
        if old.oid == new.oid:
            return True
        before, after = self._at(old, path), self._at(new, path)
        if self._matches is not None:
            return not any(map(self._matches, self._changed(path, before, after)))
        if differs(before, after):
            return False
        if before is None or after is None or not (before.is_dir and after.is_dir):
            return True
        return not has_changes(self._store, TreeId(before.oid), TreeId(after.oid))

    def _changed(self, path: bytes, old: Entry | None, new: Entry | None) -> Iterator[bytes]:
        """Yield the files that differ at and below a path."""
        before, after = (
            TreeId(entry.oid) if entry is not None and entry.is_dir else EMPTY_TREE
            for entry in (old, new)
        )
        if differs(old, new) and EMPTY_TREE in (before, after):
            yield path
        for change in walk_changes(self._store, before, after, path + b"/" if path else b""):
            if not all(entry is None or entry.is_dir for entry in (change.old, change.new)):
                yield change.path

    def _at(self, root: Entry, path: bytes) -> Entry | None:
        entry: Entry | None = root
        for name in path.split(b"/") if path else ():
            if entry is None or not entry.is_dir:
                return None
            key = entry.oid, name
            if key not in self._known:
                if len(self._known) >= _KNOWN_MAX:
                    self._known.clear()
                self._known[key] = find_entry(self._store, entry, name)
            entry = self._known[key]
        return entry


def rename_source(store: Store, old: Entry, new: Entry, path: bytes) -> bytes | None:
    """Return the path in `old` of a file of `new`, if it was renamed in between."""
    side = Side(store, old, new)
    renames = find_renames(store, side.files, side.files.keys())
    return next((source for source, rename in renames.items() if rename.path == path), None)
