"""Dirty files that are stored in slices ahead of a flush, while programs and verbs go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heliosfs.workspace.flush import file_slices
from heliosfs.workspace.nodes import Child, FileNode
from heliosfs.workspace.unloading import close
from tests.tree_builder import Stage

SLICE_BYTES = 20 * 4200
"""About twenty small files."""


class Counted(dict[bytes, Child]):
    """Children of a directory that count how often one is looked for."""

    looks = 0

    def get(self, name: bytes, default: object = None) -> Child | None:  # type: ignore[override]
        self.looks += 1
        return super().get(name)


def unstored(stage: Stage) -> list[bytes]:
    """Paths of the files whose bytes are not in the store."""
    return [
        path
        for path in stage.files.tree()
        if isinstance(node := stage.files.node(path), FileNode) and node.oid is None
    ]


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    for number in range(100):
        made.files.write(b"a/%d" % number, b"old %d" % number)
    made.view.commit("old")
    for name in (b"a", b"b"):
        for number in range(100):
            made.files.write(b"%s/%d" % (name, number), b"new %d" % number)
    return made


def slices(stage: Stage) -> Iterator[None]:
    return file_slices(stage.view.workspace, SLICE_BYTES)


def test_all_files_are_stored_some_at_a_time(stage: Stage) -> None:
    left = [len(unstored(stage)) for _ in slices(stage)]
    assert len(left) == 9
    assert left == sorted(left, reverse=True)
    assert unstored(stage) == []
    assert list(slices(stage)) == []


def test_the_work_does_not_grow_with_the_number_of_slices() -> None:
    stage = Stage()
    for number in range(400):
        stage.files.write(b"%d" % number, b"x")
    root = stage.view.workspace.root
    root.children = counted = Counted(root.children or {})
    assert len(list(slices(stage))) == 19
    assert counted.looks <= 3 * 400


def test_what_a_verb_replaces_in_between_is_left_out(stage: Stage) -> None:
    under_way = slices(stage)
    next(under_way)
    stage.run("reset", "--hard")
    assert list(under_way) == []
    stage.repository.checkpoint()
    assert stage.files.read(b"a/99") == b"old 99"


def test_it_ends_with_the_view(stage: Stage) -> None:
    """A closed view has let go of the bytes of its files."""
    under_way = slices(stage)
    next(under_way)
    close(stage.view.workspace)
    assert list(under_way) == []


def test_a_directory_that_is_removed_in_the_middle_of_it(stage: Stage) -> None:
    under_way = slices(stage)
    for _ in range(6):
        next(under_way)
    stage.files.remove(b"b")
    assert list(under_way) == []
    assert unstored(stage) == []
    assert len(stage.files.tree()) == 101


def test_what_is_written_in_between_is_stored_too(stage: Stage) -> None:
    under_way = slices(stage)
    for number, _ in enumerate(under_way):
        if number < 3:
            stage.files.write(b"a/%d" % number, b"newer")
            for each in range(30):
                stage.files.write(b"c%d/%d" % (number, each), b"late")
    assert unstored(stage) == []
    stage.repository.checkpoint()
    assert stage.files.read(b"a/2") == b"newer"
