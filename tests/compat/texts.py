"""Texts that share lines, as comparisons of lines like them least."""

from __future__ import annotations

from random import Random

_COMMON = [b"\n", b"}\n", b"{\n", b"    return\n", b"\t\n", b"    }\n", b"  else:\n"]


def text(random: Random, size: int) -> list[bytes]:
    lines: list[bytes] = []
    while len(lines) < size:
        if random.random() < 0.5:
            lines.append(random.choice(_COMMON))
        else:
            lines.append(b" " * random.randint(0, 8) + b"word %d\n" % random.randint(0, size))
    return lines


def edited(random: Random, lines: list[bytes]) -> list[bytes]:
    lines = list(lines)
    for _ in range(random.randint(0, 6)):
        at = random.randint(0, len(lines))
        match random.randint(0, 3):
            case 0:
                lines[at:at] = text(random, random.randint(1, 5))
            case 1:
                del lines[at : at + random.randint(1, 6)]
            case 2:
                lines[at:at] = lines[at : at + random.randint(1, 8)]
            case _:
                lines[at : at + 2] = text(random, random.randint(1, 3))
    return lines
