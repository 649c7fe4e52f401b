"""`import --from-dir` and `--beneath`: files of a directory, as uncommitted changes.

Nothing that the workspace has is overwritten: a file of the same name and other bytes is left
out, or taken in beside it.  Names are chosen while others work, and looked at again at the end.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial

from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, NotFound
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import NAME_MAX, Entry
from heliosfs.repo.beneath import Beneath, known, remember
from heliosfs.repo.repository import Repository
from heliosfs.steps import ALONE, TURN, Steps, on_thread
from heliosfs.store.base import Store
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.gitless import git_dir_of
from heliosfs.trees.stored import EMPTY_TREE, find_entry, walk_changes
from heliosfs.workspace.flush import file_slices, flush
from heliosfs.workspace.foreign import Comparison, ForeignItem, KnownItems, compare
from heliosfs.workspace.ingest import ingest
from heliosfs.workspace.unloading import close
from heliosfs.workspace.workspace import Workspace, empty_root

_SLICE_BYTES = 2 * 1024 * 1024
_LISTED_COUNT = 20
_SUFFIX = b".imported"


def import_directory(
    request: Request, options: Options, path: str, beneath: Beneath | None
) -> Steps[str]:
    """Import the files of a directory; with `beneath`, only those that were not imported yet.

    NotFound when it cannot be opened; NotPermitted names a file that cannot be read, and nothing
    is taken in; Busy when another branch is checked out meanwhile.
    """
    if beneath is not None:
        dir_fd = os.dup(beneath.dir_fd)
    else:
        dir_fd = yield from on_thread(partial(_open, path))
    try:
        taken = (known(request.repository.store) or KnownItems()) if beneath is not None else None
        importing = _Import(request, dir_fd, path, taken, keeps_both="keep-both" in options)
        yield from importing.compare()
        if "dry-run" not in options:
            yield from importing.run()
    finally:
        os.close(dir_fd)
    if "json" in options:
        return json_reply(importing.document(is_dry="dry-run" in options))
    return importing.text(is_dry="dry-run" in options)


class _Import:
    def __init__(
        self,
        request: Request,
        dir_fd: int,
        path: str,
        taken: KnownItems | None,
        *,
        keeps_both: bool,
    ) -> None:
        self._repository: Repository = request.repository
        self._store: Store = request.repository.store
        self._view = request.view
        self._dir_fd = dir_fd
        self._path = path
        self._taken = taken
        """Known state of the directory beneath; None for any other directory."""
        self._keeps_both = keeps_both
        self._root = self._view.state().root
        self._found = Comparison()
        self._places: dict[bytes, bytes] = {}
        """Path in the workspace for each imported path of the directory."""
        self._count = 0

    def compare(self) -> Steps[None]:
        """Find new files, and choose their paths in the workspace."""
        found = yield from compare(self._store, self._root, self._dir_fd, self._taken or ())
        found.new, found.different = map(self._outside_git, (found.new, found.different))
        self._found = found
        self._places = {item.path: item.path for item in found.new}
        if self._keeps_both:
            free = {item.path for item in found.new}
            for item in found.different:
                place = _free_name(self._store, self._root, item.path, free)
                free.add(place)
                self._places[item.path] = place
        self._count = len(found.new_files) + (len(found.different) if self._keeps_both else 0)

    def _outside_git(self, items: list[ForeignItem]) -> list[ForeignItem]:
        """Return the items without those for a `.git` that is here: two would be mixed up."""
        known: dict[bytes, bool] = {}
        left = []
        for item in items:
            git_dir = git_dir_of(item.path)
            if git_dir is not None and git_dir not in known:
                known[git_dir] = find_entry(self._store, self._root, git_dir) is not None
            if git_dir is None or not known[git_dir]:
                left.append(item)
        return left

    def run(self) -> Steps[None]:
        """Read the chosen files on a thread, and put them into the workspace."""
        repository = self._repository
        identity, clock = repository.identity, repository.clock
        root = empty_root(identity.uid, identity.gid, clock.now_ns())
        # On the side, so that what cannot be read to the end leaves the workspace as it is.
        side = Workspace(self._store, clock, repository.inodes, repository.working_set, root)
        try:
            yield from ingest(side, self._dir_fd, is_wanted=self._wanted())
            for _ in file_slices(side, _SLICE_BYTES):
                repository.publish()
                yield TURN
            yield ALONE
            self._put(flush(side))
        finally:
            close(side)

    def _wanted(self) -> _Wanted:
        whole = {item.path for item in self._found.different if item.is_dir}
        return _Wanted(set(self._places), whole & self._places.keys())

    def _put(self, source: Entry) -> None:
        view, repository = self._view, self._repository
        if view not in repository.views():
            raise Busy("another branch was checked out meanwhile")
        before = view.state()
        if before.root.oid == EMPTY_TREE and self._taken is None:
            # As a whole, the attributes of the directory itself included.
            root = source
        else:
            if before.root.oid != self._root.oid:
                self._drop_taken_paths(before.root)
            edits = dict(self._edits(before.root, source))
            root = edit_tree(self._store, before.root, edits, repository.clock.now_ns())
        with repository.transaction:
            if self._taken is not None:
                self._remember()
            if root != before.root:
                after = before._replace(root=root)
                view.move("import", self._path, before, after, with_times=True)

    def _drop_taken_paths(self, root: Entry) -> None:
        """Leave out paths that appeared in the workspace while files were read."""
        directories = {item.path for item in self._found.new if item.is_dir}
        for path, place in list(self._places.items()):
            there = find_entry(self._store, root, place)
            is_joined = there is not None and there.is_dir and path in directories
            if not (is_joined or _is_free(self._store, root, place)):
                del self._places[path]
        left = [item for item in self._found.new_files if item.path not in self._places]
        self._found.different += left
        self._found.new = [item for item in self._found.new if item.path in self._places]
        self._count = sum(1 for path in self._places if path not in directories)

    def _edits(self, root: Entry, source: Entry) -> Iterator[tuple[bytes, Entry]]:
        """Yield each path and its new entry, and the missing directories above it."""
        above: set[bytes] = set()
        for path, place in self._places.items():
            entry = find_entry(self._store, source, path)
            if entry is None:
                continue  # gone since it was looked at
            parent, from_parent = place.rpartition(b"/")[0], path.rpartition(b"/")[0]
            while parent and parent not in above:
                above.add(parent)
                made = find_entry(self._store, source, from_parent)
                if made is not None and find_entry(self._store, root, parent) is None:
                    yield parent, made
                parent, from_parent = (each.rpartition(b"/")[0] for each in (parent, from_parent))
            there = find_entry(self._store, root, place)
            if not (entry.is_dir and there is not None and there.is_dir):
                yield place, entry
            if entry.is_dir and path != place:
                tree = TreeId(entry.oid)
                for change in walk_changes(self._store, EMPTY_TREE, tree, place + b"/"):
                    if change.new is not None:
                        yield change.path, change.new

    def _remember(self) -> None:
        assert self._taken is not None
        for item in (*self._found.new, *self._found.different):
            if item.path in self._places:
                self._taken.add(item)
        for item in self._found.same:
            self._taken.add(item)
        remember(self._store, self._taken)

    def document(self, *, is_dry: bool) -> dict[str, object]:
        """Return the reply for `--json`."""
        renamed = {text_of(a): text_of(b) for a, b in self._places.items() if a != b}
        left = [item for item in self._found.different if item.path not in self._places]
        return {
            "file_count": self._count,
            "same_count": len(self._found.same),
            "renamed": renamed,
            "left_out": [text_of(item.path) for item in left],
            "reserved": [text_of(path) for path in self._found.reserved],
            "new": [text_of(item.path) for item in self._found.new_files] if is_dry else [],
            "dry_run": is_dry,
        }

    def text(self, *, is_dry: bool) -> str:
        """Return the reply."""
        files = "1 file" if self._count == 1 else f"{self._count} files"
        if is_dry:
            lines = [f"would import {files} from {self._path}"]
            lines += _some("  new: ", [text_of(item.path) for item in self._found.new_files])
        else:
            lines = [f"imported {files} from {self._path}; nothing is committed yet"]
        if self._found.same:
            lines.append(f"  identical here already: {len(self._found.same)}")
        renamed = [(a, b) for a, b in sorted(self._places.items()) if a != b]
        lines += _some("  beside ours: ", [f"{text_of(a)} as {text_of(b)}" for a, b in renamed])
        left = [item for item in self._found.different if item.path not in self._places]
        lines += _some("  left out: ", [text_of(item.path) for item in left])
        if left:
            lines.append(
                "  (the workspace has other files with these names; --keep-both imports them, too)"
            )
        reserved = [text_of(path) for path in self._found.reserved]
        lines += _some("  left out, because the name is reserved: ", reserved)
        if not self._found.is_whole:
            lines.append("  some files could not be read")
        return "".join(f"{line}\n" for line in lines)


class _Wanted:
    """Test of paths to import: those chosen, their parents, and all below whole directories."""

    def __init__(self, paths: set[bytes], whole: set[bytes]) -> None:
        self._whole = whole
        self._paths = set(paths)
        for path in paths:
            above = path.rpartition(b"/")[0]
            while above and above not in self._paths:
                self._paths.add(above)
                above = above.rpartition(b"/")[0]

    def __call__(self, path: bytes) -> bool:
        if path in self._paths:
            return True
        above = path
        while self._whole and above:
            if above in self._whole:
                return True
            above = above.rpartition(b"/")[0]
        return False


def _free_name(store: Store, root: Entry, path: bytes, taken: set[bytes]) -> bytes:
    """Return a path beside `path` that neither the tree nor an imported file has."""
    directory, slash, name = path.rpartition(b"/")
    number = 1
    while True:
        suffix = _SUFFIX if number == 1 else b"%s-%d" % (_SUFFIX, number)
        place = directory + slash + name[: NAME_MAX - len(suffix)] + suffix
        if place not in taken and find_entry(store, root, place) is None:
            return place
        number += 1


def _is_free(store: Store, root: Entry, place: bytes) -> bool:
    """Detect that nothing lies at a place, nor a file where a directory above it would be."""
    if find_entry(store, root, place) is not None:
        return False
    above = place.rpartition(b"/")[0]
    while above:
        there = find_entry(store, root, above)
        if there is not None:
            return stat.S_ISDIR(there.mode)
        above = above.rpartition(b"/")[0]
    return True


def _some(head: str, names: list[str]) -> list[str]:
    lines = [f"{head}{name}" for name in names[:_LISTED_COUNT]]
    if len(names) > _LISTED_COUNT:
        lines.append(f"{head}and {len(names) - _LISTED_COUNT} more")
    return lines


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"cannot open {path}: {(error.strerror or '').lower()}") from error
