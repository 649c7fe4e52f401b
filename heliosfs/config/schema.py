"""Every key of `helios.yaml`: its type, its default and its effect."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.config.values import Bool, Choice, Duration, Integer, Size, Text, Value, ValueType
from heliosfs.errors import UsageError

MIB, GIB = 1024**2, 1024**3
MS_NS = 10**6
DAY_NS = 86_400 * 10**9

ANY = "*"
"""Last part of a path, which stands for any name."""


class Key(NamedTuple):
    """Key of the configuration."""

    path: str
    """Names of the sections and of the key joined by dots, as `config` takes them."""
    type: ValueType
    default: Value | None
    """Value if no file sets the key; None: there is none."""
    summary: str
    no_effect: str = ""
    """Reason why the key has no effect in heliosfs; empty if it has one."""
    is_of_user: bool = False
    """True if only files of the user and the machine may set it, because it names a program.

    Everybody who may write to a workspace, or who made its store, could have it run otherwise.
    """

    @property
    def default_text(self) -> str:
        """Return the default as the file would have it; empty if there is none."""
        return "" if self.default is None else self.type.show(self.default)


_NO_PEBBLE = "a setting of PebbleDB; the store here is LMDB, which has no such buffers or levels"

WORKING_SET = Key(
    "performance.working_set",
    Size(16 * MIB, 1024 * GIB),
    GIB,
    "memory for file content, nodes, L1 (at most half of it) and what waits for the store; over "
    "it, dirty bytes go to the store and clean ones are read again",
)
L1_CACHE_SIZE = Key(
    "performance.l1_cache_size",
    Size(0, 1024 * GIB),
    512 * MIB,
    "bytes of compressed objects kept in memory (L1)",
)
BATCH_SIZE = Key(
    "performance.batch_size",
    Integer(1, 1_000_000),
    1000,
    "operations written together",
    "a commit is one write to the journal, and what waits there goes to L2 together",
)
COMPRESSION = Key(
    "performance.compression",
    Choice(("lz4", "zstd")),
    "lz4",
    "what new objects are compressed with: lz4 is faster, zstd smaller; either is read",
)
KEEP_CPUS_AWAKE = Key(
    "performance.keep_cpus_awake",
    Bool(),
    default=True,
    summary="while many requests come, keep idle CPUs from halting, since each request would wait "
    "for one to wake up; only in a virtual machine where that pays, and as root, who may write to "
    "`/dev/cpu_dma_latency`",
)
MAX_SIZE = Key(
    "storage.max_size",
    Size(),
    0,
    "bytes of disk that the store may take, about: a write over it fails with ENOSPC; "
    "0B is no limit",
)
PEBBLE = (
    Key(
        "storage.pebbledb.write_buffer_size",
        Size(),
        None,
        "the size of a write buffer",
        _NO_PEBBLE,
    ),
    Key(
        "storage.pebbledb.max_write_buffer_number",
        Integer(0, 1_000_000),
        None,
        "the number of write buffers",
        _NO_PEBBLE,
    ),
    Key("storage.pebbledb.compression", Text(), None, "the compression of its tables", _NO_PEBBLE),
    Key("storage.pebbledb.compaction_style", Text(), None, "how tables are merged", _NO_PEBBLE),
    Key(f"storage.pebbledb.{ANY}", Text(), None, "any other setting of PebbleDB", _NO_PEBBLE),
)
DURABILITY_MODE = Key(
    "durability.mode",
    Choice(("async", "sync")),
    "async",
    "when a commit is safe from a power cut: after `durability.interval`, or when it is answered. "
    "`durability: sync` is short for it",
)
DURABILITY_INTERVAL = Key(
    "durability.interval",
    Duration(MS_NS, 1000 * MS_NS),
    100 * MS_NS,
    "how long after a commit at most the journal is synced to the disk",
)
CHECKPOINT_INTERVAL = Key(
    "durability.checkpoint_interval",
    Duration(10 * MS_NS, 1000 * MS_NS),
    900 * MS_NS,
    "how long after a change at most uncommitted files are saved",
)
DOT_HELIOS = Key(
    "mount.helios",
    Choice(("hidden", "listed")),
    "hidden",
    "how `.helios` is there at the mount point and in live views: hidden, it is found by its name "
    "and no listing shows it, so that programs that walk a tree do not walk through history. "
    "`-o helios=…` says it for one mount",
)
SNAPSHOT_RETENTION = Key(
    "ai_optimizations.snapshot_retention",
    Integer(0, 1_000_000),
    500,
    "how many operations of each branch `gc` leaves for `undo` at most; so many commits, and at "
    "least 2048, stay decoded in memory",
)
PARALLEL_HASHING = Key(
    "ai_optimizations.parallel_hashing",
    Bool(),
    default=True,
    summary="hash with all cores",
    no_effect="from 256 KB on all cores are always used; less gains nothing from them",
)
AUTO_GC = Key(
    "cleanup.auto_gc_enabled",
    Bool(),
    default=False,
    summary="run `gc` in the mount now and then, when it has been idle for a while",
)
SNAPSHOT_TTL = Key(
    "cleanup.snapshot_ttl",
    Duration(),
    30 * DAY_NS,
    "how old a commit that nothing reaches becomes, and how long an operation can be undone, "
    "before `gc` removes it",
)
GC_INTERVAL = Key(
    "cleanup.interval",
    Duration(MS_NS),
    DAY_NS // 24,
    "the time from one automatic `gc` to the next, at least",
)
CHECKOUT_TIMES = Key(
    "checkout.times",
    Choice(("now", "commit")),
    "now",
    "the modification time of files that a verb brings or replaces: now is that of the verb, after "
    "which builds look; commit is the one that they were committed with",
)
PREFETCH = Key(
    "remotes.prefetch",
    Size(0, 1024 * GIB),
    GIB,
    "bytes of contents that a mount reads from its remotes before anybody asks, where a clone has "
    "left them: those of the commit that is checked out, small files first, and then those of live "
    "branches; 0B reads none",
)

COLOR = Key(
    "ui.color",
    Choice(("auto", "never")),
    "auto",
    "colours on a terminal; `NO_COLOR` and `CLICOLOR_FORCE` in the environment and `--color` count "
    "as well",
)
PAGER = Key(
    "ui.pager",
    Text(),
    None,
    "the program that shows what is long on a terminal; cat is none. `GIT_PAGER` in the "
    "environment goes before it, `PAGER` and `less` come after it. Only the user's and the "
    "machine's file may set it, for it is run",
    is_of_user=True,
)

KEYS = (
    WORKING_SET,
    L1_CACHE_SIZE,
    BATCH_SIZE,
    COMPRESSION,
    KEEP_CPUS_AWAKE,
    MAX_SIZE,
    *PEBBLE,
    DURABILITY_MODE,
    DURABILITY_INTERVAL,
    CHECKPOINT_INTERVAL,
    DOT_HELIOS,
    SNAPSHOT_RETENTION,
    PARALLEL_HASHING,
    AUTO_GC,
    SNAPSHOT_TTL,
    GC_INTERVAL,
    CHECKOUT_TIMES,
    PREFETCH,
    COLOR,
    PAGER,
)

SHORT = {"durability": DURABILITY_MODE.path}
"""Short form, a section written as one value -> the key that it stands for."""

_BY_PATH = {key.path: key for key in KEYS}
SECTIONS = frozenset(
    key.path[:at] for key in KEYS for at, mark in enumerate(key.path) if mark == "."
)
"""Every path that has keys below it."""


def canonical(path: str) -> str:
    """Return the path that a short form stands for, or the path itself."""
    return SHORT.get(path, path)


def find_key(path: str) -> Key:
    """Return the key of a path.  UsageError suggests a similar one."""
    path = canonical(path)
    key = _BY_PATH.get(path)
    if key is not None and not path.endswith(ANY):
        return key
    section, _, name = path.rpartition(".")
    if name.isprintable() and name.isascii() and name.replace("_", "").isalnum():
        any_key = _BY_PATH.get(f"{section}.{ANY}")
        if any_key is not None:
            return any_key._replace(path=path)
    raise UsageError(f"{path[:80]}: {_unknown(path)}")


def _unknown(path: str) -> str:
    if path in SECTIONS:
        return f"has keys below it: {', '.join(k for k in _BY_PATH if k.startswith(path + '.'))}"
    from difflib import get_close_matches

    section, _, last = path.rpartition(".")
    names = {known.rpartition(".")[2]: known for known in _BY_PATH}
    beside = [name for name, known in names.items() if known.startswith(f"{section}.")]
    near = [names[name] for name in get_close_matches(last, beside, n=1)]
    near += [known for known in _BY_PATH if last and known.startswith(path)]
    near += [names[last]] if last in names else get_close_matches(path, _BY_PATH, cutoff=0.8)
    return "unknown key" + (f": did you mean {near[0]}?" if near else "")
