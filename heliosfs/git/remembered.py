"""The memory of git's repositories: which there were, and where each of their refs was last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from heliosfs.errors import CorruptObject
from heliosfs.git.notes import Notes
from heliosfs.repo import keys


class RememberedRef(NamedTuple):
    """A ref of git as it was at its last import or export."""

    git_id: bytes
    name: str
    """Branch or tag here that follows it; empty for a tag of no commit, which has no tag here."""
    imported: bytes
    """Git's id at the last import, of which everything is here; empty if it was only exported."""


LEGACY_ORIGIN = 0
"""Origin that stands for all repositories imported before origins were recorded."""
PUSHED_ORIGIN = 0xFFFFFFFF
"""Origin that stands for all repositories from which tags were pushed."""


class OriginNotes:
    """The notes on each repository that was imported or exported to, and on its refs.

    They stay when commits are collected: so a branch that was deleted here stays deleted.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def all(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and value of every known repository."""
        for key, value in self._notes.stored(keys.GIT_ORIGIN):
            yield int(key[len(keys.GIT_ORIGIN) :], 16), value

    def note(self, number: int, value: bytes) -> None:
        """Note the value of a repository, new or changed."""
        self._notes.noted[keys.GIT_ORIGIN + b"%08x" % number] = value

    def refs(self, prefix: bytes = keys.GIT_REF) -> Iterator[tuple[int, str, RememberedRef]]:
        """Yield every ref imported or exported: its repository, full name, and last values."""
        for key, value in self._notes.scan(prefix):
            yield _decode_ref(key[len(keys.GIT_REF) :], value)

    def refs_of(self, origin: int) -> Iterator[tuple[str, RememberedRef]]:
        """Yield the remembered refs of one repository."""
        below = b"%08x/" % origin if origin else b"refs/"
        for _, name, each in self.refs(keys.GIT_REF + below):
            yield name, each

    def note_ref(self, origin: int, name: str, each: RememberedRef | None) -> None:
        """Remember a ref, or forget it."""
        key = keys.GIT_REF + (b"%08x/" % origin if origin else b"")
        value = None
        if each is not None:
            head = bytes((len(each.git_id), len(each.imported)))
            ours = each.name.encode("utf-8", "surrogateescape")
            value = head + each.git_id + each.imported + ours
        self._notes.noted[key + name.encode("utf-8", "surrogateescape")] = value


def _decode_ref(key: bytes, value: bytes) -> tuple[int, str, RememberedRef]:
    """Read a ref from its key behind the prefix, and its value.  Raise CorruptObject."""
    name = key.decode("utf-8", "surrogateescape")
    try:
        if key.startswith(b"refs/"):
            return LEGACY_ORIGIN, name, RememberedRef(value, name.split("/", 2)[2], value)
        number, _, ref = name.partition("/")
        at = 2 + value[0]
        end = at + value[1]
        if end > len(value):
            raise ValueError("its value ends within a git id")
        ours = value[end:].decode("utf-8", "surrogateescape")
        return int(number, 16), ref, RememberedRef(value[2:at], ours, value[at:end])
    except (ValueError, IndexError) as error:
        raise CorruptObject(f"git ref {name} cannot be read: {error}") from error
