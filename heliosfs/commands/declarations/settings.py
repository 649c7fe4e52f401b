"""Declarations of the verbs that show and change how the mount works."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_FULL, E_STORE, E_USAGE
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import READS, REPLACES_ONCE, Verb

CONFIG = Verb(
    name="config",
    module="config",
    summary="show and change the settings of this workspace",
    synopsis=(
        "[list] [--changed] [--json]",
        "get KEY [--json]",
        "set KEY VALUE",
        "unset KEY",
        "-l | [--get] KEY | KEY VALUE | --unset KEY",
    ),
    description=(
        "'list' shows every key with its value, the file that sets it, and whether it has an\n"
        "effect. 'set' and 'unset' edit helios.yaml in the repository, keep its comments, and\n"
        "take effect at once. The reference page of the configuration lists the keys. The last\n"
        "form is that of git, which also shows user.name and user.email."
    ),
    options=(
        Option(("--changed",), "list only the keys that a file sets"),
        Option(("--get",), "show the value of a key"),
        Option(("-l", "--list"), "list every key as KEY=VALUE"),
        Option(("--unset",), "the same as 'unset'"),
        Option(
            ("--global", "--local", "--system"),
            "accepted: it is always helios.yaml that is changed",
        ),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "an unknown key; a value of the wrong type or out of range"),
        ("ENOENT", "unset: the key is not in helios.yaml"),
        E_FULL,
    ),
    example="set performance.l1_cache_size 2GB",
    effect=REPLACES_ONCE,
    exit_codes="--get KEY, or KEY alone: there is no such key",
)

STATS = Verb(
    name="stats",
    module="measures.stats",
    summary="show measurements of the mount",
    synopsis=("[--json]",),
    description=(
        "Shows a line for each metric: latency of commits, hit ratio of the cache, memory,\n"
        "disk. One that was not measured yet is '-'. The same lines are in .helios/stats, and\n"
        "for Prometheus in .helios/metrics."
    ),
    options=(JSON,),
    errors=(E_USAGE, E_STORE),
    example="",
    effect=READS,
)

DECLARED_SETTINGS = (CONFIG, STATS)
