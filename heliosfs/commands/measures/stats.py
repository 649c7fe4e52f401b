"""`stats`: the measures for people, for programs, and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.clock import SECOND_NS
from heliosfs.commands.measures.table import MEASURES, sample, show
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View

_PREFIX = "heliosfs_"
_LATENCY = f"{_PREFIX}commit_latency_seconds"


def stats(request: Request, options: Options) -> str:
    """Return a line for each measure, or one JSON object: seconds, bytes, ratios from 0 on."""
    options.at_most(0)
    if "json" in options:
        now = sample(request.repository)
        return json_reply({each.name: each.take(now) for each in MEASURES})
    return stats_text(request.repository, request.view)


def stats_text(repository: Repository, view: View) -> str:
    """Return the measures of the mount, a line each."""
    now = sample(repository)
    return "".join(f"{each.name}: {show(each, each.take(now))}\n" for each in MEASURES)


def metrics_text(repository: Repository, view: View) -> str:
    """Return the measures of the mount in the text format of Prometheus."""
    return "".join(f"{line}\n" for line in _exposition(repository))


def _exposition(repository: Repository) -> Iterator[str]:
    """Yield lines in Prometheus's text format 0.0.4; seconds and bytes are its base units."""
    latency = repository.metrics.commit_latency
    yield f"# HELP {_LATENCY} How long commits took, from request to reply."
    yield f"# TYPE {_LATENCY} summary"
    for share in (0.5, 0.95, 0.99):
        duration_ns = latency.quantile_ns(share)
        seconds = "NaN" if duration_ns is None else repr(duration_ns / SECOND_NS)
        yield f'{_LATENCY}{{quantile="{share}"}} {seconds}'
    yield f"{_LATENCY}_sum {latency.total_ns / SECOND_NS!r}"
    yield f"{_LATENCY}_count {latency.count}"
    now = sample(repository)
    for measure in MEASURES:
        value = measure.take(now)
        if not measure.exported or value is None:
            continue
        name = _PREFIX + measure.exported
        yield f"# HELP {name} {measure.meaning}."
        yield f"# TYPE {name} {measure.kind}"
        yield f"{name} {value!r}"
