"""Three-way merge of one file: kind, content, permissions, owner, attributes."""

from __future__ import annotations

import stat
from typing import NamedTuple, TypeVar

from heliosfs.objects.tree import Entry
from heliosfs.repo.linediff import Effort
from heliosfs.repo.textmerge import (
    DEFAULT_LABELS,
    TEXT_MAX_BYTES,
    Favor,
    Labels,
    is_text,
    merge_texts,
)
from heliosfs.store.base import Store
from heliosfs.workspace.edit import put_file
from heliosfs.workspace.trees import read_file

T = TypeVar("T")


class Rules(NamedTuple):
    """How conflicts are decided and shown."""

    favor: Favor = Favor.NONE
    labels: Labels = DEFAULT_LABELS
    is_virtual: bool = False
    """Whether the result is a base for another merge: what cannot be decided stays as it was."""


class MergedEntry(NamedTuple):
    """The outcome for one file; `conflict` names what could not be decided, or is empty."""

    entry: Entry
    conflict: str


class EntryMerger:
    """Merges files, within one effort."""

    def __init__(self, store: Store, rules: Rules, now_ns: int) -> None:
        self._store = store
        self._rules = rules
        self._now_ns = now_ns
        self._effort = Effort()

    def merge(self, base: Entry | None, ours: Entry, theirs: Entry) -> MergedEntry:
        """What both sides together made of `base`; None if they added it independently.

        Of owner, times and attributes theirs count where only they changed.
        """
        if stat.S_IFMT(ours.mode) != stat.S_IFMT(theirs.mode):
            return self._kinds(base, ours, theirs)
        if base is not None and stat.S_IFMT(base.mode) != stat.S_IFMT(ours.mode):
            base = None
        merged, conflict = self._content(base, ours, theirs)
        if base is None:
            base, mode = theirs, ours.mode
            if ours.mode != theirs.mode and not conflict:
                conflict, mode = self._undecided("mode", ours.mode, theirs.mode, ours.mode)
        elif theirs.mode in (ours.mode, base.mode):
            mode = ours.mode
        elif ours.mode == base.mode:
            mode = theirs.mode
        else:
            found, mode = self._undecided("mode", ours.mode, theirs.mode, base.mode)
            conflict = conflict or found
        return MergedEntry(
            merged._replace(
                mode=mode,
                uid=_pick(base.uid, ours.uid, theirs.uid),
                gid=_pick(base.gid, ours.gid, theirs.gid),
                group=_pick(base.group, ours.group, theirs.group),
                xattrs=_pick(base.xattrs, ours.xattrs, theirs.xattrs),
            ),
            conflict,
        )

    @property
    def _prefers_theirs(self) -> bool:
        return self._rules.favor is Favor.THEIRS

    def _undecided(self, kind: str, ours: T, theirs: T, base: T) -> tuple[str, T]:
        if self._rules.is_virtual:
            return kind, base
        if self._rules.favor is Favor.NONE:
            return kind, ours
        return "", theirs if self._prefers_theirs else ours

    def _kinds(self, base: Entry | None, ours: Entry, theirs: Entry) -> MergedEntry:
        """A file here and a link there, say."""
        if base is not None:
            if same_file(base, ours):
                return MergedEntry(theirs, "")
            if same_file(base, theirs):
                return MergedEntry(ours, "")
        conflict, entry = self._undecided("type", ours, theirs, base or ours)
        return MergedEntry(entry, conflict)

    def _content(self, base: Entry | None, ours: Entry, theirs: Entry) -> tuple[Entry, str]:
        mine, other = content_key(ours), content_key(theirs)
        old = content_key(base) if base is not None else None
        if mine == other:
            if base is not None and ours.mtime_ns == base.mtime_ns:
                return ours._replace(mtime_ns=theirs.mtime_ns), ""
            return ours, ""
        if old == other:
            return ours, ""
        if old == mine:
            return theirs._replace(mode=ours.mode), ""
        return self._texts(base, ours, theirs)

    def _texts(self, base: Entry | None, ours: Entry, theirs: Entry) -> tuple[Entry, str]:
        kind = "content" if base is not None else "add/add"
        texts = [self._text(entry) for entry in (base, ours, theirs)]
        old, mine, other = texts
        if old is None or mine is None or other is None:
            found, entry = self._undecided("binary", ours, theirs, base or ours)
            return entry, found if base is not None or not found else "add/add"
        rules = self._rules
        data, count = merge_texts(
            old, mine, other, favor=rules.favor, labels=rules.labels, effort=self._effort
        )
        oid = put_file(self._store, data, ours.oid)
        entry = ours._replace(oid=oid, size=len(data), mtime_ns=self._now_ns)
        return entry, kind if count else ""

    def _text(self, entry: Entry | None) -> bytes | None:
        if entry is None:
            return b""
        if not stat.S_ISREG(entry.mode) or entry.size > TEXT_MAX_BYTES:
            return None
        data = read_file(self._store, entry)
        return data if is_text(data) else None


def content_key(entry: Entry) -> tuple[object, ...]:
    """What two files of one kind are compared by."""
    return entry.oid, entry.size, entry.target, entry.rdev


def same_file(one: Entry, other: Entry) -> bool:
    """Whether kind, permissions and content are equal: what git would call unmodified."""
    return one.mode == other.mode and content_key(one) == content_key(other)


def _pick(base: T, ours: T, theirs: T) -> T:
    return theirs if ours == base else ours
