"""Declarations of the verbs that show and change how the mount works."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_FULL, E_STORE, E_USAGE
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import Verb

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
        "'list' shows every key with its value, the file that says so, and whether it has\n"
        "an effect. 'set' and 'unset' edit helios.yaml in the repository, comments kept, and\n"
        "take effect at once. The reference page of the configuration lists the keys. The last\n"
        "form is that of git; user.name and user.email can be asked for."
    ),
    options=(
        Option(("--changed",), "only the keys that a file sets"),
        Option(("--get",), "the value of a key"),
        Option(("-l", "--list"), "KEY=VALUE of every key"),
        Option(("--unset",), "the same as 'unset'"),
        Option(("--global", "--local", "--system"), "accepted: helios.yaml is what is changed"),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "an unknown key; a value of the wrong type or out of range"),
        ("ENOENT", "unset: the key is not in helios.yaml"),
        E_FULL,
    ),
    example="set performance.l1_cache_size 2GB",
    exit_codes="--get KEY, or KEY alone: there is no such key",
)

STATS = Verb(
    name="stats",
    module="measures.stats",
    summary="what the mount measures of itself",
    synopsis=("[--json]",),
    description=(
        "A line for each measure: latency of commits, hit ratio of the cache, memory, disk.\n"
        "What was not measured yet is '-'. The same is in .helios/stats, and for Prometheus\n"
        "in .helios/metrics."
    ),
    options=(JSON,),
    errors=(E_USAGE, E_STORE),
    example="",
)

DECLARED_SETTINGS = (CONFIG, STATS)
