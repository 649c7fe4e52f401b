"""Three-way merge of one file: kind, content, permissions, owner, attributes."""

from __future__ import annotations

import stat
from typing import NamedTuple, TypeVar

from heliosfs.objects.blob import EMPTY_BLOB
from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo.lines.compare import Effort
from heliosfs.repo.lines.text import TEXT_MAX_BYTES, is_text
from heliosfs.repo.merge.text import DEFAULT_LABELS, ConflictStyle, Favor, Labels, merge_texts
from heliosfs.store.base import Store
from heliosfs.trees.attributes import Attributes
from heliosfs.trees.files import put_file, read_file
from heliosfs.trees.gitlinks import gitlink_of, is_gitlink

T = TypeVar("T")


class MergeRules(NamedTuple):
    """The rules by which conflicts are decided and shown."""

    favor: Favor = Favor.NONE
    labels: Labels = DEFAULT_LABELS
    is_virtual: bool = False
    """True if the result is a base for another merge: undecided parts stay as they were."""
    attributes: Attributes | None = None
    """Source of the attribute `merge`; None for that of our side's tree."""


class MergedEntry(NamedTuple):
    """The result for one file; `conflict` names the undecided part, or is empty."""

    entry: Entry | None
    """Merged entry; None where a virtual base has nothing, because both sides added what cannot be
    merged."""
    conflict: str


