"""Rules that a linter does not know: words, doors and the sizes of things."""

from __future__ import annotations

import ast
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyfuse3
import pytest

import heliosfs
from heliosfs.commands.table import VERBS
from tests.sources import parsed

PACKAGE = Path(heliosfs.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = Path(__file__).parents[2]
OTHERS = sorted(path for name in ("tests", "benchmarks") for path in (SOURCES / name).rglob("*.py"))
"""Modules that are not part of the program, but written in the same words."""

LINES_MAX = 400
FUNCTION_LINES_MAX = 50
METHODS_MAX = 19

LONG: dict[str, str] = {}
"""Function of a module that is still too long; an empty name for the module itself."""

OPENING = re.compile(
    r"(What|Whatever|Whether|Of|Those|So|Who|Whoever|That|This is|How|Why|Where|Which"
    r"|As|Its|And|Also|Even|Not)\b"
)
GIVES = re.compile(r"\b[Gg]ives?\b")

_Named = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _verb_modules() -> set[str]:
    return {verb.module for verb in VERBS.values()}


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The docstrings of a module, of its classes and functions, and of its names."""
    for node in ast.walk(tree):
        if isinstance(node, _Named) and node.body:
            first = node.body[0]
            text = ast.get_docstring(node)
            if text:
                yield first.lineno, text
        for before, after in zip(
            getattr(node, "body", [])[:-1] if isinstance(getattr(node, "body", None), list) else [],
            getattr(node, "body", [])[1:] if isinstance(getattr(node, "body", None), list) else [],
            strict=True,
        ):
            is_named = isinstance(before, (ast.Assign, ast.AnnAssign))
            is_text = (
                isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            )
            if is_named and is_text:
                yield after.lineno, after.value.value


def _without_subject(path: Path, tree: ast.Module) -> list[str]:
    """Return the docstrings that open with neither a verb nor a noun, or that use a banned verb."""
    return [
        f"{path}:{line}: {text.splitlines()[0]}"
        for line, text in _docstrings(tree)
        if OPENING.match(text) or GIVES.search(text)
    ]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_docstrings_open_with_a_verb_or_a_noun(path: Path) -> None:
    """ "Return …", "Largest file that …"; never "What …" or "Whether …", which have no subject."""
    assert _without_subject(path, parsed(path)) == []


def test_docstrings_of_tests_and_benchmarks_do_too() -> None:
    """Docstrings of tests and benchmarks obey the same rule as those of the program."""
    assert OTHERS
    found = [each for path in OTHERS for each in _without_subject(path, parsed(path))]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_nothing_is_too_long(path: Path) -> None:
    text = path.read_text()
    long = LONG.get(_name(path), "-")
    assert not long or text.count("\n") <= LINES_MAX, f"{_name(path)}: would two names be clearer?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX or node.name == long, (
                f"{_name(path)}: {node.name} has {length} lines"
            )


def test_no_class_is_too_wide() -> None:
    """A class with more methods, private ones included, holds a second idea."""
    wide = {
        node.name
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) for each in node.body)
        > METHODS_MAX
    }
    assert wide == set()


def test_every_package_has_a_door() -> None:
    """The docstring of `__init__` says which one idea the folder holds."""
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent != PACKAGE:
            assert ast.get_docstring(parsed(path)), _name(path)


def test_a_class_has_a_name_of_its_own() -> None:
    """One word, one meaning: two public classes of one name have to be told apart each time."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(_name(path))
    shared = {name: places for name, places in found.items() if len(places) > 1}
    # Users of the client import its class by this name, and see none of the inner ones.
    assert shared.pop("Workspace") == ["client/workspace.py", "workspace/workspace.py"]
    assert shared == {}


def test_a_constant_has_one_value() -> None:
    """The same public name with another value elsewhere is a trap."""
    found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in MODULES:
        for node in parsed(path).body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name) and target.id.isupper():
                        found[target.id.lstrip("_")].add((_name(path), ast.unparse(node.value)))
    several = {
        name: sorted(places)
        for name, places in found.items()
        if name.endswith(("_BYTES", "_NS", "_SECONDS", "_COUNT"))
        and len({value for _, value in places}) > 1
    }
    assert several == {}


def test_everything_is_imported_by_somebody() -> None:
    """A module that nobody imports, and no verb names, is not part of the program."""
    of_verbs = {PACKAGE / "commands" / f"{name.replace('.', '/')}.py" for name in _verb_modules()}
    text = "\n".join(path.read_text() for path in MODULES)
    text += (PACKAGE.parent / "pyproject.toml").read_text()
    text += " ".join(verb.client for verb in VERBS.values())
    words = Counter(re.findall(r"\w+", text))
    quoted = Counter(re.findall(r'(?<=")\w+(?=")', text))
    unused = [
        _name(path)
        for path in MODULES
        if path.name not in ("__init__.py", "__main__.py", "bootstrap.py")
        and path not in of_verbs
        and words[path.stem] == quoted[path.stem]
    ]
    assert unused == []


def test_everything_is_used() -> None:
    """A function or class whose name stands nowhere else in the package serves no user."""
    defined: defaultdict[str, int] = defaultdict(int)
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                defined[node.name] += 1
    words = Counter(word for path in MODULES for word in re.findall(r"\w+", path.read_text()))
    # Called by name: verbs, and by the libraries that they override methods of.
    called = {verb.function_name for verb in VERBS.values()} | {"config"}
    called |= {*dir(pyfuse3.Operations), *dir(io.RawIOBase), "FixedClock"}
    unused = {name for name, count in defined.items() if words[name] <= count} - called
    assert {name for name in unused if not name.startswith("__")} == set()


def test_no_helper_comes_from_a_test_module() -> None:
    """A helper that several tests use has a module of its own, named after what it is."""
    tests = PACKAGE.parent / "tests"
    found = [
        f"{path.relative_to(tests)}: {line}"
        for path in sorted(tests.rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.match(r"from tests\.[a-z.]*\.test_\w+ import", line)
    ]
    assert found == []
