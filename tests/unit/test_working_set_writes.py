"""Bytes that are written are kept, whatever the buffer that they came in is used for next."""

from __future__ import annotations

import pytest

from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX
from tests.tree_builder import Stage


@pytest.mark.parametrize(
    ("before", "offset", "length"),
    [
        (b"", 0, 100),
        (b"begin", 5, 100),
        (b"begin", 2, 100),
        (b"begin", 2, 2),
        (b"begin", 9000, 100),
        (bytes(WHOLE_MAX - 10), WHOLE_MAX - 10, 100),
        (bytes(WHOLE_MAX), WHOLE_MAX, 2 * PART_BYTES),
        (bytes(4 * PART_BYTES), PART_BYTES, 2 * PART_BYTES),
        (bytes(4 * PART_BYTES), PART_BYTES + 7, 100),
    ],
)
def test_a_write_copies_the_buffer(before: bytes, offset: int, length: int) -> None:
    stage = Stage()
    node = stage.files.write(b"file", before)
    buffer = bytearray(b"x" * length)
    stage.repository.working_set.write(node, offset, memoryview(buffer))
    node.touch()
    buffer[:] = b"-" * length
    expected = bytearray(before.ljust(offset, b"\0"))
    expected[offset : offset + length] = b"x" * length
    assert stage.files.read(b"file") == expected
    stage.view.commit("written")
    assert stage.files.read(b"file") == expected
