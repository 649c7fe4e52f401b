"""Cherry-pick and revert: the change of a commit, applied to a view or taken back from it.

Both are merges with another base: a cherry-pick merges the commit over its parent, a revert its
parent over the commit.  They are all or nothing, as merges are: several commits are one operation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from heliosfs.errors import NotFound, NothingToCommit
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.merge.entries import MergeRules
from heliosfs.repo.merge.text import Favor
from heliosfs.repo.merge.trees import Conflict, MergeResult, merge_trees
from heliosfs.repo.pick_change import PickChange, change_of, short_id
from heliosfs.repo.pick_note import OpenPick, PickOptions, note_of
from heliosfs.repo.view import View
from heliosfs.repo.view_merge import MergeConflict, carry_changes, check_can_begin, open_verb
from heliosfs.repo.working_state import State
from heliosfs.trees.attributes import Attributes
from heliosfs.trees.graft import graft
from heliosfs.trees.stored import walk_changes

_NO_METADATA: Mapping[str, str] = {}


class PickConflict(MergeConflict):
    """A pick that was refused; nothing was changed, not even by the commits before it."""

    def __init__(self, conflicts: list[Conflict], source: CommitId) -> None:
        super().__init__(conflicts)
        self.source = source


class PickResult(NamedTuple):
    """The result of a pick."""

    made: list[CommitId]
    """New commits, the oldest first."""
    dropped: list[CommitId]
    """Commits that were left out, because they change nothing here."""
    open: CommitId | None = None
    """Commit whose pick is open now."""
    conflicts: Sequence[Conflict] = ()


class ConflictHandling(NamedTuple):
    """The treatment of conflicts."""

    favor: Favor = Favor.NONE
    markers: bool = False
    """True if conflicts are written into the workspace, and the pick is left open."""


def pick(
    view: View, sources: Sequence[CommitId], options: PickOptions, way: ConflictHandling
) -> PickResult:
    """Commit each change on top of HEAD; uncommitted changes elsewhere stay.

    Raise Busy if something is open or staged, or uncommitted changes are in the way,
    PickConflict, NothingToCommit if a change is there already, NotFound before the first commit,
    or UsageError if the main line of a merge is not named.
    """
    check_can_begin(view)
    head = view.head
    if head is None:
        raise NotFound("nothing was committed yet: there is nothing to pick onto")
    before = view.state()
    text = f"{short_id(sources[0])}" if len(sources) == 1 else f"{len(sources)} commits"
    return _Run(view, before, head, options, way).run(sources, text)


def pick_uncommitted(
    view: View, sources: Sequence[CommitId], options: PickOptions, way: ConflictHandling
) -> Sequence[Conflict]:
    """Merge the changes into the working tree with its uncommitted changes; HEAD stays.

    With `way.markers`, conflicts are marked in the files, and nothing is open.  Errors as `pick`.
    """
    check_can_begin(view)
    before = view.state()
    mine = tree = view.selected()
    conflicts: list[Conflict] = []
    for source in sources:
        merged = _merge(view, tree, change_of(view.core.history, source, options), way.favor)
        if merged.conflicts and not way.markers:
            view.conflicts = merged.conflicts
            raise PickConflict(merged.conflicts, source)
        conflicts += merged.conflicts
        tree = merged.root
    root = carry_changes(view, mine, before.root, tree)
    text = f"{', '.join(map(short_id, sources))} (uncommitted)"
    view.move(options.verb, text[:200], before, before._replace(root=root))
    return conflicts


def conclude(
    view: View,
    message: bytes,
    *,
    content: Entry | None = None,
    author: Signature | None = None,
    metadata: Mapping[str, str] = _NO_METADATA,
    allow_empty: bool = False,
) -> PickResult:
    """Commit the open pick, and continue with those after it.

    `content` is the tree to commit, by default that of the workspace.  NothingToCommit if it is
    that of HEAD.  Errors as `pick`; after a conflict, the pick of that commit is open.
    """
    note, head = view.pick, view.head
    assert note is not None and head is not None
    core = view.core
    before = view.state()
    root = content or view.selected()
    if not (allow_empty or note.options.keeps_empty or view.differs(head, root)):
        raise NothingToCommit(
            f"nothing is left to commit of the {note.options.verb}: 'commit --allow-empty' "
            f"commits that, '{note.options.verb} --skip' leaves it out"
        )
    signature = core.identity.sign(core.clock)
    author = author or note.author or signature
    oid = view.write(Commit(root, (head,), author, signature, message, metadata))
    run = _Run(view, before, oid, note.options, ConflictHandling(markers=True))
    run.made.append(oid)
    return run.run(note.todo, f"--continue {short_id(note.source)}")


def skip(view: View, verb: str) -> PickResult:
    """Leave out the commit whose pick is open, and continue with those after it.

    Raise NotFound if none is open.
    """
    note, head = _open(view, verb), view.head
    assert head is not None
    core = view.core
    before = view.state()
    ours = core.history.read(head).root
    merged = _merge(view, ours, change_of(core.history, note.source, note.options), Favor.NONE)
    changed = [
        each.path for each in walk_changes(core.store, TreeId(ours.oid), TreeId(merged.root.oid))
    ]
    now = core.clock.now_ns()
    # Only the paths that the pick changed go back to HEAD; other edits stay.
    root = graft(core.store, before.root, ours, changed, now).root
    run = _Run(view, before._replace(root=root), head, note.options, ConflictHandling(markers=True))
    run.leaves = before
    run.dropped.append(note.source)
    return run.run(note.todo, f"--skip {short_id(note.source)}")


def _open(view: View, verb: str) -> OpenPick:
    """Return the open pick.  Raise NotFound if none is open, or another verb's."""
    note = view.pick
    if note is None or note.options.verb != verb:
        there = open_verb(view)
        other = f", but a {there}" if there else ""
        raise NotFound(f"no {verb} is open{other}")
    return note


