"""Declarations of a store to programs that would not understand it, and refuse it by its format."""

from __future__ import annotations

from collections.abc import Callable


class Declaration:
    """The word of a store's format on whether the parents of some commits are not there."""

    def __init__(self, write: Callable[[bool], None], *, is_shallow: bool) -> None:
        """Take over the word of the format; `write` changes it.  Raise StoreError."""
        self.is_shallow = is_shallow
        """True if programs that know no shallow history refuse the store."""
        self._write = write

    def declare(self, *, is_shallow: bool) -> None:
        """Let such programs refuse the store from now on, or not any more.  Raise StoreError.

        The first comes before the first commit whose parents are not there, the second after the
        last one is gone from the disk.
        """
        if is_shallow != self.is_shallow:
            self._write(is_shallow)
            self.is_shallow = is_shallow
