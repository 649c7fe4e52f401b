"""The table as the README shows it: measured, never typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.table import Row, Unit, show

BEGIN = "<!-- benchmarks: begin -->\n"
END = "<!-- benchmarks: end -->"
HEAD = "| what | median | p95 | budget | beside it, in the same run |\n|---|---:|---:|---:|---|\n"


def markdown(rows: Iterable[Row], environment: Mapping[str, object]) -> str:
    """The rows as a Markdown table, under a line that says where they were measured."""
    where = (
        f"Python {environment['python']}, git {environment['git']}, "
        f"{environment['cpus']} CPUs ({environment['cpu']}), {environment['disk']}, "
        f"load average before the run {environment['load_average']:.1f}."
    )
    lines = [_line(row) for row in rows]
    return f"\n{where}\n\n{HEAD}" + "".join(lines) + "\n"


def replace_section(page: str, section: str) -> str:
    """A page with what stands between its marks replaced; ValueError when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no marks for the benchmarks")
    return before + BEGIN + section + END + after


def update(path: Path, rows: Iterable[Row], environment: Mapping[str, object]) -> None:
    """Write the table into a page between its marks."""
    path.write_text(replace_section(path.read_text(), markdown(rows, environment)))


def _line(row: Row) -> str:
    p95 = show(row.figure.p95, row.unit) if row.figure.samples > 1 else ""
    budget = "" if row.budget is None else show(row.budget, row.unit)
    if row.is_met is False:
        budget += ", missed"
    peers = "; ".join(
        f"{peer.name} {show(peer.figure.median, row.unit)}"
        for peer in row.peers
        if peer.figure is not None
    )
    if row.unit is Unit.TIMES:
        p95 = ""
    median = show(row.figure.median, row.unit)
    return f"| {row.what.strip()} | {median} | {p95} | {budget} | {peers} |\n"
