"""Files for real programs: made once in a run, on the disk, from what the machine has."""

from __future__ import annotations

import io
import json
import os
import sysconfig
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Plan, run

_C_FILES = 60
_TEST_FILES = 100
_PACKAGES = 60
_PACKAGE_FILES = 15
_LEFT_OUT = {"test", "tests", "idlelib", "site-packages", "dist-packages", "__pycache__"}

_C_FUNCTIONS = """
struct pair_{n} {{ long key; const char *name; }};

static int compare_{n}(const void *left, const void *right) {{
    const struct pair_{n} *a = left, *b = right;
    return a->key < b->key ? -1 : a->key > b->key;
}}

long work_{n}(long seed) {{
    struct pair_{n} pairs[64];
    for (int at = 0; at < 64; at++) {{
        seed = seed * 1103515245 + 12345;
        pairs[at].key = seed % 1000;
        pairs[at].name = at % 2 ? "odd" : "even";
    }}
    qsort(pairs, 64, sizeof pairs[0], compare_{n});
    long sum = 0;
    for (int at = 0; at < 64; at++)
        sum += pairs[at].key * (long) strlen(pairs[at].name);
    return sum;
}}
"""
_MAKEFILE = """\
objects = $(patsubst %.c,%.o,$(wildcard *.c))

program: $(objects)
\tgcc -o $@ $(objects)

%.o: %.c work.h
\tgcc -O1 -g -c -o $@ $<
"""
_TEST = """\
import pytest


@pytest.fixture
def numbers():
    return list(range({n}, {n} + 10))


@pytest.mark.parametrize("at", range(5))
def test_order_{n}(numbers, at):
    assert numbers[at] == {n} + at


def test_file_{n}(tmp_path):
    (tmp_path / "file").write_text("{n}")
    assert (tmp_path / "file").read_text() == "{n}"
"""


@dataclass(frozen=True)
class Sources:
    """Paths of the files that programs work on."""

    repository: Path
    """A git repository of the standard library's modules."""
    archive: Path
    """The same files as a tar archive."""
    c_project: Path
    suite: Path
    """A directory of tests for pytest."""
    npm_project: Path
    """With a lock file, and its dependencies as archives beside it."""


def sources(plan: Plan, *, has_npm: bool) -> Sources:
    """Make them all; the npm project only where there is npm to write its lock file."""
    root = plan.directory("sources")
    made = Sources(*(root / name for name in ("git", "files.tar", "c", "suite", "npm")))
    for each in (made.repository, made.c_project, made.suite, made.npm_project):
        each.mkdir()
    write_archive(made.archive)
    run("tar", "-xf", str(made.archive), "-C", str(made.repository))
    for words in (
        ["init", "-q", "--template=", "-b", "main"],
        ["add", "."],
        ["commit", "-qm", "the standard library"],
    ):
        run("git", *words, cwd=made.repository)
    write_c_project(made.c_project)
    _write_suite(made.suite)
    if has_npm:
        _write_npm_project(made.npm_project)
    return made


def _modules() -> Iterator[tuple[Path, str]]:
    """The files of the standard library, and the names that they get."""
    root = sysconfig.get_paths()["stdlib"]
    for directory, names, files in os.walk(root):
        names[:] = sorted(set(names) - _LEFT_OUT)
        for name in sorted(files):
            if name.endswith(".py"):
                path = Path(directory, name)
                yield path, str(path.relative_to(root))


def write_archive(archive: Path) -> None:
    """Write a tar archive of the standard library's modules."""
    with tarfile.open(archive, "w") as tar:
        for path, name in _modules():
            tar.add(path, name)


def write_c_project(directory: Path) -> None:
    """A program of sixty files that include the usual headers, and a makefile."""
    (directory / "Makefile").write_text(_MAKEFILE)
    names = range(_C_FILES)
    header = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
    header += "".join(f"long work_{n}(long seed);\n" for n in names)
    (directory / "work.h").write_text(header)
    for n in names:
        code = '#include "work.h"\n' + _C_FUNCTIONS.format(n=n)
        (directory / f"work_{n}.c").write_text(code)
    calls = "".join(f"    sum += work_{n}(sum);\n" for n in names)
    main = f'#include "work.h"\n\nint main(void) {{\n    long sum = 1;\n{calls}'
    (directory / "main.c").write_text(f'{main}    printf("%ld\\n", sum);\n    return 0;\n}}\n')


def _write_suite(directory: Path) -> None:
    (directory / "pytest.ini").write_text("[pytest]\n")
    for n in range(_TEST_FILES):
        (directory / f"test_{n:03}.py").write_text(_TEST.format(n=n))


def _write_npm_project(directory: Path) -> None:
    """Dependencies that are archives, which `npm ci` unpacks without a network."""
    (directory / "archives").mkdir()
    wanted = {}
    for n in range(_PACKAGES):
        name = f"package-{n:02}"
        wanted[name] = f"file:archives/{name}.tgz"
        _write_package(directory / "archives" / f"{name}.tgz", name)
    project = {"name": "project", "version": "1.0.0", "private": True, "dependencies": wanted}
    (directory / "package.json").write_text(json.dumps(project, indent=2))
    run("npm", "install", "--offline", "--package-lock-only", cwd=directory)


def _write_package(archive: Path, name: str) -> None:
    manifest = {"name": name, "version": "1.0.0", "main": "module-0.js"}
    files = {"package.json": json.dumps(manifest)}
    for at in range(_PACKAGE_FILES):
        line = f"exports.value_{at} = (input) => input * {at};\n"
        files[f"module-{at}.js"] = line * (20 + 10 * at)
    with tarfile.open(archive, "w:gz") as tar:
        for path, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(f"package/{path}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
