"""Statements of the pages that the code can confirm: links, verbs, errors, limits, bytes."""

from __future__ import annotations

import ast
import errno
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from zlib import crc32

import pytest

from heliosfs import errors
from heliosfs.cli.local_verbs import LOCAL_VERBS
from heliosfs.commands.dotfiles import BUILT_FILES, FILES
from heliosfs.commands.table import VERBS
from heliosfs.objects.commit import Commit, Signature, encode_commit
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.objects.tree import Entry, encode_entry
from heliosfs.repo.history import History
from heliosfs.repo.operation import Operation, encode_operation
from heliosfs.repo.working_state import State
from heliosfs.store.encoding.codecs import Codec, Encoded
from heliosfs.store.journal.journal import encode_head, encode_table
from heliosfs.store.l2.reader import index_entry
from heliosfs.store.l2.record import cut_alone, join_bundle, pack
from heliosfs.store.l2.series import Value, join_blocks
from heliosfs.store.memory import MemoryStore
from heliosfs.store.pending import Pending
from tests.sources import parsed

SOURCES = Path(__file__).parents[2]
DOCS = SOURCES / "docs"
PAGES = [
    *(SOURCES / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")),
    *sorted(DOCS.rglob("*.md")),
]

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`|^    .*$", re.MULTILINE)
_CONTROL_FILE = re.compile(r"\bctl/([a-z-]+)")
_MODULE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:py|js|sh))`")
_ATTRIBUTE = re.compile(r"`([A-Z]\w+|_[A-Z]\w+)\.(\w+)`")
_ARROW = re.compile(r'^    (\w+)(?: "1")? -->(?: "\*")? (\w+) : (\w+)$', re.MULTILINE)
_BASE = re.compile(r"^    (\w+) <\|-- (\w+)$", re.MULTILINE)
_CALL = re.compile(r"^    (\w+)->>(\w+): (\w+)$", re.MULTILINE)
_COMMAND = re.compile(r"\bhelios ([a-z][a-z-]+)")
_ROOT_FILE = re.compile(r"(?:cat|tail -1) \S*\.helios/(\w+)(?![\w/])")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SOURCES)))


def code_of(text: str) -> str:
    """Return all that is set as code in a page, a piece to a line."""
    return "\n".join([*_FENCE.findall(text), *_CODE.findall(_FENCE.sub("", text))])


