"""The stage: the tree that the next commit of a working state takes, if `add` made one.

It is the tree of HEAD with the staged paths as they were when they were added.  Without a stage, a
commit takes everything.
"""

from __future__ import annotations

from heliosfs.objects.tree import Entry, decode_entry, encode_entry
from heliosfs.repo import keys
from heliosfs.repo.inverses import Inverses
from heliosfs.store.base import StateMap


class Stage:
    """The stage of one slot.  Changes go into the store's batch; a transaction publishes them."""

    def __init__(self, store: StateMap, slot: int, inverses: Inverses | None = None) -> None:
        self._store = store
        self._inverses = Inverses() if inverses is None else inverses
        self._slot = slot
        data = store.get(keys.of_slot(keys.STAGE, slot))
        self.root = decode_entry(data)[0] if data is not None else None
        """Staged tree; None while nothing is staged."""

    def replace(self, root: Entry | None) -> None:
        """Stage another tree, or nothing."""
        if root is not None or self.root is not None:
            self._inverses.append((setattr, (self, "root", self.root)))
            self.root = root
            self._store.put(
                keys.of_slot(keys.STAGE, self._slot), encode_entry(root) if root else None
            )

    def remember(self, sequence: int) -> None:
        """Keep the staged tree with the operation that is being recorded, for its undo."""
        if self.root is not None:
            self._store.put(
                keys.of_operation(keys.STAGE_BEFORE, self._slot, sequence), encode_entry(self.root)
            )

    def remembered(self, sequence: int) -> Entry | None:
        """Return the staged tree before an operation, or None."""
        data = self._store.get(keys.of_operation(keys.STAGE_BEFORE, self._slot, sequence))
        return decode_entry(data)[0] if data is not None else None
