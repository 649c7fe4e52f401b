"""Table of the measures: name, unit, and the function that takes each.

`stats`, `.helios/stats`, `.helios/metrics` and the reference page all read this table.
Nothing in it is estimated; what was not measured yet has no value.
"""

from __future__ import annotations

from collections.abc import Callable

from heliosfs.clock import SECOND_NS
from heliosfs.commands.measures.hydration import OF_HYDRATION
from heliosfs.commands.measures.measure import Measure, Number, Sample
from heliosfs.repo.gc.collect import GcResult, last_collected
from heliosfs.repo.metrics import resident_bytes
from heliosfs.repo.repository import Repository

_MIB = 1024**2


def sample(repository: Repository) -> Sample:
    """Take a sample: 4 us; taking every measure of it costs 0.3 ms."""
    return Sample(repository, repository.store.stats())


def show(measure: Measure, value: Number) -> str:
    """Return a value as people read it."""
    if value is None:
        return "-"
    if measure.unit == "s":
        return f"{value * 1000:.3f}ms" if value < 1 else f"{value:.1f}s"
    if measure.unit == "ratio":
        return f"{value:.4f}" if value >= 0.001 or not value else f"{value:.1e}"
    if measure.name == "memory_usage":
        return f"{value / _MIB:.1f}MB"
    return str(value)


def _latency(share: float) -> Callable[[Sample], Number]:
    def take(now: Sample) -> Number:
        nanoseconds = now.repository.metrics.commit_latency.quantile_ns(share)
        return None if nanoseconds is None else nanoseconds / SECOND_NS

    return take


def _gc_age(now: Sample) -> Number:
    last = last_collected(now.repository.store)
    return (now.repository.clock.now_ns() - last.time_ns) / SECOND_NS if last else None


def _of_last_gc(take: Callable[[GcResult], Number]) -> Callable[[Sample], Number]:
    def taken(now: Sample) -> Number:
        last = last_collected(now.repository.store)
        return take(last) if last else None

    return taken


def _share(part: float, whole: float) -> Number:
    return part / whole if whole else None


def _utilization(now: Sample) -> Number:
    disk = now.repository.store.disk()
    used_bytes = now.store.file_bytes
    return _share(used_bytes, used_bytes + disk.f_bavail * disk.f_frsize)


def _active_snapshots(now: Sample) -> Number:
    repository = now.repository
    running = repository.experiments.running
    open_count = sum(view.slot in running for view in repository.views())
    return len(repository.open_snapshots) + open_count


_LATENCY = (
    "from the complete request to its reply, the wait for earlier requests and for the kernel's "
    "dirty pages included; a log-linear histogram since the mount, off by at most 1.6 %"
)

