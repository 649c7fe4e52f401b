"""Changes between two trees, file by file: added, modified, deleted, renamed."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from heliosfs.commands.pathspec import Pathspec
from heliosfs.commands.render import quote_path, text_of
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo import merge
from heliosfs.steps import TURN, Steps, at_once
from heliosfs.store.base import Store
from heliosfs.trees.gitlinks import gitlink_of, is_directory, is_gitlink
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, Change, walk_changes

_path_of = attrgetter("path")
_PAIRS_MAX = 1000
"""Number of files that are compared to find renames."""
_WALKED_AT_ONCE = 100
"""Number of changes between two turns of others: 1 ms."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed path.  A directory is one only if it is empty or changed in itself."""

    path: bytes
    """Path of the file now or, if it was deleted, before; b"" is the root of the workspace."""
    old: Entry | None
    new: Entry | None
    source: bytes | None = None
    """Path before, if the file was renamed."""
    percent: int = 0
    """Share of the content that a renamed file kept, in percent; 0 of any other."""

    @property
    def letter(self) -> str:
        """Git's letter for the change: added, deleted, renamed, modified, or of another type."""
        if self.old is None:
            return "A"
        if self.new is None:
            return "D"
        if self.source is not None:
            return "R"
        return "M" if same_kind(self.old, self.new) else "T"

    @property
    def label(self) -> str:
        """Name of the change, in words."""
        old, new = self.old, self.new
        if old is None or new is None:
            entry = old or new
            verb = "new" if old is None else "deleted"
            if entry is not None and is_directory(entry):
                return f"{verb} directory"
            return "new file" if old is None else "deleted"
        if self.source is not None:
            return "renamed"
        if not same_kind(old, new):
            return "type changed"
        if not same_content(old, new):
            return "modified"
        if old.mode != new.mode:
            return "mode changed"
        if (old.uid, old.gid) != (new.uid, new.gid):
            return "owner changed"
        return "links changed" if old.group != new.group else "attributes changed"

    @property
    def document(self) -> dict[str, object]:
        """Change as a value for JSON."""
        return {
            "status": self.letter,
            "change": self.label,
            "path": text_of(self.path),
            "source": None if self.source is None else text_of(self.source),
            "similarity": None if self.source is None else self.percent,
            "old": entry_document(self.old),
            "new": entry_document(self.new),
        }


def entry_document(entry: Entry | None) -> dict[str, object] | None:
    """Return a tree entry as a value for JSON."""
    if entry is None:
        return None
    document: dict[str, object] = {
        "mode": f"{entry.mode:06o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime_ns": entry.mtime_ns,
    }
    if is_gitlink(entry):
        document |= {"mode": "160000", "submodule": gitlink_of(entry).hex()}
    if stat.S_ISREG(entry.mode):
        document |= {"size": entry.size, "id": entry.oid.hex()}
    elif stat.S_ISLNK(entry.mode):
        document["target"] = text_of(entry.target)
    return document


def compare(
    store: Store, old: Entry | None, new: Entry, *, with_renames: bool = True
) -> list[FileChange]:
    """Return the changes between two roots, in byte order of the paths; None is an empty tree.

    Cost: O(changed).
    """
    return at_once(compare_in_steps(store, old, new, with_renames=with_renames))


def compare_in_steps(
    store: Store, old: Entry | None, new: Entry, *, with_renames: bool = True
) -> Steps[list[FileChange]]:
    """Return what `compare` returns, in steps."""
    found: list[FileChange] = []
    for count, change in enumerate(_walk(store, old, new)):
        file_change = _of_file(change)
        if file_change is not None:
            found.append(file_change)
        if not count % _WALKED_AT_ONCE:
            yield TURN
    if with_renames:
        return (yield from find_renames_in_steps(store, found))
    return sorted(found, key=_path_of)


def _walk(store: Store, old: Entry | None, new: Entry) -> Iterator[Change]:
    if old is not None and differs(old, new):
        yield Change(b"", old, new)
    tree = TreeId(old.oid) if old else EMPTY_TREE
    yield from walk_changes(store, tree, TreeId(new.oid))


