"""The `.git`s of working trees: their way from branch to branch, and stores from before that.

At the mount point a `.git` stays when another branch is shown: the branch that comes takes it over
from the one that leaves, so that it is in one working state at any time.  A branch that has a
`.git` of its own at that path, as a fork has once one of the two has changed, shows its own.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import chain

from heliosfs.errors import StoreError
from heliosfs.objects.tree import decode_entry, encode_entry
from heliosfs.repo import keys
from heliosfs.repo.core import Core
from heliosfs.repo.working_state import DETACHED, State
from heliosfs.store.base import Objects
from heliosfs.trees.gitless import GitFree, put_at, without_links
from heliosfs.trees.select import select
from heliosfs.trees.stored import find_entry

NONE = b"none"
"""Value of the key: no commit of this store has a `.git`."""
SOME = b"some"
"""Value of the key: a commit may have one."""
_LOOKED_AT_MAX = 50_000
"""Number of trees of an older store that are looked at when it is opened: one second."""
NEWS = (
    "commits of this workspace hold a .git, as they did until now: from now on a .git is kept out "
    "of commits, and no verb but 'restore --at' touches one; what old commits have of it is in "
    ".helios/snapshots"
)


def taken_over(
    store: Objects, paths: list[bytes], leaving: State, coming: State
) -> tuple[State, State]:
    """Return both states, with each `.git` of the first in the second, if that has a place for it.

    `paths` are those of `leaving`.  Objects go into the store's batch.
    """
    old, new = leaving.root, coming.root
    for path in paths:
        held, there = find_entry(store, leaving.root, path), find_entry(store, new, path)
        above = find_entry(store, new, path.rpartition(b"/")[0])
        if held is None or above is None or not above.is_dir:
            continue
        if there is None:
            new = put_at(store, new, path, without_links(store, held))
        elif there.oid != held.oid:
            # Each has its own.
            continue
        old = put_at(store, old, path, None)
    return leaving._replace(root=old), coming._replace(root=new)


def open_older(core: Core, shown_slot: int) -> str | None:
    """Prepare a store whose commits may have a `.git`; return a line about it, the first time.

    Cost: nothing where it is known that none has; once, up to a second.
    """
    known = core.store.get(keys.GIT_DIRS)
    core.working_set.has_git_dirs = known is None or core.store.get(keys.GIT_SEEN) is not None
    if known == NONE:
        return None
    found = _is_in_commits(core, core.history.git_free) if known is None else None
    core.history.has_git_dirs = found is not False
    if known is None:
        # A full disk must not keep a workspace from being mounted.
        with suppress(StoreError), core.transaction:
            core.store.put(keys.GIT_DIRS, NONE if found is False else SOME)
            if found is not False or _is_in_states(core, core.history.git_free):
                core.store.put(keys.GIT_SEEN, b"1")
            else:
                core.working_set.has_git_dirs = False
            if found:
                _clean_states(core, core.history.git_free, shown_slot)
    return NEWS if found else None


def _is_in_commits(core: Core, git_free: GitFree) -> bool | None:
    """Return True if a commit has a `.git`; None if there are too many to look at all of them."""
    heads = [branch.head for branch in core.refs if branch.head is not None]
    for oid in dict.fromkeys(chain(heads, core.history.ids())):
        try:
            root = core.history.read_whole(oid).root
            if git_free.strip(root, _LOOKED_AT_MAX - git_free.count) != root:
                return True
        except StoreError:
            # Damage is told of where it is met.
            continue
        if git_free.count >= _LOOKED_AT_MAX:
            return None
    return False


def _is_in_states(core: Core, git_free: GitFree) -> bool:
    """Return True if a working state has a `.git`, or if there is too much to look at."""
    for slot in (DETACHED, *(branch.slot for branch in core.refs)):
        state = core.kept_state(slot)
        if state is None:
            continue
        stripped = git_free.strip(state.root, _LOOKED_AT_MAX - git_free.count)
        if stripped != state.root or git_free.count >= _LOOKED_AT_MAX:
            return True
    return False


def _clean_states(core: Core, git_free: GitFree, shown_slot: int) -> None:
    """Take what came from commits out of stages, and out of branches that are not shown.

    There it is as the commit had it, and would hide the one that is at the mount point.
    """
    for branch in core.refs:
        slot, head = branch.slot, branch.head
        staged = core.store.get(keys.of_slot(keys.STAGE, slot))
        if staged is not None:
            root = git_free.strip(decode_entry(staged)[0])
            core.store.put(keys.of_slot(keys.STAGE, slot), encode_entry(root))
        state = core.kept_state(slot)
        if state is None or head is None or slot == shown_slot:
            continue
        committed = core.history.read_whole(head).root
        root = state.root
        for path in select(core.store, git_free.strip(committed), root).git_dirs:
            was, now = (find_entry(core.store, each, path) for each in (committed, root))
            if was is not None and now is not None and was.oid == now.oid:
                root = put_at(core.store, root, path, None)
        if root != state.root:
            core.store.put(keys.of_slot(keys.WORK, slot), state._replace(root=root).encode())
