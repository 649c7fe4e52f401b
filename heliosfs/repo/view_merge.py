"""Merges into a view: fast-forward, merge commit, open merge, abort.

They are all or nothing: a refused merge changes nothing, and a merge is one operation that undo
reverts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from heliosfs.errors import AlreadyExists, Busy, Conflicted, NotFound, UsageError
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.ancestry import merge_bases
from heliosfs.repo.core import Core
from heliosfs.repo.edge import UNSHALLOW
from heliosfs.repo.history import History
from heliosfs.repo.merge.entries import MergeRules
from heliosfs.repo.merge.text import Favor, Labels
from heliosfs.repo.merge.trees import Conflict, MergeResult, find_conflicts, merge_trees
from heliosfs.repo.pick_change import change_of
from heliosfs.repo.pick_note import OpenPick
from heliosfs.repo.view import View
from heliosfs.repo.working_state import State
from heliosfs.store.base import Store
from heliosfs.trees.attributes import Attributes
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.links import settle_links
from heliosfs.trees.same import differs
from heliosfs.trees.stored import Change, find_entry, walk_changes

_DEPTH_MAX = 10
"""Depth to which several bases are merged with each other; below it, the oldest one is used."""

_NAMED_COUNT = 10


class MergeConflict(Conflicted):
    """A merge that was refused; the tree is unchanged."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        count = len(conflicts)
        paths = "1 path" if count == 1 else f"{count} paths"
        super().__init__(f"conflict in {paths}: nothing was changed")
        self.conflicts = conflicts


class Done(NamedTuple):
    """The result of a merge."""

    head: CommitId
    is_fast_forward: bool
    is_news: bool
    """False if there was nothing to merge."""
    conflicts: list[Conflict]
    """Conflicts of a merge that is open now."""
    is_open: bool = False
    """True if nothing was committed, because of conflicts or as requested."""


class MergeOptions(NamedTuple):
    """The options of a merge."""

    message: str
    labels: Labels = Labels()
    favor: Favor = Favor.NONE
    markers: bool = False
    """True if conflicts are written into the workspace, and the merge is left open."""
    fast_forward: bool = True
    only_fast_forward: bool = False
    """True if everything but a move of HEAD is refused."""
    commits: bool = True
    """True if a merge commit is made; otherwise the merge is left open."""
    unrelated: bool = False
    """True if histories without a common commit may be merged."""
    squash: bool = False
    """True if only the files are merged, and HEAD stays where it is."""
    base: CommitId | None = None
    """Commit since which changes are merged by `merge_files`; by default, the merge base."""


def open_verb(view: View) -> str:
    """Return the verb that is open: `merge`, `cherry-pick` or `revert`; empty for none."""
    if view.merging is None:
        return ""
    return view.pick.options.verb if view.pick is not None else "merge"


def check_can_begin(view: View) -> None:
    """Check that nothing is open or staged.  Raise Busy."""
    verb = open_verb(view)
    if verb:
        raise Busy(f"a {verb} is open: commit it, or give it up with '{verb} --abort'")
    if view.stage.root is not None:
        raise Busy("changes are staged: commit them, or unstage them with 'reset'")


def merge_into(
    view: View, theirs: CommitId, options: MergeOptions, bases: list[CommitId] | None = None
) -> Done:
    """Merge a commit into the state of a view; uncommitted changes elsewhere stay.

    `bases` are the merge bases, if they are known.

    Raise Busy if a merge is open or uncommitted changes are in the way, MergeConflict, or
    UsageError if the histories have nothing in common.  Cost: O(changed on both sides).
    """
    check_can_begin(view)
    core = view.core
    history = core.history
    head = view.head
    if bases is None:
        bases = merge_bases(history, head, theirs) if head is not None else []
    if head is not None and theirs in bases:
        return Done(head, is_fast_forward=False, is_news=False, conflicts=[])
    root = history.read(theirs).root
    text = options.message.split("\n", 1)[0]
    if head is not None and head in bases and options.squash:
        return _squash(view, head, root, text)
    if head is None or (head in bases and options.fast_forward):
        before = view.state()
        after = _carry(view, before, root)
        view.move("merge", text, before, State(view.slot, theirs, after))
        return Done(theirs, is_fast_forward=True, is_news=True, conflicts=[])
    if options.only_fast_forward:
        raise Busy("cannot fast-forward: HEAD has commits that the other side does not have")
    if not bases and not options.unrelated:
        hint = f" here, where the history is shallow: {UNSHALLOW}" if history.edge else ""
        raise UsageError(f"usage: the histories have no common commit{hint}")
    # As in git, the working tree counts: its .gitattributes need not be committed.
    attributes = Attributes(core.store, view.state().root, (b"merge",))
    rules = MergeRules(options.favor, options.labels, attributes=attributes)
    return _conclude(view, theirs, options, merge_commits(core, head, theirs, rules, bases))


