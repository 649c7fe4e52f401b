"""Marks of the objects of L2 that a garbage collection keeps."""

from __future__ import annotations

from collections.abc import Iterator

_REACHED = 1
_GIVEN = 2
_NEEDED = 3
_OLD = 4
_SPARED = 5
_IS_REACHED = bytes(int(value in (_REACHED, _OLD)) for value in range(256))
_RECALLED = bytes((_SPARED, _OLD)) + bytes(254)


class Marks:
    """One byte for each number given out before the collection began; later objects stay.

    The collection marks the objects that it reaches, while the drain claims those that it was given
    and L2 has.  They are bytes, not bits, so that two threads may set them at once: either value
    means that the object stays.

    Once `is_final` is set, an object that is not kept counts as removed: nobody may rely on it.

    A collection may recall what an earlier one reached: such an object is *old*, and so is whatever
    it needs.  The others from before that one are *spared*: they stay, but are looked at if
    something reaches them, because what they need may be gone.
    """

    def __init__(self, end: int) -> None:
        self._marks = bytearray(end)
        self._late: set[int] = set()
        """Later numbers that the collection reached."""
        self.is_final = False
        self.first = 1
        """First number that may go."""

    @property
    def end(self) -> int:
        """Number after the last one that may go."""
        return len(self._marks)

    def recall(self, first: int, reached: bytes) -> None:
        """Take what an earlier collection reached, which began before the number `first`."""
        marks = self._marks
        # I56: an object that stayed for another one is spared, not old.
        marks[:first] = reached[:first].translate(_RECALLED)
        # Reached, but stored while that collection ran.  The drain may claim others just now.
        for number in range(first, len(reached)):
            if reached[number]:
                marks[number] = _OLD
        self.first = first

    def reached(self) -> bytes:
        """Return a byte for each number: 1 for an object that was reached, now or before."""
        marks = self._marks
        if self._late:
            marks = marks + bytes(max(self._late) + 1 - len(marks))
            for number in self._late:
                marks[number] = _REACHED
        return bytes(marks.translate(_IS_REACHED))

    def kept_for_others(self) -> Iterator[int]:
        """Yield the numbers of objects that stay, although this collection did not reach them."""
        for value in (_GIVEN, _NEEDED):
            at = self._marks.find(value)
            while at >= 0:
                yield at
                at = self._marks.find(value, at + 1)

    def is_old(self, number: int) -> bool:
        """Return True if an earlier collection reached an object and all that it needs."""
        return number < len(self._marks) and self._marks[number] == _OLD

    def reach(self, number: int) -> bool:
        """Mark an object that the collection reached; return True if it was not reached before."""
        # I46: the sweep has begun when marks are final, and nothing comes back from it.
        assert not self.is_final
        if number >= len(self._marks):
            is_new = number not in self._late
            self._late.add(number)
            return is_new
        value = self._marks[number]
        if value in (_REACHED, _OLD):
            return False
        self._marks[number] = _REACHED
        return True

    def is_reached(self, number: int) -> bool:
        """Return True if an object was reached, by this collection or by the one it recalls."""
        if number >= len(self._marks):
            return number in self._late
        return self._marks[number] in (_REACHED, _OLD)

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
        """Number of objects that stay, as far as is known; 0.1 ms for a million.

        After `recall`, numbers of removed objects count, too.
        """
        return len(self._marks) - self._marks.count(0) + len(self._late)
