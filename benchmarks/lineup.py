"""File systems side by side: mounted together, measured in turn, put into rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.filesystems import OURS, FileSystem, Missing
from benchmarks.measure import Plan
from benchmarks.table import Peer, Row, Unit, figure_of

Samples = Mapping[str, Sequence[float]]
"""Samples by the name of the file system."""


class Lineup:
    """Each file system has a source directory of its own, which stays from mount to mount."""

    def __init__(self, plan: Plan, filesystems: Sequence[FileSystem]) -> None:
        self.filesystems = filesystems
        self.sources: dict[str, Path] = {}
        self.missing: dict[str, str] = {}
        """Reasons why there are no figures, by the name of the file system."""
        self._plan = plan
        self._turn = 0

    @contextmanager
    def mounted(self) -> Iterator[dict[str, Path]]:
        """Mount all that can be; yield their places, another one first each time."""
        self._turn += 1
        with ExitStack() as stack:
            places: dict[str, Path] = {}
            for each in self.filesystems:
                if each.name in self.missing:
                    continue
                try:
                    mount = each.mount(self._plan, self.sources[each.name])
                    places[each.name] = stack.enter_context(mount)
                except (Missing, RuntimeError) as error:
                    if each is OURS:
                        raise
                    self.missing[each.name] = str(error)
            names = list(places)
            first = self._turn % len(names)
            yield {name: places[name] for name in names[first:] + names[:first]}

    def row(
        self,
        benchmark: str,
        what: str,
        taken: Samples,
        *,
        unit: Unit = Unit.NS,
        budget: float | None = None,
        limits: Mapping[str, float] | None = None,
        note: str = "",
    ) -> Row:
        """Ours, and beside it the others; `limits` is of our ratio to those named."""
        peers = []
        for each in self.filesystems:
            if each is OURS:
                continue
            limit = (limits or {}).get(each.name)
            if taken.get(each.name):
                peers.append(Peer(each.name, figure_of(taken[each.name]), limit, each.note))
            else:
                reason = self.missing.get(each.name, "not measured: it failed there")
                peers.append(Peer(each.name, None, limit, reason))
        own = figure_of(taken.get(OURS.name, ()))
        return Row(benchmark, what, own, unit, budget=budget, peers=tuple(peers), note=note)


@contextmanager
def lineup(plan: Plan, filesystems: Sequence[FileSystem]) -> Iterator[Lineup]:
    """A source directory for each, until the end."""
    lined = Lineup(plan, filesystems)
    with ExitStack() as stack:
        for each in filesystems:
            try:
                lined.sources[each.name] = stack.enter_context(each.source(plan))
            except Missing as error:
                lined.missing[each.name] = str(error)
        yield lined