class EntryMerger:
    """A merger of files that share one effort."""

    def __init__(self, store: Store, rules: MergeRules, now_ns: int) -> None:
        self._store = store
        self._rules = rules
        self._now_ns = now_ns
        self._effort = Effort()

    def merge(
        self, base: Entry | None, ours: Entry, theirs: Entry, path: bytes = b""
    ) -> MergedEntry:
        """Merge the changes of both sides since `base`; None if they added it independently.

        The attributes of `path` say how its text is merged.  Owner, times and attributes are theirs
        where only they changed them.
        """
        if stat.S_IFMT(ours.mode) != stat.S_IFMT(theirs.mode):
            return self._kinds(base, ours, theirs)
        like = base
        if base is not None and stat.S_IFMT(base.mode) != stat.S_IFMT(ours.mode):
            # Both sides made the same other kind of it, with which the base has no content in
            # common.
            like = None
        content, conflict = self._content(like, ours, theirs, path)
        # Undecided as a whole: a virtual base keeps what was there before.
        if content is None or (conflict and self._rules.is_virtual and not _is_file(ours)):
            return MergedEntry(base, conflict)
        # A submodule is an id and nothing else: its entry has no attributes to be merged.
        if is_gitlink(ours):
            return MergedEntry(content, conflict)
        merged, other = self._attributes(like, ours, theirs, content, is_settled=bool(conflict))
        return MergedEntry(merged, conflict or other)

    def merge_directories(self, base: Entry, ours: Entry, theirs: Entry) -> MergedEntry:
        """Merge the own attributes of a directory; its entries are those of ours."""
        merged, conflict = self._attributes(base, ours, theirs, ours, is_settled=False)
        return MergedEntry(merged, conflict)

    def _attributes(
        self, base: Entry | None, ours: Entry, theirs: Entry, content: Entry, *, is_settled: bool
    ) -> tuple[Entry, str]:
        """Return `content` with merged permissions, owner and attributes, and the conflict in them.

        With `is_settled` there is a conflict already, to which a difference in permissions adds
        nothing.
        """
        conflict = ""
        if base is None:
            # With theirs in place of a base, `_pick` takes ours everywhere.
            base, mode = theirs, ours.mode
            if ours.mode != theirs.mode and not is_settled:
                conflict, mode = self._undecided("mode", ours.mode, theirs.mode, ours.mode)
        elif theirs.mode in (ours.mode, base.mode):
            mode = ours.mode
        elif ours.mode == base.mode:
            mode = theirs.mode
        else:
            conflict, mode = self._undecided("mode", ours.mode, theirs.mode, base.mode)
        merged = content._replace(
            mode=mode,
            uid=_pick(base.uid, ours.uid, theirs.uid),
            gid=_pick(base.gid, ours.gid, theirs.gid),
            group=_pick(base.group, ours.group, theirs.group),
            xattrs=_pick(base.xattrs, ours.xattrs, theirs.xattrs),
        )
        return merged, conflict

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
        """Merge two entries of different kinds, such as a file and a link."""
        if base is not None:
            if same_file(base, ours):
                return MergedEntry(theirs, "")
            if same_file(base, theirs):
                return MergedEntry(ours, "")
        return self.choose(base, ours, theirs)

    def choose(self, base: Entry | None, ours: Entry, theirs: Entry) -> MergedEntry:
        """Decide between two entries of different kinds, neither of which came of the other."""
        if self._rules.is_virtual:
            return MergedEntry(base, "type")
        conflict, entry = self._undecided("type", ours, theirs, ours)
        return MergedEntry(entry, conflict)

    def _content(
        self, base: Entry | None, ours: Entry, theirs: Entry, path: bytes
    ) -> tuple[Entry | None, str]:
        mine, other = content_key(ours), content_key(theirs)
        old = content_key(base) if base is not None else None
        if mine == other:
            if base is not None and ours.mtime_ns == base.mtime_ns:
                # Equal bytes, and ours kept the time of the base: if theirs has another, theirs set
                # it.
                return ours._replace(mtime_ns=theirs.mtime_ns), ""
            return ours, ""
        if old == other:
            return ours, ""
        if old == mine:
            # `_attributes` merges the mode on its own.
            return theirs._replace(mode=ours.mode), ""
        attributes = self._rules.attributes
        # gitattributes(5): `-merge` and `merge=binary` forbid mixing lines, `merge=union` keeps the
        # lines of both.
        driver = attributes.of(path).get(b"merge") if attributes is not None and path else None
        if driver in (False, b"binary"):
            return self._whole(base, ours, theirs)
        favor = Favor.UNION if driver == b"union" else self._rules.favor
        return self._texts(base, ours, theirs, favor)

    def _texts(
        self, base: Entry | None, ours: Entry, theirs: Entry, favor: Favor
    ) -> tuple[Entry | None, str]:
        kind = "content" if base is not None else "add/add"
        texts = [self._text(entry) for entry in (base, ours, theirs)]
        old, mine, other = texts
        if old is None or mine is None or other is None:
            return self._whole(base, ours, theirs)
        rules = self._rules
        data, count = merge_texts(
            old,
            mine,
            other,
            favor=favor,
            labels=rules.labels,
            effort=self._effort,
            form=ConflictStyle.REFINED if rules.is_virtual else ConflictStyle.DIFF3,
        )
        oid = put_file(self._store, data, ours.oid)
        entry = ours._replace(oid=oid, size=len(data), mtime_ns=self._now_ns)
        return entry, kind if count else ""

    def _whole(self, base: Entry | None, ours: Entry, theirs: Entry) -> tuple[Entry | None, str]:
        """Decide for one of two contents that cannot be mixed."""
        nothing = ours._replace(oid=Oid(EMPTY_BLOB), size=0) if _is_file(ours) else None
        if self._rules.is_virtual:
            found, entry = "binary", base or nothing
        else:
            found, entry = self._undecided("binary", ours, theirs, ours)
        if found and is_gitlink(ours):
            found = "submodule"
        return entry, "add/add" if found and base is None else found

    def _text(self, entry: Entry | None) -> bytes | None:
        if entry is None:
            return b""
        if not stat.S_ISREG(entry.mode) or entry.size > TEXT_MAX_BYTES:
            return None
        data = read_file(self._store, entry)
        return data if is_text(data) else None


def content_key(entry: Entry) -> tuple[object, ...]:
    """Return the value by which two files of one kind are compared."""
    if entry.is_dir:
        return (gitlink_of(entry),)
    return entry.oid, entry.size, entry.target, entry.rdev


def same_file(one: Entry, other: Entry) -> bool:
    """Return True if kind, permissions and content are equal: git's "unmodified"."""
    return one.mode == other.mode and content_key(one) == content_key(other)


def _is_file(entry: Entry) -> bool:
    return stat.S_ISREG(entry.mode)


def _pick(base: T, ours: T, theirs: T) -> T:
    return theirs if ours == base else ours