def by_file(changes: Iterable[Change]) -> list[FileChange]:
    """Leave out directories that exist only because of the files in them."""
    return [found for change in changes if (found := _of_file(change)) is not None]


def _of_file(change: Change) -> FileChange | None:
    """Return a change, or None for a directory that exists only because of the files in it."""
    path, old, new = change
    if old is None or new is None or not same_kind(old, new):
        old, new = _without_contents(old), _without_contents(new)
    return FileChange(path, old, new) if old is not None or new is not None else None


def find_renames_in_steps(store: Store, changes: list[FileChange]) -> Steps[list[FileChange]]:
    """Pair deleted files with added ones of which half is the same (`repo/merge`).

    Cost: bounded, 50 ms.
    """
    pairs = {change.path: (change.old, change.new) for change in changes}
    found = yield from merge.find_renames_in_steps(store, pairs, pairs.keys(), _PAIRS_MAX)
    sources = {rename.path: (path, rename.percent) for path, rename in found.items()}
    paired = []
    for change in changes:
        if change.path in sources:
            source, percent = sources[change.path]
            old, _ = pairs[source]
            paired.append(FileChange(change.path, old, change.new, source, percent))
        elif change.path not in found:
            paired.append(change)
    return sorted(paired, key=_path_of)


def within(changes: list[FileChange], spec: Pathspec) -> list[FileChange]:
    """Return the changes that pathspecs mean; of a rename with one side meant, only that side."""
    if not spec:
        return changes
    found = []
    for change in changes:
        is_meant = spec.matches(change.path)
        if change.source is None:
            if is_meant:
                found.append(change)
            continue
        was_meant = spec.matches(change.source)
        if is_meant and was_meant:
            found.append(change)
        elif is_meant:
            found.append(FileChange(change.path, None, change.new))
        elif was_meant:
            found.append(FileChange(change.source, change.old, None))
    return sorted(found, key=_path_of)


def split_renames(changes: Iterable[FileChange]) -> list[FileChange]:
    """Return the changes with each rename as a deletion and an addition."""
    found = []
    for change in changes:
        if change.source is None:
            found.append(change)
        else:
            found.append(FileChange(change.source, change.old, None))
            found.append(FileChange(change.path, None, change.new))
    return sorted(found, key=_path_of)


def name_status(changes: list[FileChange], *, letters: bool, is_plain: bool = False) -> str:
    """Return a line for each change, as git's --name-status and --name-only do (`is_plain`: -z)."""
    between, end = ("\0", "\0") if is_plain else ("\t", "\n")
    show = text_of if is_plain else quote_path
    lines = []
    for change in changes:
        path = show(change.path or b".")
        if not letters:
            lines.append(path)
        elif change.source is None:
            lines.append(f"{change.letter}{between}{path}")
        else:
            lines.append(f"R{change.percent:03}{between}{show(change.source)}{between}{path}")
    return "".join(line + end for line in lines)


def reversed_changes(changes: list[FileChange]) -> list[FileChange]:
    """Return the changes from the new tree to the old one."""
    found = [
        FileChange(each.path, each.new, each.old)
        if each.source is None
        else FileChange(each.source, each.new, each.old, each.path, each.percent)
        for each in changes
    ]
    return sorted(found, key=_path_of)


def same_kind(old: Entry, new: Entry) -> bool:
    """Return True if both are files, or links, or submodules, or directories, …"""
    if stat.S_IFMT(old.mode) != stat.S_IFMT(new.mode):
        return False
    return not old.is_dir or is_gitlink(old) == is_gitlink(new)


def same_content(old: Entry, new: Entry) -> bool:
    """Return True if bytes of files, targets of links, commits of submodules, … are equal."""
    if not same_kind(old, new):
        return False
    if old.is_dir:
        return gitlink_of(old) == gitlink_of(new) or not is_gitlink(new)
    return (old.oid, old.target, old.rdev) == (new.oid, new.target, new.rdev)


def _without_contents(entry: Entry | None) -> Entry | None:
    if entry is not None and entry.is_dir and entry.oid != EMPTY_TREE:
        return None
    return entry
