"""The types of configured values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliosfs.config.values import Bool, Choice, Duration, Integer, Size, Text, ValueType


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("536870912", 536870912),
        ("512MB", 512 * 1024**2),
        ("512MiB", 512 * 1024**2),
        ("2G", 2 * 1024**3),
        ("1.5 kb", 1536),
        ("7B", 7),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert Size().parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100ms", 10**8),
        ("1.5s", 1500 * 10**6),
        ("48h", 2 * 86400 * 10**9),
        ("250us", 250_000),
        ("2w", 14 * 86400 * 10**9),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert Duration().parse(text) == expected


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        (Size(), "", "'' is not a size such as 512MB or 2GB"),
        (Size(), "2QB", "'2QB' is not a size"),
        (Size(), "-1GB", "is not a size"),
        (Size(), "1e9", "is not a size"),
        (Size(), "9" * 40, "is not a size"),
        (Size(), "999999999TB", "is out of range"),
        (Size(1024, 2048), "4KB", "'4KB' is out of range: 1KB to 2KB"),
        (Duration(), "100", "'100' is not a time such as 100ms or 48h"),
        (Duration(), "1H", "is not a time"),
        (Duration(10**6, 10**9), "1h", "'1h' is out of range: 1ms to 1s"),
        (Integer(1, 9), "10", "'10' is out of range: 1 to 9"),
        (Integer(1, 9), "1.5", "'1.5' is not a whole number"),
        (Integer(1, 9), "²", "is not a whole number"),
        (Bool(), "maybe", "'maybe' is neither true nor false"),
        (Choice(("a", "b")), "c", "'c' is not one of a, b"),
        (Text(), "a\nb", "is not a short text of one line"),
        (Text(), "x" * 201, "is not a short text"),
    ],
)
def test_what_is_no_value_is_refused(kind: ValueType, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        kind.parse(text)
    assert problem in str(refused.value)


def test_truth_can_be_written_in_several_ways() -> None:
    assert [Bool().parse(text) for text in ("true", "Yes", "ON")] == [True] * 3
    assert [Bool().parse(text) for text in ("false", "no", "Off")] == [False] * 3


@given(st.integers(0, 2**63 - 1))
def test_a_shown_size_is_the_same_size(value: int) -> None:
    assert Size().parse(Size().show(value)) == value


@given(st.integers(0, 2**53).map(lambda microseconds: microseconds * 1000))
def test_a_shown_duration_is_the_same_duration(value: int) -> None:
    assert Duration().parse(Duration().show(value)) == value
