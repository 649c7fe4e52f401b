"""A history that goes further down than before: the parents of commits on its edge are here."""

from __future__ import annotations

from heliosfs.repo import keys
from heliosfs.repo.core import Core


def move_edge(core: Core) -> bool:
    """Take the commits from the edge whose parents are all listed now; a transaction publishes it.

    Return True if there was any.  What relies on where the history ended goes: the places of
    commits on their chains, and what a garbage collection need not look at again.
    """
    store, history = core.store, core.history
    edge = history.edge
    inner = [oid for oid in edge if all(each in history for each in edge.parents(oid))]
    if not inner:
        return False
    # I80: in the same publish as the refs that lead there.
    edge.remove(inner)
    history.first_parents.forget()
    for key, _ in list(store.scan(keys.MILESTONE)):
        store.put(key, None)
    store.put(keys.MILESTONES, None)
    # I56: it relies on commits that were kept reaching nothing more than they did then.
    store.put(keys.GC_HANDOVER, None)
    return True
