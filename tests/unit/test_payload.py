"""Records, bundles and pieces: how objects are laid out in L2."""

from __future__ import annotations

import random

import pytest

from heliosfs.objects.ids import Kind, object_id
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import Codec, DecodeError, Encoded
from heliosfs.store.l2.record import (
    BUNDLE_BYTES,
    END_BYTES,
    INLINE_BYTES,
    PIECE_BYTES,
    SHORT_BYTES,
    cut_alone,
    decode_chain,
    join_bundle,
    pack,
    read_alone,
    record_in,
    split_bundle,
    unpack,
)

TEXT = b"".join(b"line %d of a text that repeats itself\n" % number for number in range(300))
OID = object_id(Kind.BLOB, b"any")


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 130])
def test_pieces_fill_their_pages_whatever_the_length(count: int) -> None:
    for length in range(count * PIECE_BYTES - 10, count * PIECE_BYTES + 10):
        record = bytes(length)
        pieces = cut_alone(record)
        further, first = read_alone(pieces[0])
        assert further == len(pieces) - 1
        assert b"".join((first, *pieces[1:])) == record
        assert all(len(piece) == PIECE_BYTES for piece in pieces[:-1])
        assert 0 < len(pieces[-1]) <= PIECE_BYTES


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("size", [0, 1, 300, 2_010, 2_020, 5_000, 70_000, 3_000_000, 9_000_000])
def test_an_object_alone_round_trips(kind: Kind, size: int) -> None:
    data = random.Random(size).randbytes(size)
    oid = object_id(kind, data)
    pieces = cut_alone(pack(oid, kind, size, codecs.encode(data)))
    assert all(pieces)
    further, record = read_alone(pieces[0])
    assert further == len(pieces) - 1
    payload = unpack(7, b"".join((record, *pieces[1:])))
    assert (payload.number, payload.kind, payload.size) == (7, kind, size)
    assert payload.id == (oid if kind is Kind.COMMIT else oid[:SHORT_BYTES])
    assert (payload.base, payload.position) == (None, 0)
    assert decode_chain([payload]) == [data]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_delta_names_its_base(kind: Kind) -> None:
    base, data = TEXT[:9_000], TEXT[:4_000] + b"!" + TEXT[4_000:9_000]
    named = OID if kind is Kind.COMMIT else b""
    delta = codecs.encode_delta(data, base, named)
    assert delta is not None
    payload = unpack(1_000, pack(OID, kind, len(data), delta, 900, 17))
    assert (payload.base, payload.position) == (100, 17)
    whole = unpack(100, pack(OID, kind, len(base), codecs.encode(base)))
    assert decode_chain([whole, payload]) == [base, data]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x10",
        b"\x10" + b"i" * 6,
        b"\x10" + b"i" * 7,
        b"\x10" + b"i" * 7 + b"\x80",
        b"\x50" + b"i" * 7 + b"\x01",
        b"\x40" + b"i" * 31,
        b"\x13" + b"i" * 7 + b"\x05\0\1",
        b"\x13" + b"i" * 7 + b"\x05\x08\1",
    ],
)
def test_damaged_headers_are_errors(data: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack(8, data)


def test_bundles() -> None:
    records = [b"x" * number for number in (5, 0, 1, 300, 7)]
    bundle = join_bundle(records)
    assert split_bundle(bundle) == records
    assert [record_in(bundle, index) for index in range(5)] == records
    assert len(bundle) == 1 + 5 * 2 + 313


def test_a_full_bundle_shares_a_page() -> None:
    full = join_bundle([b"x" * (BUNDLE_BYTES - 2 * END_BYTES), b""])
    assert len(full) == INLINE_BYTES


def test_a_damaged_bundle_is_an_error() -> None:
    with pytest.raises(DecodeError):
        split_bundle(b"\x09\1")


def test_a_record_keeps_codec_and_kind_in_a_byte() -> None:
    record = pack(OID, Kind.TREE, 5, Encoded(Codec.SPLICE_ZSTD, b"body"), 1, 2)
    assert record[0] == 0x35
    payload = unpack(2, record)
    assert (payload.codec, payload.kind, payload.body) == (Codec.SPLICE_ZSTD, Kind.TREE, b"body")
