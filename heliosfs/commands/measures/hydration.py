"""Measures of hydration: what was read of contents that remotes have."""

from __future__ import annotations

from collections.abc import Callable

from heliosfs.commands.measures.measure import Measure, Number, Sample

_ROWS: tuple[tuple[str, str, str, str, str, str, Callable[[Sample], Number]], ...] = (
    (
        "promised_count",
        "count",
        "gauge",
        "promised",
        "contents that remotes have promised",
        "rows of the files of promises; some of these contents may be here by now",
        lambda now: len(now.repository.store.promises),
    ),
    (
        "request_count",
        "count",
        "counter",
        "requests_total",
        "ranges of packs that were asked for because something needed them, or ahead of that",
        "counted since the mount; without `fetch --contents`",
        lambda now: now.repository.metrics.hydration.requests,
    ),
    (
        "failure_count",
        "count",
        "counter",
        "failures_total",
        "ranges that could not be had",
        "counted since the mount",
        lambda now: now.repository.metrics.hydration.failures,
    ),
    (
        "content_count",
        "count",
        "counter",
        "contents_total",
        "contents that came",
        "counted since the mount",
        lambda now: now.repository.metrics.hydration.objects,
    ),
    (
        "received_bytes",
        "bytes",
        "counter",
        "received_bytes_total",
        "bytes that came",
        "counted since the mount",
        lambda now: now.repository.metrics.hydration.received_bytes,
    ),
    (
        "prefetched_bytes",
        "bytes",
        "counter",
        "prefetched_bytes_total",
        "bytes of these that nobody had asked for yet",
        "counted since the mount",
        lambda now: now.repository.metrics.hydration.prefetched_bytes,
    ),
    (
        "waiting_count",
        "count",
        "gauge",
        "waiting",
        "requests of programs that wait for a content now",
        "counted",
        lambda now: now.repository.metrics.hydration.waiting,
    ),
)

OF_HYDRATION = tuple(
    Measure(f"hydration_{name}", unit, kind, f"hydration_{exported}", meaning, how, take)
    for name, unit, kind, exported, meaning, how, take in _ROWS
)
