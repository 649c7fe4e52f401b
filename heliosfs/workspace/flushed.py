"""Records of flushes: what each has edited, for as long as somebody follows it."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.objects.ids import TreeId
from heliosfs.workspace.nodes import Child, DirNode, entry_of

FLUSHES_MAX = 8
"""Most flushes in a row that are recorded: an edit has one second later been saved."""
EDITS_MAX = 256
"""Most names that one of them may have edited."""

Edited = tuple[bytes, "bytes | None", "bytes | None"]
"""A name, and the encoded entries that it had and has; None where it was or is not there."""
EditedDirectories = dict[DirNode, list[Edited]]


class Flush(NamedTuple):
    """A flush that was recorded: the trees before and after it, and what it edited."""

    before: TreeId
    after: TreeId
    directories: EditedDirectories


class FlushRecord:
    """Flushes since a commit, recorded until they are too many, or one of them too large."""

    __slots__ = ("current", "flushes")

    def __init__(self) -> None:
        self.flushes: list[Flush] | None = None
        """Flushes since `begin`; None while nobody follows them, or if one was not recorded."""
        self.current: EditedDirectories | None = None
        """Edits of the flush that is under way; None if it is not recorded."""

    def begin(self) -> None:
        """Record the flushes from now on."""
        self.flushes = []

    def end(self) -> None:
        """Record nothing any more."""
        self.flushes = self.current = None

    def open(self, directories: list[DirNode]) -> None:
        """Begin a flush of some dirty directories."""
        if self.flushes is None:
            return
        edit_count = sum(len(directory.dirty) for directory in directories)
        if len(self.flushes) < FLUSHES_MAX and edit_count <= EDITS_MAX:
            self.current = {}
        else:
            self.end()

    def note(
        self, directory: DirNode, dirty: dict[bytes, bytes | None], children: dict[bytes, Child]
    ) -> None:
        """Record what was dirty in a directory, all of which is clean now."""
        if self.current is not None:
            self.current[directory] = [
                (name, old, entry_of(children[name], name) if name in children else None)
                for name, old in dirty.items()
            ]

    def close(self, before: TreeId, after: TreeId) -> None:
        """End the flush."""
        if self.current is not None:
            assert self.flushes is not None
            self.flushes.append(Flush(before, after, self.current))
            self.current = None
