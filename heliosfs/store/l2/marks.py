"""Which objects of L2 a garbage collection keeps."""

from __future__ import annotations

_REACHED = 1
_GIVEN = 2
_NEEDED = 3


class Marks:
    """A byte for each number that was given out when the collection began; later ones stay.

    The collection marks what it reaches, while the drain claims what it was given and L2 has.
    Bytes, so that two threads may do it at once: a byte that both set keeps one of two values
    that both mean that the object stays.

    Once `is_final`, what is not kept is as good as gone: nobody may come to rely on it.
    """

    def __init__(self, end: int) -> None:
        self._marks = bytearray(end)
        self._late: set[int] = set()
        """Later numbers that the collection came to."""
        self.is_final = False

    def reach(self, number: int) -> bool:
        """The collection came to an object; whether for the first time."""
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
        """The store was given an object that L2 has; whether that one will stay."""
        # I46: what is given to the store while it is swept stays, or is stored anew.
        if self.is_final:
            return self.keeps(number)
        if not self.keeps(number):
            self._marks[number] = _GIVEN
        return True

    def need(self, number: int) -> None:
        """An object that stays is a delta to this one."""
        if not self.keeps(number):
            self._marks[number] = _NEEDED

    def keeps(self, number: int) -> bool:
        """Whether an object stays, as far as is known."""
        return number >= len(self._marks) or self._marks[number] != 0

    def is_sure(self, number: int) -> bool:
        """Whether others may come to need an object: it will not go."""
        return not self.is_final or self.keeps(number)
