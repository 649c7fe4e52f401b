"""Marks of the objects of L2 that a garbage collection keeps."""

from __future__ import annotations

_REACHED = 1
_GIVEN = 2
_NEEDED = 3


class Marks:
    """One byte for each number given out before the collection began; later objects stay.

    The collection marks the objects that it reaches, while the drain claims those that it was given
    and L2 has.  They are bytes, not bits, so that two threads may set them at once: either value
    means that the object stays.

    Once `is_final` is set, an object that is not kept counts as removed: nobody may rely on it.
    """

    def __init__(self, end: int) -> None:
        self._marks = bytearray(end)
        self._late: set[int] = set()
        """Later numbers that the collection reached."""
        self.is_final = False

    def reach(self, number: int) -> bool:
        """Mark an object that the collection reached; return True if it was not reached before."""
        # I46: the sweep has begun when marks are final, and nothing comes back from it.
        assert not self.is_final
        if number >= len(self._marks):
            is_new = number not in self._late
            self._late.add(number)
            return is_new
        is_new = self._marks[number] != _REACHED
        self._marks[number] = _REACHED
        return is_new

    def claim(self, number: int) -> bool:
        """Mark an object that was added again; return True if the copy in L2 will stay."""
        # I46: what is given to the store while it is swept stays, or is stored anew.
        if self.is_final:
            return self.keeps(number)
        if not self.keeps(number):
            self._marks[number] = _GIVEN
        return True

    def need(self, number: int) -> None:
        """Mark the base of an object that stays."""
        if not self.keeps(number):
            self._marks[number] = _NEEDED

    def keeps(self, number: int) -> bool:
        """Return True if an object stays, as far as is known."""
        return number >= len(self._marks) or self._marks[number] != 0

    def is_sure(self, number: int) -> bool:
        """Return True if new objects may depend on this one, because it will not be removed."""
        return not self.is_final or self.keeps(number)

    @property
    def kept_count(self) -> int:
        """Number of objects that stay, as far as is known; 0.1 ms for a million."""
        return len(self._marks) - self._marks.count(0) + len(self._late)
