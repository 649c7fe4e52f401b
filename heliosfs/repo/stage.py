"""The stage: what `add` put aside for the next commit of a working state.

It is a tree: that of HEAD with the staged paths as they were when they were added.  While
there is none, a commit takes everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry, decode_entry, encode_entry
from heliosfs.repo import keys
from heliosfs.repo.inverses import Inverses
from heliosfs.store.base import Store
from heliosfs.trees.graft import graft
from heliosfs.trees.same import differs
from heliosfs.trees.stored import EMPTY_TREE, has_changes

if TYPE_CHECKING:
    from heliosfs.repo.view import View


class Stage:
    """The stage of one slot.  Changes go into the store's batch; a transaction publishes them."""

    def __init__(self, store: Store, slot: int, inverses: Inverses | None = None) -> None:
        self._store = store
        self._inverses = Inverses() if inverses is None else inverses
        self._slot = slot
        data = store.get(keys.of_slot(keys.STAGE, slot))
        self.root = decode_entry(data)[0] if data is not None else None
        """None while nothing is staged."""

    def replace(self, root: Entry | None) -> None:
        """Stage another tree, or nothing."""
        if root is not None or self.root is not None:
            self._inverses.append((setattr, (self, "root", self.root)))
            self.root = root
            self._store.put(
                keys.of_slot(keys.STAGE, self._slot), encode_entry(root) if root else None
            )

    def remember(self, sequence: int) -> None:
        """Keep what is staged with the operation that is being recorded, for its undo."""
        if self.root is not None:
            self._store.put(
                keys.of_operation(keys.STAGE_BEFORE, self._slot, sequence), encode_entry(self.root)
            )

    def remembered(self, sequence: int) -> Entry | None:
        """What was staged before an operation."""
        data = self._store.get(keys.of_operation(keys.STAGE_BEFORE, self._slot, sequence))
        return decode_entry(data)[0] if data is not None else None


def base_root(view: View) -> Entry:
    """What the working tree is compared with, and paths are added to: the stage, or HEAD."""
    return view.stage.root or view.head_root() or nothing(view)


def nothing(view: View) -> Entry:
    """What HEAD is before the first commit: the root of the working tree without its contents."""
    return view.state().root._replace(oid=EMPTY_TREE, size=0, links_below=False)


def stage_paths(view: View, source: Entry, paths: Sequence[bytes]) -> list[bytes]:
    """Stage paths as `source` has them, and publish; gives what changed in the stage.

    A stage that is equal to HEAD goes.  StoreError leaves the stage as it was.
    """
    repository = view.repository
    now_ns = repository.clock.now_ns()
    root, changed = graft(repository.store, base_root(view), source, paths, now_ns)
    if changed:
        # I25: a stage that says what HEAD says is none.
        with repository.transaction:
            view.stage.replace(root if is_news(view, root) else None)
    return changed


def is_news(view: View, root: Entry) -> bool:
    """Whether a tree differs from HEAD in more than times."""
    head = view.head
    return root.oid != EMPTY_TREE if head is None else differs_from(view, head, root)


def differs_from(view: View, oid: CommitId, root: Entry) -> bool:
    """Return True if a tree differs from that of a commit in more than times."""
    old = view.repository.history.read(oid).root
    return differs(old, root) or has_changes(
        view.repository.store, TreeId(old.oid), TreeId(root.oid)
    )
