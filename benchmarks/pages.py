"""The tables as Markdown pages show them: measured, never typed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.table import Peer, Row, Unit, show

BEGIN = "<!-- benchmarks: begin -->\n"
END = "<!-- benchmarks: end -->"


def budgets(rows: Iterable[Row], environment: Mapping[str, object]) -> str:
    """Return all that has a budget, in one table, under a line that says where it was measured."""
    return f"\n{_where(environment)}\n\n{_listed([row for row in rows if _has_budget(row)])}\n"


def everything(rows: Iterable[Row], environment: Mapping[str, object]) -> str:
    """A table for each benchmark, with its notes."""
    parts = [f"\n{_where(environment)}\n"]
    for name, group in itertools.groupby(rows, lambda row: row.benchmark):
        same = list(group)
        table = _beside(same) if _have_same_peers(same) else _listed(same)
        parts.append(f"\n### {name}\n\n{table}{_notes(same)}")
    return "".join(parts) + "\n"


def replace_section(page: str, section: str) -> str:
    """A page with what stands between its marks replaced; ValueError when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no marks for the benchmarks")
    return before + BEGIN + section + END + after


def update(path: Path, section: str) -> None:
    """Write a section into a page between its marks."""
    path.write_text(replace_section(path.read_text(), section))


def _where(environment: Mapping[str, object]) -> str:
    return (
        f"Python {environment['python']}, git {environment['git']}, "
        f"Linux {environment['kernel']}, libfuse {environment['libfuse']}, "
        f"{environment['cpus']} CPUs ({environment['cpu']}), {environment['disk']}, "
        f"load average before the run {environment['load_average']:.1f}"
        f"{'; a quick run, of fewer and smaller samples' if environment['quick'] else ''}."
    )


def _has_budget(row: Row) -> bool:
    return row.budget is not None or any(peer.limit is not None for peer in row.peers)


def _have_same_peers(rows: Sequence[Row]) -> bool:
    names = {tuple(peer.name for peer in row.peers) for row in rows}
    return len(names) == 1 and names != {()}


def _listed(rows: Sequence[Row]) -> str:
    """A line for each row, its peers in one cell."""
    lines = ["| what | median | p95 | budget | beside it, in the same run |\n"]
    lines.append("|---|---:|---:|---|---|\n")
    for row in rows:
        peers = "; ".join(
            f"{peer.name} {show(peer.figure.median, row.unit)}"
            for peer in row.peers
            if peer.figure is not None
        )
        lines.append(f"| {' | '.join((*_own(row), _budget(row), peers))} |\n")
    return "".join(lines)


def _beside(rows: Sequence[Row]) -> str:
    """A line for each row, a column for each peer: its median, and our ratio to it."""
    names = [peer.name for peer in rows[0].peers]
    heads = ["what", "heliosfs", "p95", "budget", *names]
    lines = [f"| {' | '.join(heads)} |\n", "|---|---:|---:|---|" + "---:|" * len(names) + "\n"]
    for row in rows:
        cells = [*_own(row), _budget(row), *(_cell(row, peer) for peer in row.peers)]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def _own(row: Row) -> tuple[str, str, str]:
    p95 = show(row.figure.p95, row.unit) if row.has_spread else ""
    return row.what.strip(), show(row.figure.median, row.unit), p95


def _budget(row: Row) -> str:
    """Return the limits of a row, with the word `missed` after each that was not kept."""
    parts = []
    if row.budget is not None:
        parts.append(show(row.budget, row.unit) + ("" if row.is_met else ", missed"))
    for peer in row.peers:
        if peer.limit is not None and peer.figure is not None:
            times = f"{peer.limit:g} x {peer.name}"
            parts.append(times + ("" if row.is_within(peer) else ", missed"))
    return "; ".join(parts)


def _cell(row: Row, peer: Peer) -> str:
    ratio = row.ratio(peer)
    if peer.figure is None or ratio is None:
        return "none"
    return f"{show(peer.figure.median, row.unit)} (x {show(ratio, Unit.TIMES)})"


def _notes(rows: Sequence[Row]) -> str:
    """Return the notes of the rows and their peers, once each."""
    said: dict[str, None] = {}
    for row in rows:
        if row.note:
            said[row.note] = None
        for peer in row.peers:
            if peer.note:
                said[peer.note] = None
    return "".join(f"\n- {note}" for note in said) + ("\n" if said else "")
