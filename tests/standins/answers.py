"""Answers of the stand-ins for models."""

from __future__ import annotations

import itertools

_numbers = itertools.count(1)


def next_answer(prompt: str) -> str:
    """A program whose result is good or bad in no particular order."""
    number = next(_numbers)
    return f"# {prompt.splitlines()[0]}\nANSWER = {number}\nSCORE = {number * 37 % 101}\n"