def _conclude(view: View, theirs: CommitId, options: MergeOptions, merged: MergeResult) -> Done:
    """Commit what was merged, or leave the merge open, or refuse it."""
    core, head = view.core, view.head
    assert head is not None
    text = options.message.split("\n", 1)[0]
    if merged.conflicts and not options.markers:
        view.conflicts = merged.conflicts
        raise MergeConflict(merged.conflicts)
    if options.squash and not merged.conflicts:
        return _squash(view, head, merged.root, text)
    before = view.state()
    after = _carry(view, before, merged.root)
    if merged.conflicts or not options.commits:
        view.move("merge", f"{text} (open)", before, State(view.slot, head, after, theirs))
        view.conflicts = merged.conflicts
        return Done(
            head, is_fast_forward=False, is_news=True, conflicts=merged.conflicts, is_open=True
        )
    signature = core.identity.sign(core.clock)
    message = options.message.encode("utf-8", "surrogateescape")
    commit = Commit(merged.root, (head, theirs), signature, signature, message)
    oid = view.write(commit)
    view.move("merge", text, before, State(view.slot, oid, after))
    return Done(oid, is_fast_forward=False, is_news=True, conflicts=[])


def _squash(view: View, head: CommitId, target: Entry, text: str) -> Done:
    """Turn the merged changes into uncommitted ones."""
    before = view.state()
    after = _carry(view, before, target)
    view.move("merge", f"{text} (squashed)", before, State(view.slot, head, after))
    return Done(head, is_fast_forward=False, is_news=True, conflicts=[])


def merge_files(view: View, base: CommitId, theirs: CommitId, options: MergeOptions) -> Done:
    """Merge the changes between two commits into the files; HEAD stays.

    Unlike `merge_into`, it also merges into files that have uncommitted changes.  The result is an
    uncommitted change.  Raise Busy if a merge is open or something is staged, NotFound before the
    first commit, or MergeConflict.  Cost: O(changed on both sides).
    """
    check_can_begin(view)
    if view.head is None:
        raise NotFound("nothing was committed yet: commit first")
    core = view.core
    before, work = view.state(), view.selected()
    roots = [core.history.read(oid).root for oid in (base, theirs)]
    # As in git, the working tree counts: its .gitattributes need not be committed.
    attributes = Attributes(core.store, before.root, (b"merge",))
    rules = MergeRules(options.favor, options.labels, attributes=attributes)
    merged = merge_trees(core.store, roots[0], work, roots[1], rules, core.clock.now_ns())
    if merged.conflicts:
        view.conflicts = merged.conflicts
        raise MergeConflict(merged.conflicts)
    if not _changes(core.store, work, merged.root):
        return Done(view.head, is_fast_forward=False, is_news=False, conflicts=[])
    after = before._replace(root=carry_changes(view, work, before.root, merged.root))
    view.move("merge", f"{options.message.split(chr(10), 1)[0]} (squashed)", before, after)
    return Done(view.head, is_fast_forward=False, is_news=True, conflicts=[])


def abort(view: View, verb: str = "merge") -> None:
    """Go back to the state before the open verb, including its uncommitted changes.

    For several picks, that is the state before the first.  Raise NotFound if the verb is not open.
    Undo brings back the edits made since then.
    """
    there = open_verb(view)
    if there != verb:
        raise NotFound(f"no {verb} is open" + f", but a {there}" * bool(there))
    before = view.state()
    root = view.head_root()
    assert root is not None
    target = State(view.slot, view.head, root)
    wanted = view.merging
    for operation in view.log.operations():
        begun = operation.before
        if operation.after.merging != wanted or operation.verb != verb or begun.slot != view.slot:
            continue
        if begun.merging is None:
            target = begun
            break
        # Each pick of a series has a note of its own: go on to the state before the first.
        wanted = begun.merging
    view.move(verb, "--abort", before, view.ignoring.keep_in(target, before.root))


def open_conflicts(view: View) -> list[Conflict]:
    """Return the conflicts of the open verb, or of the one refused last."""
    if view.merging is not None and view.head is not None and not view.conflicts:
        if view.pick is None:
            view.conflicts = conflicts_between(view.core, view.head, view.merging)
        else:
            view.conflicts = _pick_conflicts(view.core, view.head, view.pick)
    return view.conflicts


def _pick_conflicts(core: Core, head: CommitId, note: OpenPick) -> list[Conflict]:
    change = change_of(core.history, note.source, note.options)
    ours = core.history.read(head).root
    rules = MergeRules(attributes=Attributes(core.store, ours, (b"merge",)))
    now = core.clock.now_ns()
    return find_conflicts(core.store, change.base, ours, change.theirs, rules, now)


