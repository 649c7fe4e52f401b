"""The types of configured values: how each is parsed from text, and written back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Value: TypeAlias = "int | bool | str"

SIZE_MAX_BYTES = 2**63 - 1
DURATION_MAX_NS = 2**63 - 1
_TEXT_MAX = 200

_NUMBER = re.compile(r"(\d{1,19})(?:\.(\d{1,9}))?\s*([a-zA-Z]*)")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_SIZES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
"""Unit -> bytes, as memory is counted: KB, KiB and K are 1024 bytes."""
_DURATIONS_NS = {
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
    "w": 7 * 86400 * 10**9,
}
_BOOLS = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}


class ValueType(Protocol):
    """Type of the values of a key."""

    @property
    def summary(self) -> str:
        """Return the type and its range in words."""

    def parse(self, text: str) -> Value:
        """Return the value of a text.  Raise ValueError, which says what is wrong with it."""

    def show(self, value: Value) -> str:
        """Return the text that `parse` turns into the value."""


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes.

    >>> Size().parse("512MB"), Size().parse("1.5 KiB"), Size().show(2**31)
    (536870912, 1536, '2GB')
    """

    minimum: int = 0
    maximum: int = SIZE_MAX_BYTES

    @property
    def summary(self) -> str:
        return f"size, {_range(self)}"

    def parse(self, text: str) -> int:
        return _in_range(self, text, _scaled(text, _size_unit, "a size such as 512MB or 2GB"))

    def show(self, value: Value) -> str:
        return _shown(int(value), _SIZES, "B")


@dataclass(frozen=True, slots=True)
class Duration:
    """A time in nanoseconds.

    >>> Duration().parse("48h") == Duration().parse("2d"), Duration().show(90 * 10**6)
    (True, '90ms')
    """

    minimum: int = 0
    maximum: int = DURATION_MAX_NS

    @property
    def summary(self) -> str:
        return f"duration, {_range(self)}"

    def parse(self, text: str) -> int:
        return _in_range(self, text, _scaled(text, _duration_unit, "a time such as 100ms or 48h"))

    def show(self, value: Value) -> str:
        return _shown(int(value), _DURATIONS_NS, "us")


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number."""

    minimum: int
    maximum: int

    @property
    def summary(self) -> str:
        return f"number, {self.minimum} to {self.maximum}"

    def parse(self, text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise ValueError(f"{_quoted(text)} is not a whole number")
        return _in_range(self, text, int(text))

    def show(self, value: Value) -> str:
        return str(int(value))


@dataclass(frozen=True, slots=True)
class Bool:
    """True or false."""

    summary = "true or false"

    def parse(self, text: str) -> bool:
        value = _BOOLS.get(text.lower())
        if value is None:
            raise ValueError(f"{_quoted(text)} is neither true nor false")
        return value

    def show(self, value: Value) -> str:
        return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def summary(self) -> str:
        return " or ".join(self.words)

    def parse(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(f"{_quoted(text)} is not one of {', '.join(self.words)}")
        return text

    def show(self, value: Value) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Text:
    """Anything that is printable and fits on a line."""

    summary = "text"

    def parse(self, text: str) -> str:
        if not text.isprintable() or len(text) > _TEXT_MAX:
            raise ValueError(f"{_quoted(text)} is not a short text of one line")
        return text

    def show(self, value: Value) -> str:
        return str(value)


def _scaled(text: str, unit_of: _UnitOf, wanted: str) -> int:
    match = _NUMBER.fullmatch(text.strip())
    unit = unit_of(match[3]) if match else None
    if match is None or unit is None:
        raise ValueError(f"{_quoted(text)} is not {wanted}")
    fraction = match[2] or ""
    scale: int = 10 ** len(fraction)
    return int(match[1] + fraction) * unit // scale


class _UnitOf(Protocol):
    def __call__(self, suffix: str, /) -> int | None: ...


def _size_unit(suffix: str) -> int | None:
    letters = suffix.upper().removesuffix("IB").removesuffix("B")
    return _SIZES.get(f"{letters}B")


def _duration_unit(suffix: str) -> int | None:
    return _DURATIONS_NS.get(suffix)


def _in_range(kind: Size | Duration | Integer, text: str, value: int) -> int:
    if not kind.minimum <= value <= kind.maximum:
        raise ValueError(f"{_quoted(text)} is out of range: {_range(kind)}")
    return value


def _range(kind: Size | Duration | Integer) -> str:
    if kind.maximum in (SIZE_MAX_BYTES, DURATION_MAX_NS):
        return f"from {kind.show(kind.minimum)}"
    return f"{kind.show(kind.minimum)} to {kind.show(kind.maximum)}"


def _shown(value: int, units: dict[str, int], smallest: str) -> str:
    """Return the value in the largest unit that divides it."""
    name = smallest
    for unit, scale in units.items():
        if value and value % scale == 0:
            name = unit
    return f"{value // units[name]}{name}"


def _quoted(text: str) -> str:
    return repr(text[:80])
