"""The settings in force: the values in the files, the nearest one first, or the defaults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from heliosfs.config import schema
from heliosfs.config.document import Assignment, parse
from heliosfs.config.schema import ANY, KEYS, Key, find_key
from heliosfs.config.values import Value

DEFAULT = "default"
"""Source of a value that no file sets."""


class Layer(NamedTuple):
    """Text of a configuration file, and its name in error messages."""

    source: str
    text: str
    is_of_user: bool = True
    """True if it may name programs: neither a store nor whoever writes to a workspace made it."""


class Setting(NamedTuple):
    """Value of a key, and the file that sets it."""

    key: Key
    value: Value | None
    source: str
    line: int
    """Line in the source, counted from 1; 0 for a default."""

    @property
    def text(self) -> str:
        """Return the value as a file would have it; empty if there is none."""
        return "" if self.value is None else self.key.type.show(self.value)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the program.  Each attribute is that of a key that has an effect."""

    entries: tuple[Setting, ...]
    """Settings of every key in the order of the schema, and of the keys of PebbleDB in files."""
    working_set_bytes: int
    l1_cache_bytes: int
    prefer_zstd: bool
    keeps_cpus_awake: bool
    """True if idle CPUs may be kept from halting while requests come."""
    is_sync: bool
    """True if a commit is answered only once it is safe from a power cut."""
    sync_interval_ns: int
    checkpoint_interval_ns: int
    is_helios_listed: bool
    """True if a listing of a workspace's root shows `.helios`."""
    max_size_bytes: int
    """Largest size of the store; 0 for no limit."""
    retention_count: int
    """Number of commits kept decoded, and of operations kept in each log."""
    is_gc_automatic: bool
    gc_interval_ns: int
    snapshot_ttl_ns: int
    keeps_committed_times: bool
    """True if files that a verb replaces get the time at which they were committed."""
    prefetch_bytes: int
    """Most bytes of promised contents that a mount reads before anybody asks."""

    @classmethod
    def of(cls, entries: tuple[Setting, ...]) -> Settings:
        """Return settings made of one entry for each key of the schema."""
        values = {entry.key.path: entry.value for entry in entries}
        return cls(
            entries,
            working_set_bytes=_number(values, schema.WORKING_SET),
            l1_cache_bytes=_number(values, schema.L1_CACHE_SIZE),
            prefer_zstd=values[schema.COMPRESSION.path] == "zstd",
            keeps_cpus_awake=values[schema.KEEP_CPUS_AWAKE.path] is True,
            is_sync=values[schema.DURABILITY_MODE.path] == "sync",
            sync_interval_ns=_number(values, schema.DURABILITY_INTERVAL),
            checkpoint_interval_ns=_number(values, schema.CHECKPOINT_INTERVAL),
            is_helios_listed=values[schema.DOT_HELIOS.path] == "listed",
            max_size_bytes=_number(values, schema.MAX_SIZE),
            retention_count=_number(values, schema.SNAPSHOT_RETENTION),
            is_gc_automatic=values[schema.AUTO_GC.path] is True,
            gc_interval_ns=_number(values, schema.GC_INTERVAL),
            snapshot_ttl_ns=_number(values, schema.SNAPSHOT_TTL),
            keeps_committed_times=values[schema.CHECKOUT_TIMES.path] == "commit",
            prefetch_bytes=_number(values, schema.PREFETCH),
        )

    def find(self, path: str) -> Setting:
        """Return the setting of a key.  Raise UsageError if there is no such key."""
        key = find_key(path)
        for entry in self.entries:
            if entry.key.path == key.path:
                return entry
        return Setting(key, key.default, DEFAULT, 0)


def resolve(layers: Iterable[Layer]) -> Settings:
    """Return the settings from the files, of which a later one wins.  Raise UsageError."""
    said: dict[str, tuple[str, Assignment]] = {}
    for layer in layers:
        for path, assignment in parse(layer.text, layer.source).items():
            if layer.is_of_user or not find_key(path).is_of_user:
                said[path] = layer.source, assignment
    known = [key for key in KEYS if not key.path.endswith(ANY)]
    others = said.keys() - {key.path for key in known}
    keys = [*known, *(find_key(path) for path in sorted(others))]
    return Settings.of(tuple(_setting(key, said) for key in keys))


def default_text() -> str:
    """Return a `helios.yaml` that sets nothing and shows every key in comments."""
    lines = ["# Nothing is set here: these are the defaults."]
    shown: list[str] = []
    for key in KEYS:
        if key.default is None or key.no_effect:
            continue
        *sections, name = key.path.split(".")
        for at, section in enumerate(sections):
            if shown[: at + 1] != sections[: at + 1]:
                lines.append(f"# {'  ' * at}{section}:")
                shown = sections[: at + 1]
        lines.append(f"# {'  ' * len(sections)}{name}: {key.default_text}")
    return "\n".join(lines) + "\n"


def _setting(key: Key, said: dict[str, tuple[str, Assignment]]) -> Setting:
    if key.path not in said:
        return Setting(key, key.default, DEFAULT, 0)
    source, assignment = said[key.path]
    return Setting(key, assignment.value, source, assignment.line)


def _number(values: dict[str, Value | None], key: Key) -> int:
    value = values[key.path]
    assert value is not None
    return int(value)
