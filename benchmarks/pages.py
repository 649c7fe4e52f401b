"""The tables as Markdown pages show them: measured, never typed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.table import Peer, Row, Unit, show

BEGIN = "<!-- benchmarks: begin -->\n"
END = "<!-- benchmarks: end -->"
HEADLINES = (
    ("commit", "commit, one 10 KB file changed, 1,000 files"),
    ("commit", "commit, one 10 KB file changed, 100,000 files"),
    ("control", "open, write, close ctl/commit"),
    ("control", "echo message > ctl/commit, in bash"),
    ("verbs", "branch, 1,000 files"),
    ("verbs", "reset --hard, one file changed, 1,000 files"),
    ("verbs", "checkout, branches differ in one file, 1,000 files"),
    ("storage", "a version of a 10 KB file, small edits, 1,000 commits"),
    ("passes", "rg -c, the first time after a mount"),
    ("passes", "rg -c, again"),
    ("passes", "git grep -c, again"),
    ("passes", "git status, again"),
    ("passes", "tar cf -, again"),
    ("passes", "python -m compileall -q, again"),
    ("files", "create, write 4 KB, close"),
    ("files", "open, read 4 KB, close, again"),
    ("programs", "untar"),
    ("programs", "git clone"),
    ("programs", "make -j2, 60 C files"),
    ("programs", "python -m venv"),
    ("programs", "npm ci, 60 packages"),
    ("programs", "pytest, 100 files"),
    ("programs", "rm -rf of all that"),
    ("large", "write, incompressible half"),
    ("large", "write, source text half"),
    ("large", "read cold, incompressible half"),
    ("large", "read cold, source text half"),
    ("large", "read 4 KB at random, cold"),
    ("remotes", "clone and ls -lR"),
    ("remotes", "push of one changed file"),
    ("remotes", "fetch of 1,000 commits"),
    ("memory", "daemon at rest"),
    ("bounded", "peak: write 10 GiB"),
)
"""Benchmarks, and the names of their rows, of which a reader wants to know first."""


def updated_readme(page: str, rows: Sequence[Row], environment: Mapping[str, object]) -> str:
    """Return a page whose table of `HEADLINES` has new figures of what was measured.

    ValueError when it has no marks.
    """
    before, table, after = _parts(page)
    lines = {_first_cell(line): line for line in table.splitlines() if line.startswith("| ")}
    when = f"{_day(environment)}, {environment['cpu']}"
    for benchmark, name in HEADLINES:
        found = next((row for row in rows if _is_of(row, benchmark, name)), None)
        if found is not None:
            lines[name] = f"| {' | '.join((name, *_own(found)[1:2], _budget(found)))}"
            lines[name] += f" | {_medians(found)} | {when} |"
    shown = "".join(f"{lines[name]}\n" for _, name in HEADLINES if name in lines)
    heads = "| what | median | budget | beside it, in the same run | when, and on which CPU |\n"
    return f"{before}\n{heads}|---|---:|---|---|---|\n{shown}\n{after}"


def updated_figures(
    page: str, rows: Iterable[Row], environment: Mapping[str, object], order: Sequence[str]
) -> str:
    """Return a page with a section for each benchmark, new ones of those that were measured.

    They stand in `order`, and each says where and when it was measured.  ValueError when the page
    has no marks.
    """
    before, old, after = _parts(page)
    sections: dict[str, str] = {}
    for part in old.split("\n### ")[1:]:
        name, _, text = part.partition("\n")
        sections[name] = text.strip("\n")
    for name, group in itertools.groupby(rows, lambda row: row.benchmark):
        same = list(group)
        table = _beside(same) if _have_same_peers(same) else _listed(same)
        sections[name] = f"{_where(environment)}\n\n{table}{_notes(same)}".strip("\n")
    shown = "".join(f"\n### {name}\n\n{sections[name]}\n" for name in order if name in sections)
    return f"{before}{shown}\n{after}"


def _parts(page: str) -> tuple[str, str, str]:
    """Return a page up to its first mark, what is between its marks, and the rest."""
    before, begin, rest = page.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no marks for the benchmarks")
    return before + begin, between, end + after


def _is_of(row: Row, benchmark: str, name: str) -> bool:
    """Return True if this is the row of a headline, whose name may lack the size of what was used.

    >>> from benchmarks.table import Figure
    >>> once = Figure(1, 1, 1)
    >>> _is_of(Row("large", "write, text of 1 GiB", once), "large", "write, text")
    True
    >>> _is_of(Row("large", "write, text and sync of 1 GiB", once), "large", "write, text")
    False
    """
    rest = row.what.removeprefix(name)
    is_same = row.what == name or (row.what != rest and rest.startswith((",", " of ", " in ")))
    return row.benchmark == benchmark and is_same


def _first_cell(line: str) -> str:
    return line.split(" | ", 1)[0].removeprefix("| ")


def _day(environment: Mapping[str, object]) -> str:
    return str(environment["time"])[:10]


def _where(environment: Mapping[str, object]) -> str:
    return (
        f"{_day(environment)}: Python {environment['python']}, git {environment['git']}, "
        f"Linux {environment['kernel']}, libfuse {environment['libfuse']}, "
        f"{environment['cpus']} CPUs ({environment['cpu']}), {environment['disk']}, "
        f"load average before the run {environment['load_average']:.1f}"
        f"{'; a quick run, of fewer and smaller samples' if environment['quick'] else ''}."
    )


def _have_same_peers(rows: Sequence[Row]) -> bool:
    names = {tuple(peer.name for peer in row.peers) for row in rows}
    return len(names) == 1 and names != {()}


def _listed(rows: Sequence[Row]) -> str:
    """A line for each row, its peers in one cell."""
    lines = ["| what | median | p95 | budget | beside it, in the same run |\n"]
    lines.append("|---|---:|---:|---|---|\n")
    lines += [f"| {' | '.join((*_own(row), _budget(row), _medians(row)))} |\n" for row in rows]
    return "".join(lines)


def _medians(row: Row) -> str:
    """Return the peers of a row with their medians, in one cell."""
    return "; ".join(
        f"{peer.name} {show(peer.figure.median, row.unit)}"
        for peer in row.peers
        if peer.figure is not None
    )


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