class _Run:
    """A run of picks, which is shown and recorded when the last one is done."""

    def __init__(
        self, view: View, before: State, head: CommitId, options: PickOptions, way: ConflictHandling
    ) -> None:
        self._view = view
        self._core = view.core
        self._before = before
        self.leaves = before
        """State to which undo returns."""
        self._base = view.core.history.read(head).root
        """Tree on which the uncommitted changes in the working tree of `before` are based."""
        self._head = head
        self._options = options
        self._conflict_handling = way
        self.made: list[CommitId] = []
        self.dropped: list[CommitId] = []

    def run(self, sources: Sequence[CommitId], text: str) -> PickResult:
        view = self._view
        for at, source in enumerate(sources):
            change = change_of(self._core.history, source, self._options)
            ours = self._core.history.read(self._head).root
            merged = _merge(view, ours, change, self._conflict_handling.favor)
            if merged.conflicts:
                return self._stop(source, tuple(sources[at + 1 :]), change, merged, text)
            self._commit(source, change, merged.root)
        root = self._core.history.read(self._head).root
        after = State(self._before.slot, self._head, self._carried(root))
        view.move(self._options.verb, text, self.leaves, after)
        return PickResult(self.made, self.dropped)

    def _commit(self, source: CommitId, change: PickChange, root: Entry) -> None:
        if not self._view.differs(self._head, root) and not self._options.keeps_empty:
            if self._options.drops_empty:
                self.dropped.append(source)
                return
            raise NothingToCommit(
                f"{short_id(source)} changes nothing here, where its changes already are: "
                "--empty=drop leaves it out, --allow-empty makes an empty commit"
            )
        signature = self._core.identity.sign(self._core.clock)
        commit = Commit(root, (self._head,), change.author or signature, signature, change.message)
        self._head = self._view.write(commit)
        self.made.append(self._head)

    def _stop(
        self,
        source: CommitId,
        todo: tuple[CommitId, ...],
        change: PickChange,
        merged: MergeResult,
        text: str,
    ) -> PickResult:
        """Leave the pick of a commit open, with markers in the files; or refuse it."""
        view = self._view
        if not self._conflict_handling.markers:
            view.conflicts = merged.conflicts
            raise PickConflict(merged.conflicts, source)
        note = OpenPick(self._options, source, todo, change.author, change.message)
        signature = self._core.identity.sign(self._core.clock)
        oid = self._core.history.add(note_of(note, change.theirs, signature))
        root = self._carried(merged.root)
        after = State(self._before.slot, self._head, root, oid)
        view.move(self._options.verb, f"{text} (open)", self.leaves, after)
        view.conflicts = merged.conflicts
        return PickResult(self.made, self.dropped, source, merged.conflicts)

    def _carried(self, target: Entry) -> Entry:
        return carry_changes(self._view, self._base, self._before.root, target)


def _merge(view: View, ours: Entry, change: PickChange, favor: Favor) -> MergeResult:
    core = view.core
    # As in git, the working tree counts: its .gitattributes need not be committed.
    attributes = Attributes(core.store, view.state().root, (b"merge",))
    rules = MergeRules(favor, change.labels, attributes=attributes)
    now = core.clock.now_ns()
    return merge_trees(core.store, change.base, ours, change.theirs, rules, now)
