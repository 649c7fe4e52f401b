"""Keys of stored state: one module spells them, and the page of the format lists them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import heliosfs
from heliosfs.repo import keys
from tests.sources import parsed

PACKAGE = Path(heliosfs.__file__).parent
PAGE = PACKAGE.parent / "docs/reference/on-disk-format.md"

PREFIXES = {value for value in vars(keys).values() if isinstance(value, bytes)}
"""A key ends with the slash of its prefix, or is one of `repo/` and `gc/`."""


def test_the_page_lists_every_prefix() -> None:
    section = PAGE.read_text().split("\n## State\n")[1].split("\n## ")[0]
    listed = {
        name.encode() for name in re.findall(r"^\| `([a-z@~-]+/[a-z-]*)`", section, re.MULTILINE)
    }
    assert listed == PREFIXES


def test_no_key_is_below_another_ones_prefix() -> None:
    """A scan of one kind of state must not come upon another."""
    assert not [(a, b) for a in PREFIXES for b in PREFIXES if a != b and b.startswith(a)]


def test_only_this_module_spells_a_prefix() -> None:
    """The reader of an old format has what was valid then."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        if name == "repo/keys.py" or name.startswith("store/formats/"):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
                found += [(name, node.lineno) for each in PREFIXES if node.value.startswith(each)]
    assert found == []


def test_a_key_gives_back_what_it_was_made_of() -> None:
    assert keys.name_in(keys.TAG, keys.of_name(keys.TAG, "a\udc80/b")) == "a\udc80/b"
    assert keys.slot_in(keys.WORK, keys.of_slot(keys.WORK, 2**60)) == 2**60
    assert keys.slot_in(keys.SAVE, keys.of_slot(keys.SAVE, 7) + b"/" + bytes(8)) == 7
    assert keys.number_in(keys.STASH, keys.of_number(keys.STASH, 258)) == 258
    assert keys.operation_in(b"op-stage/", keys.of_operation(b"op-stage/", 3, 4)) == (3, 4)
    assert keys.of_number(keys.STASH, 255) < keys.of_number(keys.STASH, 256)
