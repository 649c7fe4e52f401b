"""What lies under an object's number in L2: a header, then the encoded bytes.

    codec 1 | kind 1 | size | further pieces | of a delta: distance, position | body

The last four are numbers in groups of seven bits.  A delta names its base by the
distance between their numbers, and says how far down its chain it stands, which bounds
the chain.  A payload of more than a page is cut into pieces under consecutive numbers.
"""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.objects.ids import Kind
from heliosfs.store.codecs import (
    DELTAS,
    DecodeError,
    Encoded,
    decode,
    decode_delta,
    read_varint,
    varint,
)

INLINE_BYTES = 2_022
"""The largest value that LMDB keeps inside a 4 KB page, under an 8-byte key."""
PAGE_BYTES = 4_096
_PAGE_HEAD_BYTES = 16
PIECE_BYTES = PAGE_BYTES - _PAGE_HEAD_BYTES
"""The largest piece fills a page.

A larger one needs pages in a row: on a free list of single pages, which gc leaves, LMDB
searches all of it in vain and lets the file grow (0.6 ms and 185 KB for 200 KB in pieces
of 64 KB; 0.14 ms and nothing in pieces of a page).  A payload of 128 KB is read as fast.
"""
_COUNT_SLACK = 4
_KINDS = {int(kind): kind for kind in Kind}


class Payload(NamedTuple):
    """A payload, read but not decoded."""

    number: int
    codec: int
    kind: Kind
    size: int
    """Bytes of the object."""
    further: int
    """How many pieces follow the first."""
    base: int | None
    """The number of the payload that a delta changes."""
    position: int
    """0 for an object encoded alone, else 1 more than that of the version before it."""
    body: bytes


def pack(
    kind: Kind, size: int, encoded: Encoded, distance: int = 0, position: int = 0
) -> list[bytes]:
    """The pieces to store under consecutive numbers."""
    codec, body = encoded
    head = bytes((codec, kind)) + varint(size)
    link = varint(distance) + varint(position) if codec in DELTAS else b""
    whole = b"".join((head, b"\0", link, body))
    if len(whole) <= INLINE_BYTES:
        return [whole]
    # A longer count would move the cuts that it counts: the slack is for what it may grow by.
    cuts = piece_lengths(len(whole) + _COUNT_SLACK)
    if len(cuts) == 1:
        return [whole]
    whole = b"".join((head, varint(len(cuts) - 1), link, body))
    pieces = []
    at = 0
    for cut in cuts:
        pieces.append(whole[at : at + cut])
        at += cut
    return pieces


def piece_lengths(length: int) -> list[int]:
    """How a payload is cut, so that little of the pages that it takes is left empty.

    A value that fits half a page shares pages; a larger one takes a page of its own.

    >>> piece_lengths(2_000), piece_lengths(3_000), piece_lengths(4_500)
    ([2000], [3000], [4080, 420])
    """
    rest = length % PIECE_BYTES
    return [PIECE_BYTES] * (length // PIECE_BYTES) + [rest] * (rest > 0)


def unpack(number: int, data: bytes) -> Payload:
    """Read a payload, of which the first piece holds the header; DecodeError."""
    try:
        codec, kind = data[0], _KINDS[data[1]]
        size, at = read_varint(data, 2)
        further, at = read_varint(data, at)
        if codec not in DELTAS:
            return Payload(number, codec, kind, size, further, None, 0, data[at:])
        distance, at = read_varint(data, at)
        position, at = read_varint(data, at)
    except (IndexError, KeyError) as error:
        raise DecodeError(f"payload {number} has no sound header") from error
    if not 0 < distance <= number:
        raise DecodeError(f"payload {number} changes one {distance} before it")
    base = number - distance
    return Payload(number, codec, kind, size, further, base, position, data[at:])


def decode_chain(chain: list[Payload]) -> list[bytes]:
    """The objects of a chain of payloads, each but the first a delta to the one before."""
    first = chain[0]
    objects = [decode(first.codec, first.body, first.size)]
    for payload in chain[1:]:
        objects.append(decode_delta(payload.codec, payload.body, payload.size, objects[-1]))
    return objects
