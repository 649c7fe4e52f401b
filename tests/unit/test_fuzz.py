"""Every decoder over its corpus and some hundred mutations; `python -m tests.fuzz` runs longer."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fuzz.harness import CORPUS, Harness
from tests.fuzz.mutations import mutations
from tests.fuzz.table import HARNESSES

MUTATION_COUNT = 300
TRACED_COUNT = 40
"""Mutations whose memory is traced, which makes Python three times slower."""
MEMORY_MAX_BYTES = 64 * 1024 * 1024
"""Memory that one input of 64 KB may take: lz4 alone can make 16 MB of it."""


@contextmanager
def frugal() -> Iterator[None]:
    """Fail if the block allocates more than it may."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= MEMORY_MAX_BYTES, f"{peak >> 20} MiB were allocated"


@pytest.mark.parametrize("harness", HARNESSES.values(), ids=HARNESSES)
def test_what_is_sound_is_read(harness: Harness) -> None:
    """The harness would find nothing if it refused everything."""
    assert any(harness.check(data) for data in harness.seeds())


@pytest.mark.parametrize("harness", HARNESSES.values(), ids=HARNESSES)
def test_any_bytes_are_read_or_refused(harness: Harness) -> None:
    """No other error than the documented ones, in bounded time."""
    run(harness, [*harness.inputs(), *mutated(harness, 1, MUTATION_COUNT)])


@pytest.mark.parametrize("harness", HARNESSES.values(), ids=HARNESSES)
def test_any_bytes_take_little_memory(harness: Harness) -> None:
    """Lengths are compared with what is there before so much is allocated."""
    inputs = [*harness.inputs(), *mutated(harness, 2, TRACED_COUNT)]
    with frugal():
        run(harness, inputs)


def mutated(harness: Harness, seed: int, count: int) -> list[bytes]:
    return list(mutations(harness.inputs(), harness.words, seed, count))


def run(harness: Harness, inputs: list[bytes]) -> None:
    for data in inputs:
        try:
            harness.check(data)
        except Exception as error:  # noqa: BLE001
            pytest.fail(f"{harness.name}: {error!r} for {data[:4096].hex()}")


def test_the_corpus_belongs_to_harnesses() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= HARNESSES.keys()
