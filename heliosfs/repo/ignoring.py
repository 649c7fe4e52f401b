"""What the ignore files of a view keep out of commits, and what becomes of it.

What is ignored belongs to the working state, not to commits: it is saved with it, and stays when
a verb makes the working tree equal to something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliosfs.errors import AlreadyExists
from heliosfs.objects.tree import Entry
from heliosfs.repo.staging import base_root, nothing
from heliosfs.repo.state import State
from heliosfs.workspace.select import Quiet, Selection, carry, select
from heliosfs.workspace.trees import Change

if TYPE_CHECKING:
    from heliosfs.repo.view import View


class Ignoring:
    """The selections of a view.  Does nothing, and costs nothing, while no rules are in sight.

    A workspace tells by `has_rules` whether an ignore file may have a say: a flush saw one above
    something that changed, or the tree came from somewhere else and nobody looked yet.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._quiet = Quiet()
        view.workspace.has_rules = True

    def select(self, work: Entry) -> Entry:
        """What a commit of everything would have, of a working tree that is flushed."""
        if not self._view.workspace.has_rules:
            return work
        found = self._select(base_root(self._view), work, self._quiet)
        self._view.workspace.has_rules = found.has_rules
        return found.root

    def ignored(self) -> list[Change]:
        """What is ignored: files, and directories as a whole.  Cost: O(changed + ignored)."""
        work = self._view.state().root
        if not self._view.workspace.has_rules:
            return []
        return self._select(base_root(self._view), work, None).ignored

    def keep(self, target: Entry) -> Entry:
        """The working tree after a verb that makes it `target`: what is ignored stays.

        Where that cannot be, since a file of the target is in the place of an ignored
        directory, the target wins.
        """
        return self._carry(target, None) if self._view.workspace.has_rules else target

    def keep_in(self, state: State) -> State:
        """A working state of before, with what is ignored now."""
        if not self._view.workspace.has_rules:
            return state
        head = self._view.repository.history.read(state.head).root if state.head else None
        then = self._select(head or nothing(self._view), state.root, None).root
        return state._replace(root=self._carry(then, state.root))

    def look_again(self) -> None:
        """The tree came from somewhere else: whether rules apply to it is not known."""
        head = self._view.head_root()
        root = self._view.workspace.root
        self._view.workspace.has_rules = head is None or head.oid != root.tree

    def _carry(self, target: Entry, whole: Entry | None) -> Entry:
        view = self._view
        work = view.state().root
        selected = self.select(work)
        now = view.repository.clock.now_ns()
        try:
            return carry(view.repository.store, work, selected, target, now, whole)
        except AlreadyExists:
            return whole or target

    def _select(self, base: Entry, work: Entry, quiet: Quiet | None) -> Selection:
        return select(self._view.repository.store, base, work, quiet)
