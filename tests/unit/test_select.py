"""Select: what a working tree is without what is ignored, and what finding that out takes."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from heliosfs.objects.tree import Entry
from heliosfs.trees.select import SelectionMemo, select
from heliosfs.trees.stored import find_entry
from heliosfs.workspace.flush import flush
from tests.tree_builder import Stage


def root_of(stage: Stage) -> Entry:
    return flush(stage.view.workspace)


def test_a_directory_that_differs_in_what_is_ignored_is_the_one_of_the_base() -> None:
    stage = Stage()
    stage.files.write(b".heliosignore", b"*.o\n")
    stage.files.write(b"d/e/a.c", b"1\n")
    base = root_of(stage)
    stage.files.write(b"d/e/a.o", b"1\n")
    assert select(stage.store, base, root_of(stage)).root == base
    stage.files.chmod(b"d/e", 0o700)
    found = select(stage.store, base, root_of(stage)).root
    there, was = find_entry(stage.store, found, b"d/e"), find_entry(stage.store, base, b"d/e")
    assert there is not None and was is not None
    assert (there.mode & 0o777, there.oid) == (0o700, was.oid)


def test_a_directory_in_place_of_a_file_stays_when_all_in_it_is_ignored() -> None:
    stage = Stage()
    stage.files.write(b".heliosignore", b"*.o\n")
    stage.files.write(b"d", b"a file\n")
    base = root_of(stage)
    stage.files.remove(b"d")
    stage.files.write(b"d/e/a.o", b"1\n")
    quiet = SelectionMemo()
    for _ in range(2):
        found = select(stage.store, base, root_of(stage), quiet)
        entry = find_entry(stage.store, found.root, b"d")
        assert entry is not None
        assert entry.is_dir
        assert entry.size == 0
        assert find_entry(stage.store, found.root, b"d/e") is None


@pytest.mark.parametrize("seed", range(20))
def test_a_memo_changes_nothing(seed: int) -> None:
    random_ = random.Random(seed)
    stage = Stage()
    quiet = SelectionMemo()
    base = root_of(stage)
    places = [b"", b"a/", b"a/b/", b"c/", b"c/o/", b"c/o/d/"]
    for step in range(12):
        for _ in range(random_.randrange(1, 6)):
            place = random_.choice(places)
            name = random_.choice([b"x.c", b"x.o", b"y.o", b".heliosignore"])
            text = random_.choice([b"*.o\n", b"o/\n", b"!x.o\n", b"%d\n" % step])
            stage.files.write(place + name, text)
        work = root_of(stage)
        found = select(stage.store, base, work, quiet)
        assert found.root == select(stage.store, base, work).root
        if random_.random() < 0.5:
            base = found.root


@pytest.mark.parametrize("rules", [b"", b"*.o\n"])
def test_it_holds_a_directory_at_a_time_in_memory(rules: bytes) -> None:
    stage = Stage()
    base = root_of(stage)
    stage.files.write(b".heliosignore", rules)
    stage.files.write(b"ignored.o", b"1\n")
    for number in range(10_000):
        stage.files.write(b"%d/%d/f%d" % (number // 1000, number // 40, number), b"1\n")
    work = root_of(stage)
    tracemalloc.start()
    try:
        found = select(stage.store, base, work)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.ignored) == bool(rules)
    # What a file's entry takes, of each, would be more than twice as much.
    assert peak_bytes < 10_000 * 100
