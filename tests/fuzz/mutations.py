"""Seeded mutations of inputs, for the runs that have no coverage to go by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from tests.fuzz.harness import INPUT_MAX_BYTES

_EDGES = (
    b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff",
    b"\xff" * 8, b"\x80" * 10, b"\xff" * 12, b"\0" * 8, b"\x01\0\0\0\0\0\0\0",
)  # fmt: skip


def mutations(
    inputs: Sequence[bytes], words: Sequence[bytes], seed: int, count: int
) -> Iterator[bytes]:
    """Yield `count` inputs, each some changes away from one of the given."""
    random = Random(seed)
    pieces = [*_EDGES, *words]
    for _ in range(count):
        data = bytearray(random.choice(inputs))
        for _ in range(random.choice((1, 1, 2, 3, 8))):
            _change(data, inputs, pieces, random)
        yield bytes(data[:INPUT_MAX_BYTES])


def _change(
    data: bytearray, inputs: Sequence[bytes], pieces: Sequence[bytes], random: Random
) -> None:
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 2, 4, 8, 40, 400)))
    match random.randrange(8):
        case 0:
            del data[at:end]
        case 1:
            del data[at:]
        case 2:
            data[at:at] = random.randbytes(random.choice((1, 2, 4, 16)))
        case 3:
            data[at:at] = random.choice(pieces)
        case 4:
            piece = random.choice(pieces)
            data[at : at + len(piece)] = piece
        case 5:
            other = random.choice(inputs)
            begin = random.randrange(len(other) + 1)
            data[at:end] = other[begin : begin + end - at]
        case 6:
            data[at:at] = data[at:end] * random.choice((1, 2, 30))
        case _:
            if at < len(data):
                data[at] ^= 1 << random.randrange(8)
