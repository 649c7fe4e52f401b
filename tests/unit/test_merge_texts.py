"""Merges of texts: what is added to the lines of both sides.  Against git: `tests/fuzz`."""

from __future__ import annotations

import pytest

from heliosfs.repo.merge.text import Favor, merge_texts


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (b"{\n", b"  ", b"", b"  \n"),
        (b"a\n", b"b", b"c\n", b"b\nc\n"),
        (b"a\r\nb\r\n", b"a\r\nc", b"a\r\nd\r\n", b"a\r\nc\r\nd\r\n"),
        (
            b"",
            b"w\nx\nw\nw\nw\nw\nend",
            b"r\nw\nw\nw\nw\n",
            b"w\nx\nr\nw\nw\nw\nw\nend\n",
        ),
    ],
)
def test_a_union_is_that_of_git(base: bytes, ours: bytes, theirs: bytes, merged: bytes) -> None:
    assert merge_texts(base, ours, theirs, favor=Favor.UNION) == (merged, 0)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "ending"),
    [
        (b"a\r\nb\r\n", b"a\r\nc", b"a\r\nd\r\n", b"\r\n"),
        (b"a\nb\n", b"a\nc", b"a\nd\n", b"\n"),
        # Where one of the three has other newlines, or none, they are those of git.
        (b"a\nb\n", b"1\r\n2\r\n", b"3\r\n4\r\n", b"\n"),
        (b"a\r\nb\r\n", b"1\n2\n", b"3\r\n4\r\n", b"\n"),
        (b"a", b"1\r\n", b"2\r\n", b"\n"),
        (b"a\r\n", b"1", b"2", b"\r\n"),
    ],
)
def test_markers_end_as_the_lines_do(
    base: bytes, ours: bytes, theirs: bytes, ending: bytes
) -> None:
    lines = merge_texts(base, ours, theirs).data.splitlines(keepends=True)
    markers = [line for line in lines if line[:3] in (b"<<<", b"|||", b"===", b">>>")]
    assert len(markers) == 4
    assert {line.lstrip(b"<|=> basetheirou") for line in markers} == {ending}
