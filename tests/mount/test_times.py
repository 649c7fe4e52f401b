"""Times after a verb: builds, caches and backups notice what it replaced, and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import CACHING_PYTHON, errno_of, put, run

SECOND_NS = 10**9


def test_every_verb_makes_replaced_files_newer_than_what_was_made_of_them(
    mounted: Mounted, tmp_path: Path
) -> None:
    """An output in the tree that is ignored, and one elsewhere."""
    source, inside, outside = mounted.path / "src/a", mounted.path / "a.o", tmp_path / "a.o"
    same, tool = mounted.path / "src/same", mounted.path / "src/tool"
    put(mounted.path / ".heliosignore", "*.o\n")
    put(same, "same\n")
    put(tool, "#!/bin/sh\n")
    put(source, "one\n")
    one = mounted.commit("one")
    mounted.control("branch", "side\n")
    (mounted.path / "later").write_text("came later\n")
    tool.chmod(0o755)
    put(source, "longer: two\n")
    two = mounted.commit("two")
    put(source, "uncommitted, the third\n")
    verbs = [
        ("reset", "--hard HEAD\n", "longer: two\n"),
        ("undo", "\n", "uncommitted, the third\n"),
        ("redo", "\n", "longer: two\n"),
        ("restore", f"--source {one} src/a\n", "one\n"),
        ("checkout", f"{two} -- src/a\n", "longer: two\n"),
        ("checkout", f"{one}\n", "one\n"),
        ("checkout", "main\n", "longer: two\n"),
        ("switch", "side\n", "one\n"),
        ("merge", "main\n", "longer: two\n"),
        ("undo", "\n", "one\n"),
        ("reset", f"--hard {two}\n", "longer: two\n"),
        ("checkout", "--detach side~1\n", "one\n"),
        ("checkout", "-\n", "longer: two\n"),
    ]
    kept = same.stat()
    tool_time_ns = tool.stat().st_mtime_ns
    for verb, words, expected in verbs:
        for output in (inside, outside):
            output.write_bytes(source.read_bytes())
        before = source.stat()
        built_ns = max(inside.stat().st_mtime_ns, outside.stat().st_mtime_ns)
        mounted.control(verb, words)
        after = source.stat()
        assert source.read_text() == expected, verb
        assert after.st_mtime_ns > max(built_ns, before.st_mtime_ns), verb
        assert after.st_ctime_ns > before.st_ctime_ns, verb
        assert after.st_ino != before.st_ino, verb
        assert abs(after.st_mtime_ns - time.time_ns()) < 5 * SECOND_NS, verb
        now = same.stat()
        shown = [(each.st_ino, each.st_mtime_ns, each.st_ctime_ns) for each in (kept, now)]
        assert shown[0] == shown[1], verb
        assert tool.stat().st_mtime_ns == tool_time_ns, "a mode alone keeps the time"
        is_dirty = expected.startswith("uncommitted") or verb == "restore"
        assert bool(mounted.control("status", "--short\n")) == is_dirty, verb
    assert errno_of(mounted.commit, "times alone are no change") == "ENODATA"


def test_a_file_that_appears_is_new(mounted: Mounted) -> None:
    put(mounted.path / "d/e/file", "x\n")
    os.utime(mounted.path / "d/e/file", ns=(1, 1))
    mounted.commit("there")
    shutil.rmtree(mounted.path / "d")
    mounted.commit("gone")
    began_ns = time.time_ns()
    mounted.control("reset", "--hard HEAD~1\n")
    for name in ("d", "d/e", "d/e/file"):
        assert (mounted.path / name).stat().st_mtime_ns > began_ns, name
    snapshot = mounted.path / ".helios/snapshots/HEAD/d/e/file"
    assert snapshot.stat().st_mtime_ns == 1, "snapshots keep the times of their commit"
    mounted.kill9()
    mounted.mount()
    assert (mounted.path / "d/e/file").stat().st_mtime_ns > began_ns, "though it was killed"


def test_make_builds_what_a_verb_replaced_and_only_that(mounted: Mounted) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.fail("make is needed: apt-get install make")
    place = mounted.path
    put(place / ".heliosignore", "*.o\nout\n")
    put(place / "Makefile", "out: a.o b.o\n\tcat $^ > $@\n%.o: %.c\n\tcp $< $@\n")
    put(place / "a.c", "first\n")
    put(place / "b.c", "other\n")
    mounted.commit("one")
    put(place / "a.c", "the second\n")
    mounted.commit("two")

    def build() -> list[str]:
        return run(make, cwd=place).stdout.splitlines()

    build()
    for verb, words, text in (
        ("reset", "--hard HEAD~1\n", "first"),
        ("undo", "\n", "the second"),
        ("checkout", "HEAD~1\n", "first"),
    ):
        mounted.control(verb, words)
        assert build() == ["cp a.c a.o", "cat a.o b.o > out"], verb
        assert (place / "out").read_text() == f"{text}\nother\n"
        assert build() == ["make: 'out' is up to date."], verb


def test_python_takes_no_version_for_another_of_the_same_second(mounted: Mounted) -> None:
    """Python's caches know whole seconds and the size."""
    place = mounted.path
    put(place / ".heliosignore", "__pycache__/\n")
    program = "import m, sys; sys.stdout.write(str(m.value))"

    def value() -> str:
        return run(*CACHING_PYTHON, "-c", program, cwd=place).stdout

    for number in (1, 2):
        put(place / "m.py", f"value = {number}\n")
        mounted.commit(str(number))
    assert value() == "2"
    assert (place / "__pycache__").is_dir()
    for verb, words, expected in (
        ("reset", "--hard HEAD~1\n", "1"),
        ("undo", "\n", "2"),
        ("redo", "\n", "1"),
        ("undo", "\n", "2"),
    ):
        mounted.control(verb, words)
        assert value() == expected, verb
    for _ in range(20):
        mounted.control("undo", "\n")
        mounted.control("redo", "\n")
    ahead_ns = (place / "m.py").stat().st_mtime_ns - time.time_ns()
    assert ahead_ns < 6 * SECOND_NS, "what nobody read in between moves no time ahead"


def test_a_backup_sees_by_stat_what_a_verb_replaced(mounter: Mounter) -> None:
    """The states are equal in time and size, and lie a mount or a kill apart, too."""
    mounted = mounter()
    path = mounted.path / "package"
    seen: dict[tuple[int, ...], str] = {}

    def look() -> None:
        status, text = path.stat(), path.read_text()
        key = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        assert seen.setdefault(key, text) == text
        assert status.st_ctime_ns >= began_ns

    began_ns = time.time_ns()
    mounted.control("config", "set checkout.times commit\n")
    for version in ("1.0.0", "1.0.1"):
        put(path, version)
        os.utime(path, ns=(SECOND_NS, SECOND_NS))
        look()
        mounted.commit(version)
    for verb, words in (("reset", "--hard HEAD~1\n"), ("undo", "\n")):
        began_ns = time.time_ns()
        mounted.control(verb, words)
        look()
    numbers = {path.stat().st_ino}
    for end in (mounted.unmount, mounted.kill9):
        end()
        began_ns = time.time_ns()
        mounted.mount()
        look()
        assert path.stat().st_ino not in numbers
        numbers.add(path.stat().st_ino)
        mounted.control("redo" if end == mounted.unmount else "undo", "\n")
        look()
    assert max(numbers) < 2**32
