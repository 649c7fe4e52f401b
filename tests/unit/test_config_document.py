"""Reading and editing the text of a `helios.yaml`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliosfs.config.document import assign, parse, remove
from heliosfs.config.schema import ANY, KEYS
from heliosfs.errors import UsageError

SOURCE = "helios.yaml"

TEXT = """\
# top
performance:   # perf
    # cache
    l1_cache_size: "2GB"   # big

    compression: lz4
  # between

# about storage
storage:
    pebbledb: {write_buffer_size: 1MB}   # one line
durability: sync # now
cleanup:
"""


def values(text: str) -> dict[str, object]:
    return {path: each.value for path, each in parse(text, SOURCE).items()}


def test_values_and_lines() -> None:
    found = parse(TEXT, SOURCE)
    assert {path: each.line for path, each in found.items()} == {
        "performance.l1_cache_size": 4,
        "performance.compression": 6,
        "storage.pebbledb.write_buffer_size": 11,
        "durability.mode": 12,
    }
    assert found["performance.l1_cache_size"].value == 2 * 1024**3
    assert found["durability.mode"].value == "sync"


@pytest.mark.parametrize("text", ["", "\n", "# only\n  # comments", "---\n", "performance:\n", "~"])
def test_a_file_may_say_nothing(text: str) -> None:
    assert parse(text, SOURCE) == {}
    assert values(assign(text, "performance.batch_size", "7", SOURCE)) == {
        "performance.batch_size": 7
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "line 1: not YAML: "),
        ("\tx: 1", "line 1: not YAML: "),
        ("a: 1\nb: 2\n  c: 3", "line 3: not YAML: "),
        ("---\na: 1\n---\nb: 2", "line 3: not YAML: "),
        ("x: \0", "not YAML: "),
        ("storage: *x", "line 1: not YAML: found undefined alias 'x'"),
        ("- a", "line 1: a mapping of keys is expected"),
        ("word", "line 1: a mapping of keys is expected"),
        (
            "performance:\n  l1: 1",
            "line 2: performance.l1: unknown key: did you mean performance.l1_",
        ),
        ("l1_cache_size: 1GB", "line 1: l1_cache_size: unknown key: did you mean performance.l1_c"),
        ("zzz: {a: 1}", "line 1: zzz: unknown key"),
        ("performance: 3", "line 1: performance: takes keys below it, not a value"),
        ("durability: fast", "line 1: durability: 'fast' is not one of async, sync"),
        (
            "\nperformance:\n  l1_cache_size: x",
            "line 3: performance.l1_cache_size: 'x' is not a size",
        ),
        ("performance:\n  batch_size: [1]", "line 2: performance.batch_size: takes one value"),
        ("performance:\n  batch_size:", "line 2: performance.batch_size: has no value"),
        ("performance:\n  batch_size: 0", "line 2: performance.batch_size: '0' is out of range"),
        ("storage.max_size: 1GB", "line 1: storage.max_size: nest the key in its section"),
        ("? [a]\n: b", "line 1: a key: nest the key"),
        ("durability: sync\ndurability: sync", "line 2: durability.mode: given twice, first in"),
        ("performance: &p {x: *p}", "line 1: "),
        ("storage: {pebbledb: {x: {y: 1}}}", "line 1: storage.pebbledb.x: takes one value"),
        ("storage: {pebbledb: {'a b': 1}}", "line 1: storage.pebbledb.a b: unknown key"),
        ("# " + "x" * 70_000, "longer than 64 KiB"),
    ],
)
def test_a_broken_file_is_refused_with_line_and_key(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text, SOURCE)
    assert str(refused.value).startswith(SOURCE)
    assert problem in str(refused.value)


def test_setting_changes_one_value_and_nothing_else() -> None:
    edited = assign(TEXT, "performance.l1_cache_size", "1GB", SOURCE)
    assert edited == TEXT.replace('"2GB"', "1GB")
    edited = assign(TEXT, "durability.mode", "async", SOURCE)
    assert edited == TEXT.replace("sync # now", "async # now")


def test_a_new_key_goes_to_the_end_of_its_section() -> None:
    edited = assign(TEXT, "performance.working_set", "4GB", SOURCE)
    assert edited == TEXT.replace("compression: lz4\n", "compression: lz4\n    working_set: 4GB\n")
    edited = assign(TEXT, "cleanup.snapshot_ttl", "2d", SOURCE)
    assert edited == TEXT + "  snapshot_ttl: 2d\n"
    edited = assign(TEXT, "storage.pebbledb.compression", "zstd", SOURCE)
    assert "    pebbledb: {compression: zstd, write_buffer_size: 1MB}   # one line\n" in edited
    edited = assign(TEXT, "ai_optimizations.parallel_hashing", "false", SOURCE)
    assert edited == TEXT + "ai_optimizations:\n  parallel_hashing: false\n"
    assert assign("durability: {}", "durability.mode", "sync", SOURCE) == "durability: {mode: sync}"


def test_the_short_form_makes_room_for_keys_beside_it() -> None:
    edited = assign(TEXT, "durability.interval", "50ms", SOURCE)
    assert "durability:\n  mode: sync # now\n  interval: 50ms\ncleanup:\n" in edited
    assert values(edited)["durability.mode"] == "sync"


def test_removing_takes_the_line_and_an_empty_section() -> None:
    edited = remove(TEXT, "performance.l1_cache_size", SOURCE)
    assert edited == TEXT.replace('    l1_cache_size: "2GB"   # big\n', "")
    edited = remove(edited, "performance.compression", SOURCE)
    assert "performance" not in edited
    assert "# top\n" in edited
    assert "# about storage\n" in edited
    edited = remove(TEXT, "durability.mode", SOURCE)
    assert edited == TEXT.replace("durability: sync # now\n", "")


def test_what_cannot_be_edited_is_left_to_the_user() -> None:
    text = "storage:\n  pebbledb: {compression: a, write_buffer_size: 1MB}\n"
    with pytest.raises(UsageError, match="change it by hand"):
        remove(text, "storage.pebbledb.compression", SOURCE)
    shared = (
        "performance:\n  l1_cache_size: &size 1GB\n  working_set: *size\n"
        "storage:\n  pebbledb:\n    write_buffer_size: *size\n"
    )
    with pytest.raises(UsageError, match="change it by hand"):
        assign(shared, "storage.pebbledb.write_buffer_size", "2GB", SOURCE)


_SETTABLE = {key.path: key for key in KEYS if not key.path.endswith(ANY)}
_SAMPLES = {
    path: key.default_text or {"snapshot_ttl": "2d", "write_buffer_size": "1MB"}.get(path, "7")
    for path, key in _SETTABLE.items()
} | {"cleanup.snapshot_ttl": "2d"}


@given(st.lists(st.tuples(st.sampled_from(sorted(_SETTABLE)), st.booleans()), max_size=12))
def test_any_edits_in_any_order(edits: list[tuple[str, bool]]) -> None:
    text, expected = "# mine\n", {}
    for path, is_set in edits:
        if is_set:
            text = assign(text, path, _SAMPLES[path], SOURCE)
            expected[path] = _SETTABLE[path].type.parse(_SAMPLES[path])
        elif path in expected:
            text = remove(text, path, SOURCE)
            del expected[path]
    assert values(text) == expected
    assert text.startswith("# mine\n")