def conflicts_between(
    core: Core,
    ours: CommitId,
    theirs: CommitId,
    bases: list[CommitId] | None = None,
) -> list[Conflict]:
    """Return the conflicts that a merge of two commits would have; change nothing.

    `bases` are the merge bases, if they are known.  Cost: O(changed on both sides); texts are read
    only where both sides changed a file.
    """
    history = core.history
    if ours == theirs:
        return []
    now = core.clock.now_ns()
    roots = history.read(ours).root, history.read(theirs).root
    rules = MergeRules(attributes=Attributes(core.store, roots[0], (b"merge",)))
    if bases is None:
        bases = merge_bases(history, ours, theirs)
    base = _base_root(history, core.store, bases, now, rules.attributes)
    return find_conflicts(core.store, base, *roots, rules, now)


def merge_commits(
    core: Core,
    ours: CommitId,
    theirs: CommitId,
    rules: MergeRules,
    bases: list[CommitId] | None = None,
) -> MergeResult:
    """Merge the trees of two commits over their common base; change no ref and no workspace.

    `bases` are the merge bases, if they are known.
    """
    history, store = core.history, core.store
    now = core.clock.now_ns()
    if bases is None:
        bases = merge_bases(history, ours, theirs)
    base = _base_root(history, store, bases, now, rules.attributes)
    return merge_trees(store, base, history.read(ours).root, history.read(theirs).root, rules, now)


def _base_root(
    history: History,
    store: Store,
    bases: Sequence[CommitId],
    now_ns: int,
    attributes: Attributes | None,
    depth: int = 0,
) -> Entry | None:
    """Return the tree of the merge base; None for unrelated histories.

    Several merge bases are merged one after another, as by the recursive strategy of
    git-merge(1).  The result so far counts as a virtual commit, with the bases merged so far as
    its parents; its merge with the next base may have several bases again (recursion).
    """
    if not bases:
        return None
    root = history.read(bases[0]).root
    if depth == _DEPTH_MAX:
        return root
    labels = Labels("Temporary merge branch 1", "base", "Temporary merge branch 2")
    rules = MergeRules(labels=labels, is_virtual=True, attributes=attributes)
    for at, other in enumerate(bases[1:], 1):
        below = merge_bases(history, other, *bases[:at])
        base = _base_root(history, store, below, now_ns, attributes, depth + 1)
        root = merge_trees(store, base, root, history.read(other).root, rules, now_ns).root
    return root


def _carry(view: View, before: State, target: Entry) -> Entry:
    """Return the target's tree with the uncommitted changes of the state on top.  Raise Busy."""
    head = view.head_root()
    if head is None:
        if before.root.size or view.has_changes():
            raise Busy("there are uncommitted files and no commit yet: commit them first")
        return view.ignoring.keep(target, before.root)
    return carry_changes(view, head, before.root, target)


def carry_changes(view: View, head: Entry, working: Entry, target: Entry) -> Entry:
    """Return the target's tree with the changes from `head` to `working` on top.  Raise Busy."""
    core = view.core
    store = core.store
    if head.oid == working.oid and not differs(head, working):
        return target
    changes = _changes(store, head, target)
    selected = view.ignoring.select(working)
    dirty = _changes(store, head, selected)
    dirty += _ignored_among(store, selected, working, changes)
    blocking = _blocked_paths(dirty, changes)
    if blocking:
        shown = ", ".join(repr(path.decode("utf-8", "replace")) for path in blocking[:_NAMED_COUNT])
        more = f" and {len(blocking) - _NAMED_COUNT} more" if blocking[_NAMED_COUNT:] else ""
        raise Busy(f"uncommitted changes would be overwritten, commit them first: {shown}{more}")
    edits = {change.path: change.new for change in changes}
    now = core.clock.now_ns()
    try:
        root = edit_tree(store, working, edits, now)
    except AlreadyExists as error:
        raise Busy(f"uncommitted changes are in the way: {error}") from error
    return settle_links(store, working, root, target, now)


def _ignored_among(
    store: Store, selected: Entry, working: Entry, changes: Sequence[Change]
) -> list[Change]:
    """Return, as additions, what is ignored and lies where a merge changes something.

    Not all that is ignored is looked at: dependencies have many files, and so has a `.git`.
    """
    found: list[Change] = []
    for change in changes if selected.oid != working.oid else ():
        there = find_entry(store, working, change.path)
        if there is not None and find_entry(store, selected, change.path) is None:
            found.append(Change(change.path, None, there))
    return found


def _changes(store: Store, old: Entry, new: Entry) -> list[Change]:
    changes = list(walk_changes(store, TreeId(old.oid), TreeId(new.oid)))
    if differs(old, new):
        changes.append(Change(b"", old, new))
    return changes


def _blocked_paths(dirty: Sequence[Change], changes: Sequence[Change]) -> list[bytes]:
    """Return the paths with uncommitted changes that the merge changes differently."""
    coming = {change.path: change.new for change in changes}
    blocking = []
    for path, _, new in dirty:
        if path not in coming:
            continue
        other = coming[path]
        both_directories = all(entry is None or entry.is_dir for entry in (new, other))
        if not both_directories and differs(new, other):
            blocking.append(path)
    return blocking
