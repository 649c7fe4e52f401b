"""The submodules that are checked out in a working state: those whose directory has a `.git`.

A commit does not tell, because no commit contains `.git`.
"""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.objects.ids import Oid, TreeId
from heliosfs.objects.tree import decode_entry
from heliosfs.repo.gc.roots import saved_states
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps
from heliosfs.trees.gitlinks import gitlink_of
from heliosfs.trees.stored import EMPTY_TREE, read_entries

_DOTGIT = b".git"


def checked_out(repository: Repository) -> Steps[set[bytes]]:
    """Return the raw ids of the commits of all checked-out submodules, in all working states.

    Cost: reads the directories of each working state once.
    """
    store = repository.store
    found: set[bytes] = set()
    seen: set[Oid] = {EMPTY_TREE}
    for root in list(_roots(repository)):
        pending = [(root, b"")]
        while pending:
            oid, link = pending.pop()
            if oid in seen and not link:
                continue
            seen.add(oid)
            for encoded in read_entries(store, TreeId(oid)):
                entry, _ = decode_entry(encoded)
                if entry.name == _DOTGIT:
                    if link:
                        found.add(link)
                elif entry.is_dir:
                    pending.append((entry.oid, gitlink_of(entry)))
            yield TURN
    return found


def _roots(repository: Repository) -> Iterator[Oid]:
    open_slots = set()
    for view in repository.views():
        open_slots.add(view.slot)
        yield view.state().root.oid
    for state in saved_states(repository):
        if state.slot not in open_slots:
            yield state.root.oid
