"""Reference page of the metrics, made from the table of measures.

`python -m heliosfs.commands.measures.page` prints docs/reference/metrics.md.
"""

from __future__ import annotations

import sys

from heliosfs.commands.measures.measure import Measure
from heliosfs.commands.measures.table import MEASURES

_INTRODUCTION = """\
# Metrics

    helios stats                          # a line for each measure
    helios stats | grep commit_latency
    helios stats --json                   # seconds, bytes, ratios from 0 on; null: not measured yet
    cat .helios/stats
    cat .helios/metrics                   # for Prometheus

<!-- Made by `python -m heliosfs.commands.measures.page` from the table of measures. -->

Every value is measured or counted by the process that answers, which is the daemon of the mount. It forgets them when
it ends, but for what L2 holds. Reading them takes constant time, but for the branches, which are counted. What has
not been measured yet is `-`: no commit through the mount, no read of an object.

How to read them: `commit_latency_p95` under 1 ms is normal on a machine that is not busy. A `cache_hit_ratio` under 0.9 over
a long time asks for a larger [`performance.l1_cache_size`](configuration.md#keys). `compaction_pending` falls to 0 about a second
after the last change. When `compression_ratio` is low, `performance.compression: zstd` makes new objects smaller.

## Measures
"""

_PROMETHEUS = """\
## For Prometheus

`.helios/metrics` is in the text format 0.0.4. `heliosfs_commit_latency_seconds` is a summary with the quantiles
0.5, 0.95 and 0.99, a sum and a count; every other name is in the table. A gauge without a value is left out. The file is
made when it is opened, so a cron job or the textfile collector of node_exporter can copy it:

    cat .helios/metrics > /var/lib/node_exporter/heliosfs.prom.new
    mv /var/lib/node_exporter/heliosfs.prom.new /var/lib/node_exporter/heliosfs.prom
"""


def page() -> str:
    """Return the page in Markdown."""
    head = "| name | unit | what | how it is taken | for Prometheus |\n|---|---|---|---|---|"
    return "\n".join([_INTRODUCTION, head, *map(_row, MEASURES), "", _PROMETHEUS])


def _row(each: Measure) -> str:
    exported = f"`heliosfs_{each.exported}`, {each.kind}" if each.exported else "-"
    if each.name.startswith("commit_latency") or each.name == "commit_count":
        exported = "`heliosfs_commit_latency_seconds`"
    return f"| `{each.name}` | {each.unit} | {each.meaning} | {each.how} | {exported} |"


if __name__ == "__main__":
    sys.stdout.write(page())
