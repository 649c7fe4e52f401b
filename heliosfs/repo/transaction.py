"""A transaction: everything that one verb changes, published once, or nothing of it.

The trees of a workspace, the names of commits and the operation log are kept in memory and in
the store.  A verb changes the memory as it goes, puts the new state into the store's batch, and
says which tree a workspace is to show.  When the outermost `with` ends:

1. the trees to be shown are read, which may fail;
2. the batch is published, which may fail;
3. the workspaces are switched, which cannot fail, because all that it needs was read.

When 1, 2 or the verb itself fails, the batch loses its state and every change of memory is taken
back by the action that was noted beside it, the last one first.  These actions only assign, so
that they cannot fail either.  A process that ends before 2 has changed nothing, and one that ends
after it finds the new state when the store is opened.

A transaction is never open across a turn of others: its caller does not yield and does not
await.  A `with` inside another one, of a verb that is made of smaller ones, joins it.
Prior art: jj's `lib/src/transaction.rs`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from heliosfs.objects.tree import Entry
from heliosfs.repo.inverses import Inverses
from heliosfs.store.base import Store
from heliosfs.workspace.plan import plan
from heliosfs.workspace.redate import RedateResult, redate, with_times_unchanged
from heliosfs.workspace.switch import Invalidation, carry_out
from heliosfs.workspace.workspace import Workspace


class Transaction:
    """The transaction of a repository; it has one at a time, and reuses it."""

    def __init__(self, store: Store, inverses: Inverses) -> None:
        self._store = store
        self._inverses = inverses
        self.stale = Invalidation()
        """Names and data that the kernel must forget before the current verb is answered."""
        self._begun: list[int] = []
        """Number of inverses at the beginning of each open `with`."""
        self._has_failed = False
        self.targets: dict[Workspace, RedateResult] = {}
        """Roots that workspaces will show when the transaction ends.

        Their trees were flushed, and nothing writes to them meanwhile."""
        self.afterwards: list[Callable[[], None]] = []
        """Actions to run after everything is published and shown; none of them may fail."""

    @property
    def is_open(self) -> bool:
        """True while changes are being gathered."""
        return bool(self._begun)

    def __enter__(self) -> Transaction:  # noqa: PYI034 - Self is newer than Python 3.10
        if not self._begun:
            self._inverses.clear()
        self._begun.append(len(self._inverses))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if len(self._begun) > 1:
            count = self._begun.pop()
            # What was refused before it changed anything may be answered by the caller.
            if error is not None and len(self._inverses) > count:
                self._has_failed = True
            return
        try:
            if error is not None:
                self._take_back()
            else:
                self._conclude()
        finally:
            self._begun.clear()
            self.targets.clear()
            self.afterwards.clear()
            self._has_failed = False

    def show(self, workspace: Workspace, root: Entry, *, with_times: bool = False) -> bytes:
        """Let a workspace, whose tree is flushed, show a root when the transaction ends.

        Unless it has to keep its own times (`with_times`), its files get times that show when they
        came (see `redate`).  Return the encoded root.  Raise StoreError.
        """
        dated = with_times_unchanged(root) if with_times else redate(workspace, root)
        self.targets[workspace] = dated
        return dated.raw

    def _conclude(self) -> None:
        plans = []
        try:
            # I21: half of an inner change must not be published with the rest.
            if self._has_failed:
                raise RuntimeError("a nested transaction failed, and the outer one continued")
            for workspace, dated in self.targets.items():
                plans.append((workspace, dated, plan(workspace, dated.raw, dated.known)))
            # Objects alone, of a tree that was only looked at, wait for the next publish.
            # I20: one publish, after which nothing can fail.
            if self._inverses or self._store.has_changes:
                self._store.publish()
        except BaseException:
            self._take_back()
            raise
        for workspace, dated, steps in plans:
            carry_out(workspace, dated, steps, self.stale)
        for action in self.afterwards:
            action()

    def _take_back(self) -> None:
        # I21: batch and memory go back together.
        self._store.abandon()
        self._inverses.run()
