"""The settings in force, and the pages and examples that are made from the table of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliosfs.config import reference
from heliosfs.config.document import parse
from heliosfs.config.schema import ANY, KEYS, SECTIONS, SHORT, find_key
from heliosfs.config.settings import DEFAULT, Layer, default_text, resolve
from heliosfs.errors import UsageError
from heliosfs.store.local import DEFAULT_CACHE_BYTES
from heliosfs.workspace.working_set import DEFAULT_BUDGET_BYTES

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


def test_the_defaults_are_those_of_the_code() -> None:
    settings = resolve([])
    assert settings.working_set_bytes == DEFAULT_BUDGET_BYTES
    assert settings.l1_cache_bytes == DEFAULT_CACHE_BYTES
    assert (settings.prefer_zstd, settings.is_sync) == (False, False)
    assert settings.sync_interval_ns == 100 * 10**6
    assert settings.checkpoint_interval_ns <= 10**9
    assert {entry.source for entry in settings.entries} == {DEFAULT}


def test_every_key_can_be_written_and_read() -> None:
    for key in KEYS:
        assert key.summary
        assert key.type.summary
        if key.default is not None:
            assert key.type.parse(key.default_text) == key.default
        if not key.path.endswith(ANY):
            assert find_key(key.path) is key
    assert set(SHORT) <= SECTIONS


def test_a_nearer_file_wins() -> None:
    machine = Layer("/etc/x", "durability: sync\nperformance: {l1_cache_size: 1GB}\n")
    user = Layer("~/x", "performance:\n  l1_cache_size: 2GB\n  compression: zstd\n")
    mine = Layer("x", "durability:\n  mode: async\n")
    settings = resolve([machine, user, mine])
    assert settings.l1_cache_bytes == 2 * 1024**3
    assert settings.prefer_zstd
    assert not settings.is_sync
    found = settings.find("performance.l1_cache_size")
    assert (found.source, found.line, found.text) == ("~/x", 2, "2GB")
    assert (settings.find("durability").source, settings.find("durability").line) == ("x", 2)
    with pytest.raises(UsageError, match=r"^/etc/x line 1: zzz: unknown key"):
        resolve([Layer("/etc/x", "zzz: 1"), user])


def test_any_key_of_pebble_is_taken_and_told_to_have_no_effect() -> None:
    settings = resolve([Layer("x", "storage:\n  pebbledb:\n    l0_stop_writes: 12\n")])
    entry = settings.find("storage.pebbledb.l0_stop_writes")
    assert (entry.value, entry.line) == ("12", 3)
    assert entry in settings.entries
    assert "PebbleDB" in entry.key.no_effect
    assert settings.find("storage.pebbledb.other").value is None
    for path in ("storage.pebbledb", "storage.pebbledb.*", "storage.pebbledb.a.b", "", ".", "a"):
        with pytest.raises(UsageError):
            settings.find(path)


def test_the_text_of_the_defaults_sets_them() -> None:
    assert parse(default_text(), "x") == {}
    head, _, body = default_text().partition("\n")
    assert head.startswith("# ")
    lines = body.splitlines()
    assert all(line.startswith("# ") for line in lines)
    text = "\n".join(line[2:] for line in lines)
    said = {path: each.value for path, each in parse(text, "x").items()}
    assert said == {
        key.path: key.default for key in KEYS if not key.no_effect and key.default is not None
    }


def test_the_page_is_made_from_the_table() -> None:
    assert (ROOT / "docs/reference/configuration.md").read_text() == reference.page()


@pytest.mark.parametrize(
    ("name", "l1_cache_bytes", "prefer_zstd", "idle_count"),
    [
        ("high-frequency", 2 * 1024**3, False, 4),
        ("storage-optimised", 256 * 1024**2, True, 2),
        ("development", 512 * 1024**2, False, 0),
    ],
)
def test_the_examples_load(
    name: str, l1_cache_bytes: int, prefer_zstd: bool, idle_count: int
) -> None:
    text = (EXAMPLES / f"{name}.yaml").read_text()
    settings = resolve([Layer(name, text)])
    assert settings.l1_cache_bytes == l1_cache_bytes
    assert settings.prefer_zstd is prefer_zstd
    idle = [each for each in settings.entries if each.line and each.key.no_effect]
    assert len(idle) == idle_count


def test_the_profile_for_little_disk_cleans_up() -> None:
    settings = resolve([Layer("example", (EXAMPLES / "storage-optimised.yaml").read_text())])
    assert settings.is_gc_automatic
    assert settings.snapshot_ttl_ns == 48 * 3600 * 10**9


def test_nothing_is_cleaned_up_by_default() -> None:
    settings = resolve([])
    assert not settings.is_gc_automatic
    assert settings.snapshot_ttl_ns == 30 * 86_400 * 10**9
    assert settings.retention_count == 500


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.iterdir()} == {
        "high-frequency",
        "storage-optimised",
        "development",
    }