MEASURES = (
    *(
        Measure(
            f"commit_latency_p{percent}",
            "s",
            "gauge",
            "",
            f"{percent} % of the commits took no longer",
            _LATENCY,
            _latency(percent / 100),
        )
        for percent in (50, 95, 99)
    ),
    Measure(
        "commit_count",
        "count",
        "counter",
        "",
        "commits made through the mount",
        "counted since the mount, in all views",
        lambda now: now.repository.metrics.commit_latency.count,
    ),
    Measure(
        "commits_per_hour",
        "count",
        "gauge",
        "commits_per_hour",
        "commits of the last hour",
        "counted by the minute over the last 60; nothing is extrapolated",
        lambda now: now.repository.metrics.commits_last_hour(),
    ),
    Measure(
        "cache_hit_ratio",
        "ratio",
        "gauge",
        "cache_hit_ratio",
        "share of object reads that did not go to disk",
        "hits / (hits + misses), since the mount",
        lambda now: _share(now.store.hits, now.store.hits + now.store.misses),
    ),
    Measure(
        "storage_utilization",
        "ratio",
        "gauge",
        "storage_utilization_ratio",
        "how much of the disk that it could have the store takes",
        "file_bytes / (file_bytes + bytes available there to this user, by statvfs)",
        _utilization,
    ),
    Measure(
        "active_snapshots",
        "count",
        "gauge",
        "active_snapshots",
        "snapshots and running experiments that are in memory",
        "counted: opened through .helios/snapshots and not yet forgotten by the kernel; "
        "running experiments whose branch is at the mount point or open under .helios/branches",
        _active_snapshots,
    ),
    Measure(
        "memory_usage",
        "bytes",
        "gauge",
        "memory_usage_bytes",
        "memory of the daemon",
        "its resident set (/proc/self/statm)",
        lambda now: resident_bytes(),
    ),
    Measure(
        "compression_ratio",
        "ratio",
        "gauge",
        "compression_ratio",
        "bytes of all objects for each byte that stores them",
        "logical_bytes / stored_bytes",
        lambda now: _share(now.store.logical_bytes, now.store.stored_bytes),
    ),
    Measure(
        "compaction_pending",
        "bytes",
        "gauge",
        "compaction_pending_bytes",
        "bytes that are in the journal and in memory, and not in L2 yet",
        "sum of the sizes of those objects; the same as pending_bytes",
        lambda now: now.store.pending_bytes,
    ),
    Measure(
        "gc_age",
        "s",
        "gauge",
        "gc_age_seconds",
        "time since the last garbage collection ended",
        "kept in the store, so also that of an earlier mount",
        _gc_age,
    ),
    *(
        Measure(
            f"gc_{name}",
            unit,
            "gauge",
            f"gc_{exported}",
            meaning,
            "of the last garbage collection",
            _of_last_gc(take),
        )
        for name, unit, exported, meaning, take in (
            (
                "duration",
                "s",
                "duration_seconds",
                "how long it took",
                lambda last: last.duration_ns / SECOND_NS,
            ),
            (
                "removed_commit_count",
                "count",
                "removed_commits",
                "commits that it removed",
                lambda last: last.commits,
            ),
            (
                "removed_object_count",
                "count",
                "removed_objects",
                "objects that it removed",
                lambda last: last.objects,
            ),
            (
                "removed_bytes",
                "bytes",
                "removed_bytes",
                "bytes that their payloads took",
                lambda last: last.stored_bytes,
            ),
        )
    ),
    Measure(
        "branch_count",
        "count",
        "gauge",
        "branches",
        "branches",
        "counted",
        lambda now: sum(1 for _ in now.repository.refs),
    ),
    Measure(
        "experiment_count",
        "count",
        "gauge",
        "experiments",
        "experiments, in every state",
        "counted",
        lambda now: len(now.repository.experiments),
    ),
    Measure(
        "running_experiment_count",
        "count",
        "gauge",
        "running_experiments",
        "experiments that were neither finished nor abandoned",
        "counted",
        lambda now: len(now.repository.experiments.running),
    ),
    Measure(
        "live_view_count",
        "count",
        "gauge",
        "live_views",
        "branches that are open under .helios/branches",
        "counted",
        lambda now: len(now.repository.live),
    ),
    Measure(
        "node_count",
        "count",
        "gauge",
        "nodes",
        "files and directories in memory, .helios included",
        "entries of the inode table",
        lambda now: len(now.repository.inodes.nodes),
    ),
    Measure(
        "content_resident_bytes",
        "bytes",
        "gauge",
        "content_resident_bytes",
        "file content in memory (L0)",
        "sum of what is loaded",
        lambda now: now.repository.working_set.account.resident_bytes,
    ),
    Measure(
        "content_budget_bytes",
        "bytes",
        "gauge",
        "content_budget_bytes",
        "how much that may be, together with nodes, L1 and what is pending",
        "performance.working_set",
        lambda now: now.repository.working_set.budget_bytes,
    ),
    Measure(
        "cache_hit_count",
        "count",
        "counter",
        "cache_hits_total",
        "object reads answered by pending objects or L1",
        "counted since the mount",
        lambda now: now.store.hits,
    ),
    Measure(
        "cache_miss_count",
        "count",
        "counter",
        "cache_misses_total",
        "object reads that went to L2",
        "counted since the mount",
        lambda now: now.store.misses,
    ),
    *OF_HYDRATION,
    Measure(
        "cache_bytes",
        "bytes",
        "gauge",
        "cache_bytes",
        "compressed objects in memory (L1)",
        "sum of the entries, their overhead included",
        lambda now: now.store.cache_bytes,
    ),
    Measure(
        "cache_capacity_bytes",
        "bytes",
        "gauge",
        "cache_capacity_bytes",
        "how much that may be",
        "performance.l1_cache_size",
        lambda now: now.repository.configuration.settings.l1_cache_bytes,
    ),
    Measure(
        "object_count",
        "count",
        "gauge",
        "objects",
        "objects in L2",
        "kept with every transaction",
        lambda now: now.store.objects,
    ),
    Measure(
        "logical_bytes",
        "bytes",
        "gauge",
        "logical_bytes",
        "bytes that those objects have when decoded",
        "kept with every transaction",
        lambda now: now.store.logical_bytes,
    ),
    Measure(
        "stored_bytes",
        "bytes",
        "gauge",
        "stored_bytes",
        "bytes that their encoded payloads take",
        "kept with every transaction",
        lambda now: now.store.stored_bytes,
    ),
    Measure(
        "pending_bytes",
        "bytes",
        "gauge",
        "",
        "see compaction_pending",
        "the same",
        lambda now: now.store.pending_bytes,
    ),
    Measure(
        "file_bytes",
        "bytes",
        "gauge",
        "file_bytes",
        "bytes of disk that the store's files take",
        "blocks of the L2 file and the journal, by stat",
        lambda now: now.store.file_bytes,
    ),
)
