"""What changed between two trees, told by files: added, modified, deleted, renamed."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

from heliosfs.commands.render import quote_path, text_of
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.store.base import Store
from heliosfs.workspace.trees import EMPTY_TREE, Change, differs, walk_changes


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed path.  A directory is one only if it is empty or changed in itself."""

    path: bytes
    """Where it is, or was; b"" is the root of the workspace."""
    old: Entry | None
    new: Entry | None
    source: bytes | None = None
    """Where it was before, if it was renamed."""

    @property
    def letter(self) -> str:
        """Added, deleted, renamed, modified, or of another type: git's letter for it."""
        if self.old is None:
            return "A"
        if self.new is None:
            return "D"
        if self.source is not None:
            return "R"
        return "M" if same_kind(self.old, self.new) else "T"

    @property
    def label(self) -> str:
        """The change in words."""
        old, new = self.old, self.new
        if old is None or new is None:
            entry = old or new
            verb = "new" if old is None else "deleted"
            if entry is not None and entry.is_dir:
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
        """The change for programs."""
        return {
            "status": self.letter,
            "change": self.label,
            "path": text_of(self.path),
            "source": None if self.source is None else text_of(self.source),
            "old": entry_document(self.old),
            "new": entry_document(self.new),
        }


def entry_document(entry: Entry | None) -> dict[str, object] | None:
    """A tree entry for programs."""
    if entry is None:
        return None
    document: dict[str, object] = {
        "mode": f"{entry.mode:06o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime_ns": entry.mtime_ns,
    }
    if stat.S_ISREG(entry.mode):
        document |= {"size": entry.size, "id": entry.oid.hex()}
    elif stat.S_ISLNK(entry.mode):
        document["target"] = text_of(entry.target)
    return document


def compare(store: Store, old: Entry | None, new: Entry) -> list[FileChange]:
    """The changes between two roots, in byte order of the paths; `old` None is nothing.

    Cost: O(changed).
    """
    changes: list[Change] = []
    if old is not None and differs(old, new):
        changes.append(Change(b"", old, new))
    tree = TreeId(old.oid) if old else EMPTY_TREE
    changes += walk_changes(store, tree, TreeId(new.oid))
    return find_renames(by_file(changes))


def by_file(changes: Iterable[Change]) -> list[FileChange]:
    """Leave out the directories that are there by what they contain."""
    found = []
    for path, old, new in changes:
        if old is None or new is None or old.is_dir != new.is_dir:
            old, new = _without_contents(old), _without_contents(new)
        if old is not None or new is not None:
            found.append(FileChange(path, old, new))
    return found


def find_renames(changes: list[FileChange]) -> list[FileChange]:
    """Pair what was deleted with what was added, where the bytes are the same and not none.

    Of several that fit, one of the same base name is taken.
    """
    gone: dict[bytes, list[FileChange]] = {}
    for change in changes:
        if change.new is None and _can_be_renamed(change.old):
            assert change.old is not None
            gone.setdefault(change.old.oid, []).append(change)
    moved: set[bytes] = set()
    found = []
    for change in changes:
        candidates = gone.get(change.new.oid) if change.new is not None else None
        if change.old is None and candidates and _can_be_renamed(change.new):
            source = _best_source(candidates, change.path)
            candidates.remove(source)
            moved.add(source.path)
            change = FileChange(change.path, source.old, change.new, source.path)
        found.append(change)
    kept = [change for change in found if change.new is not None or change.path not in moved]
    return sorted(kept, key=lambda change: change.path)


def within(changes: list[FileChange], paths: list[bytes]) -> list[FileChange]:
    """The changes at or below one of the paths; all of them when there are none."""
    if not paths or b"" in paths:
        return changes
    places = tuple(path + b"/" for path in paths)
    found = []
    for change in changes:
        new_inside = (change.path + b"/").startswith(places)
        if change.source is None:
            if new_inside:
                found.append(change)
            continue
        old_inside = (change.source + b"/").startswith(places)
        if new_inside and old_inside:
            found.append(change)
        elif new_inside:
            found.append(FileChange(change.path, None, change.new))
        elif old_inside:
            found.append(FileChange(change.source, change.old, None))
    return sorted(found, key=lambda change: change.path)


def name_status(changes: list[FileChange], *, letters: bool) -> str:
    """A line for each change, as git's --name-status and --name-only give them."""
    lines = []
    for change in changes:
        path = quote_path(change.path or b".")
        if not letters:
            lines.append(path)
        elif change.source is None:
            lines.append(f"{change.letter}\t{path}")
        else:
            lines.append(f"R100\t{quote_path(change.source)}\t{path}")
    return "".join(f"{line}\n" for line in lines)


def same_kind(old: Entry, new: Entry) -> bool:
    """Whether both are files, or links, or directories, …"""
    return stat.S_IFMT(old.mode) == stat.S_IFMT(new.mode)


def same_content(old: Entry, new: Entry) -> bool:
    """Whether the bytes of two files, targets of two links, numbers of two devices are equal."""
    if old.is_dir:
        return True
    return (old.oid, old.target, old.rdev) == (new.oid, new.target, new.rdev)


def _without_contents(entry: Entry | None) -> Entry | None:
    if entry is not None and entry.is_dir and entry.oid != EMPTY_TREE:
        return None
    return entry


def _can_be_renamed(entry: Entry | None) -> bool:
    return entry is not None and stat.S_ISREG(entry.mode) and entry.size > 0


def _best_source(candidates: list[FileChange], path: bytes) -> FileChange:
    name = path.rpartition(b"/")[2]
    return next(
        (each for each in candidates if each.path.rpartition(b"/")[2] == name), candidates[0]
    )
