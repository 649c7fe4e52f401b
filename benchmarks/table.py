"""Measurements as rows; the arithmetic over samples; the table and its JSON.  Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

VERSION = 1
"""Version of the JSON document."""


class Unit(Enum):
    """Unit of the numbers of a row."""

    NS = "ns"
    BYTES = "bytes"
    TIMES = "times"
    """A ratio."""
    SHARE = "share"
    """Part of a whole, which is 1."""
    CALLS = "calls"
    """Calls of Python functions."""
    PER_SECOND = "per second"
    BYTES_PER_SECOND = "bytes per second"

    @property
    def is_rate(self) -> bool:
        """Return True if more is better."""
        return self in {Unit.PER_SECOND, Unit.BYTES_PER_SECOND}


class Figure(NamedTuple):
    """Samples in brief."""

    median: float
    p95: float
    samples: int


def figure_of(samples: Sequence[float]) -> Figure:
    """Median, and the 95th percentile by nearest rank; ValueError when there are no samples.

    >>> figure_of([5, 1, 4, 2, 3])
    Figure(median=3, p95=5, samples=5)
    """
    if not samples:
        raise ValueError("no samples")
    ranked = sorted(samples)
    return Figure(statistics.median(ranked), ranked[math.ceil(0.95 * len(ranked)) - 1], len(ranked))


@dataclass(frozen=True)
class Peer:
    """A system that did the same, in the same run."""

    name: str
    figure: Figure | None
    """None when it could not be measured; `note` says why."""
    limit: float | None = None
    """The ratio, ours to the peer's, that the budget allows: of a rate, the least."""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One thing that was measured, what it may take, and what it takes others."""

    benchmark: str
    what: str
    figure: Figure
    unit: Unit = Unit.NS
    budget: float | None = None
    """Budget of the median."""
    budget_p95: float | None = None
    peers: tuple[Peer, ...] = ()
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Return True if it keeps to its budget; None when it has none."""
        if self.budget is None:
            return None
        assert not self.unit.is_rate, "a rate is only compared"
        return self.figure.median <= self.budget and (
            self.budget_p95 is None or self.figure.p95 <= self.budget_p95
        )

    @property
    def has_spread(self) -> bool:
        """Return True if the 95th percentile tells of the bad cases."""
        return self.figure.samples > 1 and self.unit is not Unit.TIMES and not self.unit.is_rate

    def ratio(self, peer: Peer) -> float | None:
        """Ours to the peer's, of the medians: below 1, we take less, or do less in a second."""
        if peer.figure is None or not peer.figure.median:
            return None
        return self.figure.median / peer.figure.median

    def is_within(self, peer: Peer) -> bool | None:
        """Return True if the ratio keeps to its limit; None when it has none, or is not known."""
        ratio = self.ratio(peer)
        if ratio is None or peer.limit is None:
            return None
        return ratio >= peer.limit if self.unit.is_rate else ratio <= peer.limit


HEADINGS = ("what", "median", "p95", "budget", "", "peer", "its median", "ratio", "limit", "")
_RIGHT = frozenset({1, 2, 3, 6, 7, 8})


def render(rows: Iterable[Row]) -> str:
    """The table: a line for each row and each further peer, under the name of its benchmark."""
    lines: list[Sequence[str]] = [HEADINGS]
    notes: list[str] = []
    benchmark = ""
    for row in rows:
        if row.benchmark != benchmark:
            benchmark = row.benchmark
            lines.append((f"[{benchmark}]",))
        lines += _lines(row, notes)
    columns = range(len(HEADINGS))
    widths = [max(len(line[at]) for line in lines if len(line) > at > 0) for at in columns[1:]]
    widths.insert(0, max(len(line[0]) for line in lines))
    table = [_line(line, widths) for line in lines]
    table.insert(1, "-" * max(map(len, table)))
    return "\n".join([*table, *notes]) + "\n"


def _lines(row: Row, notes: list[str]) -> list[Sequence[str]]:
    budget = ""
    if row.budget is not None:
        budget = show(row.budget, row.unit)
        if row.budget_p95 is not None:
            budget += f", p95 {show(row.budget_p95, row.unit)}"
    own = (
        "  " + row.what + _mark(row.note, notes),
        show(row.figure.median, row.unit),
        show(row.figure.p95, row.unit) if row.has_spread else "",
        budget,
        _verdict(row.is_met),
    )
    others = [_peer_cells(row, peer, notes) for peer in row.peers] or [("",) * 5]
    blank = ("",) * len(own)
    return [(*(blank if at else own), *cells) for at, cells in enumerate(others)]


def _peer_cells(row: Row, peer: Peer, notes: list[str]) -> tuple[str, ...]:
    ratio = row.ratio(peer)
    return (
        peer.name + _mark(peer.note, notes),
        show(peer.figure.median, row.unit) if peer.figure else "none",
        show(ratio, Unit.TIMES) if ratio is not None else "",
        show(peer.limit, Unit.TIMES) if peer.limit is not None else "",
        _verdict(row.is_within(peer)),
    )


def _mark(note: str, notes: list[str]) -> str:
    """A number in brackets that refers to the note below the table."""
    if not note:
        return ""
    known = [each.partition(" ")[2] for each in notes]
    if note not in known:
        notes.append(f"[{len(notes) + 1}] {note}")
        known.append(note)
    return f" [{known.index(note) + 1}]"


def _verdict(is_met: bool | None) -> str:
    return "" if is_met is None else "met" if is_met else "MISSED"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if at in _RIGHT else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths))  # noqa: B905 - a heading is short
    )
    return "  ".join(padded).rstrip()


_STEPS = {
    Unit.NS: ("ns", "us", "ms", "s"),
    Unit.BYTES: ("B", "KB", "MB", "GB"),
    Unit.BYTES_PER_SECOND: ("B/s", "KB/s", "MB/s", "GB/s"),
    Unit.PER_SECOND: ("/s", "thousand/s"),
}


def show(value: float, unit: Unit) -> str:
    """A value for people, with three digits that mean something.

    >>> show(1234, Unit.NS), show(60e6, Unit.BYTES), show(0.0123, Unit.TIMES)
    ('1.23 us', '60.0 MB', '0.0123')
    """
    if unit is Unit.TIMES:
        return _digits(value)
    if unit is Unit.CALLS:
        return f"{value:.0f}"
    if unit is Unit.SHARE:
        return f"{_digits(100 * value)} %"
    steps = _STEPS[unit]
    step = 0
    while abs(value) >= 999.5 and step < len(steps) - 1:
        value /= 1000
        step += 1
    return f"{_digits(value)} {steps[step]}"


def _digits(value: float) -> str:
    if not value:
        return "0"
    rounded = float(f"{value:.3g}")
    decimals = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{max(decimals, 0)}f}"


def document(rows: Iterable[Row], environment: Mapping[str, object]) -> dict[str, object]:
    """Everything, for programs; numbers in the row's unit."""
    return {
        "version": VERSION,
        "environment": dict(environment),
        "rows": [_row_document(row) for row in rows],
    }


def _row_document(row: Row) -> dict[str, object]:
    return {
        "benchmark": row.benchmark,
        "what": row.what,
        "unit": row.unit.value,
        **row.figure._asdict(),
        "budget": row.budget,
        "budget_p95": row.budget_p95,
        "met": row.is_met,
        "note": row.note,
        "peers": [
            {
                "name": peer.name,
                **(peer.figure._asdict() if peer.figure else {"median": None}),
                "ratio": row.ratio(peer),
                "limit": peer.limit,
                "met": row.is_within(peer),
                "note": peer.note,
            }
            for peer in row.peers
        ],
    }