def anchor(heading: str) -> str:
    """The name that a heading gets in a rendered page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def rows(page: Path, heading: str) -> Iterator[list[str]]:
    """The cells of the first table below a heading."""
    section = page.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if target.startswith("https://"):
            continue
        path, _, name = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_file(), f"{page.name} links to {target}"
        headings = {anchor(heading) for heading in _HEADING.findall(there.read_text())}
        assert not name or name in headings, f"{page.name} links to {target}"


@pages
def test_control_files_commands_and_texts_exist(page: Path) -> None:
    code = code_of(page.read_text())
    assert set(_CONTROL_FILE.findall(code)) <= {*VERBS, "command", "confined", "error", "reports"}
    assert set(_COMMAND.findall(code)) <= {*VERBS, *LOCAL_VERBS}
    assert set(_ROOT_FILE.findall(code)) <= {*FILES, *BUILT_FILES, "README"}


def test_modules_that_are_named_exist() -> None:
    """Decisions tell of the past, and so does the changelog; all other pages of today."""
    for page in PAGES:
        if page.parent.name == "decisions" or page.name == "CHANGELOG.md":
            continue
        for path in _MODULE.findall(page.read_text()):
            places = (SOURCES / path, SOURCES / "heliosfs" / path)
            assert any(place.exists() for place in places), f"{page.name} names {path}"


def _inherited(
    owner: str, known: Mapping[str, set[str]], bases: Mapping[str, Sequence[str]]
) -> set[str]:
    """Return the attributes of a class and of its bases."""
    pending, found = [owner], set[str]()
    while pending:
        kind = pending.pop()
        found |= known.get(kind, set())
        pending += bases.get(kind, ())
    return found


def test_tests_that_are_named_exist() -> None:
    text = "\n".join(page.read_text() for page in PAGES if page.name != "CHANGELOG.md")
    sources = "\n".join(path.read_text() for path in (SOURCES / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"\bdef (test_\w+)", sources))
    named = set(re.findall(r"`(test_\w+)`", text))
    assert named - defined == set()
    assert "test_every_verb_has_its_place" in named


def test_attributes_that_are_named_exist() -> None:
    """`Workspace.unload` and the like are found wherever their class lies."""
    known, bases = _attributes()
    for page in (DOCS / "explanation").glob("*.md"):
        for owner, name in _ATTRIBUTE.findall(page.read_text()):
            if owner in known:
                found = _inherited(owner, known, bases)
                assert name in found, f"{page.name} names {owner}.{name}"


def test_diagrams_show_what_the_code_has() -> None:
    """Attributes and bases of the diagrams of types, methods and functions of those of calls."""
    known, bases = _attributes()
    text = (DOCS / "explanation/architecture.md").read_text()
    functions = {
        each.name
        for path in (SOURCES / "heliosfs").rglob("*.py")
        for each in parsed(path).body
        if isinstance(each, ast.FunctionDef)
    }
    arrows = _ARROW.findall(text)
    assert len(arrows) > 30
    for owner, kind, name in arrows:
        assert kind in known, kind
        assert name in known[owner], f"{owner}.{name}"
    for base, kind in _BASE.findall(text):
        assert base in bases[kind], f"{kind} of {base}"
    calls = _CALL.findall(text)
    assert len(calls) > 50
    for caller, called, name in calls:
        assert caller in known, caller
        found = _inherited(called, known, bases) | functions
        assert name in found, f"{called}.{name}"


def _attributes() -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    """The names that each class of the package defines or assigns, and its bases."""
    known: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for path in (SOURCES / "heliosfs").rglob("*.py"):
        for kind in ast.walk(parsed(path)):
            if not isinstance(kind, ast.ClassDef):
                continue
            names = known.setdefault(kind.name, set())
            bases[kind.name] = [base.id for base in kind.bases if isinstance(base, ast.Name)]
            for each in ast.walk(kind):
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    names.add(each.name)
                elif isinstance(each, (ast.Name, ast.Attribute)) and isinstance(
                    each.ctx, ast.Store
                ):
                    names.add(each.id if isinstance(each, ast.Name) else each.attr)
    return known, bases


def test_every_page_is_in_the_index() -> None:
    index = DOCS / "index.md"
    linked = {(DOCS / target).resolve() for target in _LINK.findall(index.read_text())}
    assert set(DOCS.rglob("*.md")) - {index} == linked


def test_the_readme_names_every_limit_of_the_first_version() -> None:
    limits = (SOURCES / "README.md").read_text().partition("\n## Limits\n")[2]
    for verb in ("merge", "tag", "restore", "add", "blame", "grep"):
        assert (f"`{verb}`" in limits) == (verb not in VERBS), verb


def test_the_table_of_errors_is_that_of_the_code() -> None:
    classes = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HeliosError)
    ]
    expected = [
        [
            f"`{kind.__name__}`",
            "any" if kind is errors.PosixError else errno.errorcode[kind.errno],
            str(kind.exit_code),
            (kind.__doc__ or "").split("\n", 1)[0],
        ]
        for kind in classes
    ]
    assert list(rows(DOCS / "reference/errors.md", "Classes")) == expected


def test_the_table_of_limits_is_that_of_the_code() -> None:
    found = list(rows(DOCS / "reference/on-disk-format.md", "Limits"))
    assert found
    for _, value, place in found:
        module, _, name = place.strip("`").rpartition(".")
        assert getattr(import_module(f"heliosfs.{module}"), name) == int(value), place


def test_an_entry_is_as_the_page_on_the_format_says() -> None:
    xattrs = b"\x06user.a" + (1).to_bytes(4, "little") + b"v"
    fixed = struct.pack("<HIIqQ32sBB", 0o100644, 1, 2, -3, 4, b"i" * 32, 1 | 2 | 4 | 8 | 16, 1)
    extras = struct.pack("<QH2sQI", 5, 2, b"to", 6, len(xattrs)) + xattrs
    entry = Entry(b"n", 0o100644, 1, 2, -3, 4, Oid(b"i" * 32), 5, b"to", 6, {b"user.a": b"v"}, True)
    assert encode_entry(entry) == fixed + b"n" + extras


def test_a_commit_is_as_the_page_on_the_format_says() -> None:
    root = Entry(b"", 0o40755, 0, 0, 0, 0, Oid(b"t" * 32))
    who = Signature(b"Ada", b"a@b", -1, -90)
    commit = Commit(root, (CommitId(Oid(b"p" * 32)),), who, who, b"why", {"k": "v"}, b"git")
    person = struct.pack("<qhHH", -1, -90, 3, 3) + b"Adaa@b"
    pair = struct.pack("<II", 1, 1) + b"kv"
    fields = [encode_entry(root), b"p" * 32, person, person, b"why", pair, b"git"]
    assert encode_commit(commit) == struct.pack("<B7I", 1, *map(len, fields)) + b"".join(fields)


def test_a_record_of_the_journal_is_as_the_page_on_the_format_says() -> None:
    items = [Pending(Oid(b"o" * 32), Kind.TREE, b"bytes", Oid(b"b" * 32))]
    table = struct.pack("<BBBQ32s32s", 1, 3, 1, 5, b"o" * 32, b"b" * 32)
    table += struct.pack("<BBHI3s2s", 2, 0, 3, 2, b"key", b"va")
    table += struct.pack("<BBHI1s", 2, 1, 1, 0, b"x")
    assert encode_table(items, {b"key": b"va", b"x": None}) == (table, [b"bytes"])
    checked = struct.pack("<IQQQ", len(table), 5, 7, 6)
    seed = crc32(b"saltsalt")
    check = struct.pack("<I", crc32(checked + table, seed))
    assert encode_head(table, 5, 7, 6, seed) == b"\xf5\x48\x4a\x01" + check + checked


def test_states_and_operations_are_as_the_page_on_the_format_says() -> None:
    root = Entry(b"", 0o40755, 0, 0, 0, 0, Oid(b"t" * 32))
    before, after = State(1, None, root), State(1, CommitId(Oid(b"c" * 32)), root)
    first = struct.pack("<QB", 1, 0) + encode_entry(root)
    second = struct.pack("<QB32s", 1, 32, b"c" * 32) + encode_entry(root)
    assert (before.encode(), after.encode()) == (first, second)
    history = History(MemoryStore())
    operation = Operation(9, 1, "undo", "text", before, after, 2, 3, 4, 5, 300)
    head = struct.pack("<32sBq", b"c" * 32, 0, 1) + b"\2\3\4\5\xac\2"
    assert encode_operation(operation, 1, history) == head + b"\4undo\4text" + first + second
    who = Signature(b"n", b"e", 1, 0)
    oid = history.write(Commit(root, (), who, who, b"why"))
    operation = Operation(9, 1, "commit", "why", before, State(1, oid, root), 9, 0, 8, 0, 0)
    assert encode_operation(operation, 1, history) == struct.pack("<32sBq", oid, 1 | 2 | 4, 1)
    operation = Operation(9, 1, "go", "there", after, State(1, oid, root), 9, 0, 8, 0, 0)
    head = struct.pack("<32sBq", oid, 4 | 16, 1) + b"\2go\5there"
    at_head = struct.pack("<QB32s", 1, 32, oid)
    assert encode_operation(operation, 1, history) == head + second + at_head


def test_a_record_and_a_bundle_are_as_the_page_on_the_format_says() -> None:
    oid = Oid(bytes(range(32)))
    delta = Encoded(Codec.SPLICE, b"body")
    blob = pack(oid, Kind.BLOB, 300, delta, 200, 3)
    assert blob == b"\x13" + oid[:7] + b"\xac\x02\xc8\x01\x03body"
    commit = pack(oid, Kind.COMMIT, 4, Encoded(Codec.RAW, b"text"))
    assert commit == b"\x40" + oid + b"\x04text"
    assert join_bundle([b"abc", b"", b"d"]) == b"\3" + struct.pack("<3H", 3, 3, 4) + b"abcd"
    record = pack(oid, Kind.BLOB, 9000, Encoded(Codec.RAW, b"x" * 9000))
    pieces = cut_alone(record)
    assert b"".join(pieces) == b"\0\2" + record
    assert list(map(len, pieces)) == [4080, 4080, len(record) + 2 - 2 * 4080]
    assert index_entry(oid[:7], 258) == oid[:7] + b"\0\0\0\1\2"


def test_the_table_of_codecs_is_that_of_the_code() -> None:
    page = (DOCS / "reference/on-disk-format.md").read_text()
    table = page.partition("| codec | value | body |\n")[2].partition("\n\n")[0]
    found = re.findall(r"^\| (\w+) \| (\d+) \|", table, re.MULTILINE)
    assert found == [(codec.name, str(codec.value)) for codec in Codec]


def test_blocks_of_state_are_as_the_page_on_the_format_says() -> None:
    values = {5: Value(0, b"ab"), 7: Value(300, b"c"), 8: Value(0, b"")}
    assert list(join_blocks(values)) == [(5, b"\0\4ab" + b"\2\3\xac\2c" + b"\1\0")]


def test_the_glossary_is_in_order() -> None:
    page = DOCS / "glossary.md"
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")][2:]
    words = [line.split("|")[1].strip().lower() for line in lines]
    assert words == sorted(words)
