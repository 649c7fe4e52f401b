"""Inverses: calls that take back what a transaction has changed in memory."""

from __future__ import annotations

from collections.abc import Callable

Inverse = tuple[Callable[..., object], tuple[object, ...]]
"""A function that takes back a change of memory, and its arguments."""


class Inverses(list[Inverse]):
    """The inverse of every change of memory since a transaction began.

    Code that changes memory which a failed transaction must restore appends the call that does so.
    That call only assigns: it cannot fail, and reads nothing from the store.  Outside a
    transaction, they are dropped when the next one begins.  This is a list because a commit appends
    four times, and `append` costs no Python call.
    """

    __slots__ = ()

    def run(self) -> None:
        """Undo everything, the last change first."""
        noted = self[::-1]
        self.clear()
        for function, arguments in noted:
            function(*arguments)
