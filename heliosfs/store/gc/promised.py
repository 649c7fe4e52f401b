"""The end of promises that a collection did not reach, or whose objects are here."""

from __future__ import annotations

from itertools import islice

from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.promises import PromiseMarks, Promises

_LOOKED_COUNT = 64
"""Promises that are looked at in one go: a content of each may be read."""


class PromiseSweep:
    """Work in steps; any thread may execute it."""

    def __init__(self, database: ObjectDatabase, promises: Promises, marks: PromiseMarks) -> None:
        self._database = database
        self._promises = promises
        self._marks = marks
        self._left = marks.unmarked()
        self.is_done = not promises or marks.keeps_all

    def execute(self) -> None:
        """Do the next step.  StoreError."""
        taken = list(islice(self._left, _LOOKED_COUNT))
        with self._database.browsing() as snapshot:
            for oid in taken:
                # I68: a survey knows seven bytes of the ids of contents.  Where another object has
                # these, it may have taken that one for the content.
                if snapshot.candidates(oid) and not snapshot.copies_of(oid):
                    self._marks.mark(oid)
        if not taken:
            self._promises.drop(self._marks)
            self.is_done = True

    def apply(self) -> None:
        pass
