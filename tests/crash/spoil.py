"""Damage to one file of a store: bits, bytes, ends, zeros, swapped places, and older copies."""

from __future__ import annotations

import os
import random
from pathlib import Path


def spoil(path: Path, older: Path, numbers: random.Random) -> str:
    """Damage one file; return what was done to it."""
    names = sorted(name for name in os.listdir(path) if name not in ("lock", "store.lmdb-lock"))
    weights = [_WEIGHTS.get(name.partition("-")[0], 1) for name in names]
    name = numbers.choices(names, weights)[0]
    file = path / name
    before = file.read_bytes()
    for _ in range(20):
        how = numbers.choice(_DAMAGES)
        data = how(bytearray(before), numbers) if how is not _older else None
        if data is None and (older / name).exists():
            data = bytearray((older / name).read_bytes())
        if data is not None and data != before:
            file.write_bytes(data)
            return f"{name} {how.__name__.strip('_')} {_span(before, data)}"
    file.unlink()
    return f"{name} missing"


def _span(before: bytes, after: bytes | bytearray) -> str:
    at = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), "end")
    return f"at {at} of {len(before)}"


def _place(data: bytearray, numbers: random.Random) -> int:
    """An offset, more often than not one where something lies."""
    at = 0
    for _ in range(8):
        at = numbers.randrange(len(data))
        if any(data[at : at + 16]):
            return at
    return at


def _bit(data: bytearray, numbers: random.Random) -> bytearray | None:
    if data:
        data[_place(data, numbers)] ^= 1 << numbers.randrange(8)
    return data


def _bytes(data: bytearray, numbers: random.Random) -> bytearray | None:
    if data:
        at = _place(data, numbers)
        length = min(numbers.choice((1, 2, 8, 100)), len(data) - at)
        data[at : at + length] = numbers.randbytes(length)
    return data


def _cut(data: bytearray, numbers: random.Random) -> bytearray | None:
    return data[: numbers.randrange(len(data))] if data else data


def _zeros(data: bytearray, numbers: random.Random) -> bytearray | None:
    if data:
        length = numbers.choice((16, 512, 4096, 16384))
        at = _place(data, numbers) // min(length, 4096) * min(length, 4096)
        length = min(length, len(data) - at)
        data[at : at + length] = bytes(length)
    return data


def _swap(data: bytearray, numbers: random.Random) -> bytearray | None:
    """Swap two ranges: sectors and pages that were written to each other's place."""
    length = numbers.choice((16, 512, 4096))
    if len(data) < 2 * length:
        return None
    grain = min(length, 512)
    a, b = (_place(data, numbers) // grain * grain for _ in range(2))
    if abs(a - b) < length or max(a, b) + length > len(data):
        return data
    data[a : a + length], data[b : b + length] = data[b : b + length], data[a : a + length]
    return data


def _empty(data: bytearray, numbers: random.Random) -> bytearray | None:
    return bytearray()


def _older(data: bytearray, numbers: random.Random) -> bytearray | None:
    return None


_DAMAGES = (_bit, _bit, _bytes, _bytes, _cut, _zeros, _zeros, _swap, _older, _empty)
_WEIGHTS = {"store.lmdb": 12, "journal": 6, "pack": 2}
