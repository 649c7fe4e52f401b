"""Holes of small files: the blocks that were never written, whatever happened to the file."""

from __future__ import annotations

import random

import pytest

from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from heliosfs.workspace.copying import copy
from heliosfs.workspace.holes import HOLE_BYTES, next_data_block, next_hole_block
from heliosfs.workspace.nodes import FileNode
from tests.tree_builder import Stage, TreeBuilder

SIZES = (0, 1, 100, HOLE_BYTES, HOLE_BYTES + 1, 5 * HOLE_BYTES, 70_000)


class Model:
    """Expected bytes of a file, and the blocks that are data."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.blocks: set[int] = set()

    def resize(self, size: int) -> None:
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))
        self.blocks = {each for each in self.blocks if each * HOLE_BYTES < size}

    def write(self, at: int, data: bytes) -> None:
        self.resize(max(len(self.data), at + len(data)))
        self.data[at : at + len(data)] = data
        self.fill(at, at + len(data))

    def fill(self, at: int, end: int) -> None:
        self.blocks |= set(range(at // HOLE_BYTES, -(-min(end, len(self.data)) // HOLE_BYTES)))

    def punch(self, at: int, end: int) -> None:
        self.data[at:end] = bytes(end - at)
        last = end // HOLE_BYTES if end < len(self.data) else -(-end // HOLE_BYTES)
        self.blocks -= set(range(-(-at // HOLE_BYTES), last))

    @property
    def data_bytes(self) -> int:
        size = len(self.data)
        return sum(min(HOLE_BYTES, size - each * HOLE_BYTES) for each in self.blocks)

    def edges(self) -> list[int]:
        """Return the offsets at which data begins and ends."""
        size = len(self.data)
        found: list[int] = []
        for each in sorted(self.blocks):
            begin, end = each * HOLE_BYTES, min((each + 1) * HOLE_BYTES, size)
            if found and found[-1] == begin:
                found[-1] = end
            else:
                found += [begin, end]
        return found


def edges_of(node: FileNode) -> list[int]:
    found, at, size = [], 0, node.file_size
    while at < size and (at := next_data_block(node.hole_blocks, at, size)) < size:
        found.append(at)
        at = next_hole_block(node.hole_blocks, at, size)
        found.append(at)
    return found


def check(node: FileNode, model: Model, files: TreeBuilder) -> None:
    contents = files.workspace.working_set
    assert bytes(contents.read(node, 0, node.file_size)) == bytes(model.data)
    assert node.data_bytes == model.data_bytes
    assert edges_of(node) == model.edges()


@pytest.mark.parametrize("seed", range(20))
def test_any_changes(seed: int) -> None:
    chance = random.Random(seed)
    files = Stage().files
    node, model = files.write(b"file", b""), Model()
    contents = files.workspace.working_set
    for _ in range(200):
        at, length = chance.choice(SIZES), chance.choice(SIZES)
        size = len(model.data)
        node.touch()
        match chance.randrange(7):
            case 0 | 1 if length:
                data = chance.choice((bytes(length), b"x" * length))
                contents.write(node, at, data)
                model.write(at, data)
            case 2:
                contents.truncate(node, at)
                model.resize(at)
            case 3 if at < size:
                contents.punch(node, at, min(at + length, size))
                model.punch(at, min(at + length, size))
            case 4 if at < size:
                contents.fill(node, at, at + length)
                model.fill(at, at + length)
            case 5:
                # It leaves memory, and is read again.
                contents.freeze(node, None)
                contents.drop(node)
            case 6 if size:
                contents.freeze(node, None)
                other = files.write(b"copy", b"")
                assert copy(contents, node, 0, other, 0, size) == size
                check(other, model, files)
        check(node, model, files)


def test_a_file_that_was_large_keeps_its_holes() -> None:
    files = Stage().files
    node = files.write(b"file", b"")
    contents = files.workspace.working_set
    contents.truncate(node, 3 * WHOLE_MAX)
    contents.write(node, PART_BYTES, b"x")
    contents.truncate(node, 3 * PART_BYTES)
    contents.freeze(node, None)
    assert edges_of(node) == [PART_BYTES, 2 * PART_BYTES]
    assert node.data_bytes == PART_BYTES
    contents.truncate(node, 2 * WHOLE_MAX)
    assert not node.hole_blocks


def test_a_node_that_is_made_anew_is_all_data() -> None:
    """Holes that nobody remembers are never made up: only the bytes are stored."""
    stage = Stage()
    node = stage.files.write(b"file", b"")
    stage.view.workspace.working_set.truncate(node, 50_000)
    node.touch()
    assert node.data_bytes == 0
    stage.commit()
    stage.reopen()
    again = stage.files.node(b"file")
    assert isinstance(again, FileNode)
    assert again.data_bytes == again.file_size == 50_000
