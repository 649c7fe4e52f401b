"""A measure of the running process, and the sample from which it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from heliosfs.repo.repository import Repository
from heliosfs.store.base import StoreStats

Number: TypeAlias = "int | float | None"


@dataclass(frozen=True, slots=True)
class Sample:
    """Values from which the measures are taken, all of one moment."""

    repository: Repository
    store: StoreStats


class Measure(NamedTuple):
    """Measure: one line of `stats`."""

    name: str
    unit: str
    """Unit: s, bytes, ratio or count."""
    kind: str
    """Kind for Prometheus: gauge or counter."""
    exported: str
    """Name in `.helios/metrics`, after `heliosfs_`; empty when another line tells it there."""
    meaning: str
    how: str
    take: Callable[[Sample], Number]
