"""Three-way merge of texts by lines, by the rules of diff3(1) and git-merge-file(1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from heliosfs.repo.lines.compare import ChangedRange, Effort, Method, changed_ranges, split_lines

_MARKER = 7
_JOINED_LINES = 3
"""Largest number of lines between two refined conflicts that are joined."""


class Favor(Enum):
    """The side for which conflicts are decided."""

    NONE = "none"
    OURS = "ours"
    THEIRS = "theirs"
    UNION = "union"
    """Both: the lines of ours, then those of theirs, as merge=union asks for."""


class ConflictStyle(Enum):
    """The form in which a conflict is written."""

    DIFF3 = "diff3"
    """With the lines of the base between those of the two sides."""
    REFINED = "refined"
    """Without the base, and only with the lines in which the two sides differ.  Git writes this in
    a virtual base, so that the merge over it finds what git finds."""


class Labels(NamedTuple):
    """The names of the three versions in conflict markers."""

    ours: str = "ours"
    base: str = "base"
    theirs: str = "theirs"


DEFAULT_LABELS = Labels()


class MergedText(NamedTuple):
    """The result; conflicts are between markers in `data`."""

    data: bytes
    conflict_count: int


class _Piece(NamedTuple):
    """Lines of the base that at least one side changed, and their places on each side."""

    start: int
    stop: int
    ours_start: int
    ours_stop: int
    theirs_start: int
    theirs_stop: int


def merge_texts(
    base: bytes,
    ours: bytes,
    theirs: bytes,
    *,
    favor: Favor = Favor.NONE,
    labels: Labels = DEFAULT_LABELS,
    effort: Effort | None = None,
    form: ConflictStyle = ConflictStyle.DIFF3,
) -> MergedText:
    r"""Merge two texts over their base: take from each side what it changed.

    Changes that overlap or touch are a conflict unless they are the same.  `favor` decides
    it; otherwise it is written out in diff3 style.  Cost: linear, and bounded by `effort`.

    >>> merge_texts(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\nC\n")
    MergedText(data=b'A\nb\nC\n', conflict_count=0)
    """
    effort = effort or Effort()
    lines = split_lines(base), split_lines(ours), split_lines(theirs)
    if favor is Favor.UNION:
        return MergedText(b"".join(_united(*lines, effort)), 0)
    out: list[bytes] = []
    conflict_count = 0
    at = 0
    for piece in _pieces(*lines, effort):
        out += lines[0][at : piece.start]
        at = piece.stop
        old = lines[0][piece.start : piece.stop]
        mine = lines[1][piece.ours_start : piece.ours_stop]
        other = lines[2][piece.theirs_start : piece.theirs_stop]
        # The same change on both sides is no conflict, nor is a change of one side.
        if other in (mine, old) or (mine != old and favor is Favor.OURS):
            out += mine
        elif mine == old or favor is Favor.THEIRS:
            out += other
        else:
            conflict_count += 1
            if form is ConflictStyle.DIFF3:
                ending = _line_ending(*lines, piece.ours_start, piece.theirs_start)
                out += _marked(mine, old, other, labels, ending)
            else:
                out += _refined(mine, other, labels, effort)
    out += lines[0][at:]
    return MergedText(b"".join(out), conflict_count)


def _pieces(
    base: list[bytes], ours: list[bytes], theirs: list[bytes], effort: Effort
) -> Iterator[_Piece]:
    """Yield the changed parts of the base; those that overlap or touch are joined."""
    left = changed_ranges(base, ours, effort, Method.HISTOGRAM)
    right = changed_ranges(base, theirs, effort, Method.HISTOGRAM)
    i = j = left_shift = right_shift = 0
    while i < len(left) or j < len(right):
        take_left = j >= len(right) or (i < len(left) and left[i].start <= right[j].start)
        start = left[i].start if take_left else right[j].start
        stop = start
        first_left, first_right = i, j
        while True:
            # `<=`, not `<`: changes that touch belong together, as in git.
            if i < len(left) and left[i].start <= stop:
                stop = max(stop, left[i].stop)
                i += 1
            elif j < len(right) and right[j].start <= stop:
                stop = max(stop, right[j].stop)
                j += 1
            else:
                break
        ours_start, theirs_start = start + left_shift, start + right_shift
        left_shift += _growth(left[first_left:i])
        right_shift += _growth(right[first_right:j])
        yield _Piece(start, stop, ours_start, stop + left_shift, theirs_start, stop + right_shift)


def _growth(ranges: list[ChangedRange]) -> int:
    """Return the number of lines by which the changes made the text longer."""
    return sum(each.new_stop - each.new_start - (each.stop - each.start) for each in ranges)


def _line_ending(
    base: list[bytes], ours: list[bytes], theirs: list[bytes], start: int, other_start: int
) -> bytes:
    """Return the newline of the lines that a merge adds where a conflict begins.

    The file keeps one kind of newline: that of the lines before, and of the first line of the base
    (xmerge.c, `is_cr_needed`).
    """
    sides = (ours, start), (theirs, other_start)
    is_mixed = any(_has_return(lines, max(at - 1, 0)) is False for lines, at in sides)
    return b"\r\n" if not is_mixed and _has_return(base, 0) else b"\n"


def _has_return(lines: list[bytes], at: int) -> bool | None:
    r"""Return True if a line ends with \r\n; None where no newline is near."""
    if not lines:
        return None
    if not lines[at].endswith(b"\n"):
        if not at:
            return None
        at -= 1
    return lines[at].endswith(b"\r\n")


def _marked(
    mine: list[bytes], old: list[bytes], other: list[bytes], labels: Labels, ending: bytes
) -> Iterator[bytes]:
    sides = ((b"<", labels.ours, mine), (b"|", labels.base, old), (b"=", "", other))
    return _between_markers(sides, labels.theirs, ending, _MARKER)


def _refined(
    mine: list[bytes], other: list[bytes], labels: Labels, effort: Effort
) -> Iterator[bytes]:
    ranges: list[ChangedRange] = []
    for each in changed_ranges(mine, other, effort, Method.HISTOGRAM):
        # Conflicts with so little between them are easier to read as one; git draws the same line.
        if ranges and each.start - ranges[-1].stop <= _JOINED_LINES:
            last = ranges.pop()
            each = ChangedRange(last.start, each.stop, last.new_start, each.new_stop)
        ranges.append(each)
    at = 0
    for each in ranges:
        yield from mine[at : each.start]
        at = each.stop
        # Longer markers than those of a real conflict: this text can be inside one, and must not
        # end it.
        sides = (
            (b"<", labels.ours, mine[each.start : each.stop]),
            (b"=", "", other[each.new_start : each.new_stop]),
        )
        yield from _between_markers(sides, labels.theirs, b"\n", _MARKER + 2)
    yield from mine[at:]


class _Block(NamedTuple):
    """Lines in which the two sides differ, and the side to take."""

    start: int
    """First line in ours; the other two belong to theirs."""
    stop: int
    other_start: int
    other_stop: int
    favor: Favor


def _united(
    base: list[bytes], ours: list[bytes], theirs: list[bytes], effort: Effort
) -> Iterator[bytes]:
    """Merge, taking the lines of both sides where they conflict.

    Conflicts with at most three lines between them are joined, unless one side alone changed
    something there.
    """
    blocks: list[_Block] = []
    for each in _blocks(base, ours, theirs, effort):
        last = blocks[-1] if blocks else None
        is_near = last is not None and each.start - last.stop <= _JOINED_LINES
        if last is not None and is_near and last.favor is each.favor is Favor.UNION:
            each = each._replace(start=last.start, other_start=last.other_start)
            blocks.pop()
        blocks.append(each)
    at = 0
    for each in blocks:
        yield from ours[at : each.start]
        at = each.stop
        mine, other = ours[each.start : at], theirs[each.other_start : each.other_stop]
        if each.favor is not Favor.THEIRS:
            yield from mine
        # Otherwise the last line of ours and the first of theirs would become one line.  Git ends
        # it also where theirs has none.
        if each.favor is Favor.UNION and mine and not mine[-1].endswith(b"\n"):
            yield _line_ending(base, ours, theirs, each.start, each.other_start)
        if each.favor is not Favor.OURS:
            yield from other
    yield from ours[at:]


def _blocks(
    base: list[bytes], ours: list[bytes], theirs: list[bytes], effort: Effort
) -> Iterator[_Block]:
    for piece in _pieces(base, ours, theirs, effort):
        start, other_start = piece.ours_start, piece.theirs_start
        whole = _Block(start, piece.ours_stop, other_start, piece.theirs_stop, Favor.UNION)
        mine, other = ours[start : whole.stop], theirs[other_start : whole.other_stop]
        old = base[piece.start : piece.stop]
        if mine == other:
            continue
        if old in (mine, other):
            yield whole._replace(favor=Favor.THEIRS if old == mine else Favor.OURS)
        elif not mine or not other:
            yield whole
        else:
            for each in changed_ranges(mine, other, effort, Method.HISTOGRAM):
                yield _Block(
                    start + each.start,
                    start + each.stop,
                    other_start + each.new_start,
                    other_start + each.new_stop,
                    Favor.UNION,
                )


def _between_markers(
    sides: Iterable[tuple[bytes, str, list[bytes]]], last_label: str, ending: bytes, length: int
) -> Iterator[bytes]:
    for sign, label, lines in sides:
        yield _marker(sign, label, ending, length)
        yield from lines
        # The last line of a file may lack its newline, but a marker must begin a line.
        if lines and not lines[-1].endswith(b"\n"):
            yield ending
    yield _marker(b">", last_label, ending, length)


def _marker(sign: bytes, label: str, ending: bytes, length: int) -> bytes:
    text = sign * length + b" " + label.encode("utf-8", "surrogateescape")
    return text.rstrip(b" ") + ending
