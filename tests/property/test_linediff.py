"""Line differences: whatever is found, it leads from the one file to the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliosfs.repo.lines.compare import Effort, changed_ranges, split_lines

FILES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"\n", b"unique %d\n"]), max_size=40)


@given(FILES, FILES, st.sampled_from([0, 10, 10_000]))
def test_ranges_lead_from_old_to_new(old: list[bytes], new: list[bytes], effort: int) -> None:
    old = [line % at if b"%" in line else line for at, line in enumerate(old)]
    new = [line % at if b"%" in line else line for at, line in enumerate(new)]
    made: list[bytes] = []
    at = new_at = 0
    for start, stop, new_start, new_stop in changed_ranges(old, new, Effort(effort)):
        assert start - at == new_start - new_at
        assert (start > at or not made) and (stop > start or new_stop > new_start)
        made += old[at:start] + new[new_start:new_stop]
        at, new_at = stop, new_stop
    assert made + old[at:] == new


@given(st.binary(max_size=200))
def test_lines_are_the_file(data: bytes) -> None:
    lines = split_lines(data)
    assert b"".join(lines) == data
    assert all(line.endswith(b"\n") for line in lines[:-1])
    assert all(line.count(b"\n") <= 1 and line for line in lines)
