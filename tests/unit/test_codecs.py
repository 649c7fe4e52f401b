"""The codecs."""

from __future__ import annotations

import hashlib
import os
import random

import pytest

from heliosfs.objects.ids import Kind
from heliosfs.store.encoding import codecs
from heliosfs.store.encoding.codecs import Codec, DecodeError

TEXT = b"".join(b"line %d of a text that repeats itself\n" % number for number in range(3_000))


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b"", Codec.RAW),
        (b"short", Codec.RAW),
        (TEXT[:10_000], Codec.LZ4),
        (bytes(1 << 20), Codec.LZ4),
        (os.urandom(8_000).hex().encode(), Codec.ZSTD),
        (os.urandom(100), Codec.RAW),
        (os.urandom(20_000), Codec.RAW),
    ],
    ids=["empty", "tiny", "text", "zeros", "hex", "random-100", "random"],
)
def test_encode_picks_what_pays(data: bytes, codec: Codec) -> None:
    encoded = codecs.encode(data)
    assert encoded.codec is codec
    assert len(encoded.body) <= len(data)
    assert codecs.decode(*encoded, len(data)) == data


def edits(base: bytes) -> dict[str, bytes]:
    middle = len(base) // 2
    return {
        "same": base,
        "replaced": base[:middle] + b"REPLACED" + base[middle + 8 :],
        "inserted": base[:middle] + b"a new line of some forty bytes or more\n" + base[middle:],
        "deleted": base[:middle] + base[middle + 500 :],
        "prepended": b"first\n" + base,
        "appended": base + b"last\n" * 40,
        "cut": base[:middle],
        "two places": b"A" + base[1:middle] + b"B" * 70 + base[middle:-1] + b"C",
        "moved": base[middle:] + base[:middle],
        "empty": b"",
        "repeated": base + base,
    }


@pytest.mark.parametrize("size", [0, 1, 7, 100, 11_000, 61_000, 110_000])
def test_deltas_round_trip(size: int) -> None:
    base = TEXT[:size]
    for name, data in edits(base).items():
        delta = codecs.encode_delta(data, base)
        if delta is not None:
            assert codecs.decode_delta(*delta, len(data), base) == data, name


@pytest.mark.parametrize("size", [11_000, 110_000, 900_000])
def test_a_small_edit_is_a_small_delta(size: int) -> None:
    base = random.Random(5).randbytes(size)
    for name in ("same", "replaced", "inserted", "deleted", "prepended", "appended", "moved"):
        data = edits(base)[name]
        delta = codecs.encode_delta(data, base)
        assert delta is not None
        assert len(delta.body) < 1_000, name
        assert codecs.decode_delta(*delta, len(data), base) == data


def test_what_a_delta_names_beside_its_base_is_shared() -> None:
    named = os.urandom(32)
    base, data = os.urandom(300), os.urandom(100) + named + os.urandom(40)
    delta = codecs.encode_delta(data, base, named)
    assert delta is not None
    assert delta.codec is Codec.SPLICE_LZ4
    assert len(delta.body) < len(data) - 20
    assert codecs.decode_delta(*delta, len(data), base, named) == data


def test_a_delta_against_something_else_gains_nothing() -> None:
    data, base = os.urandom(5_000), os.urandom(5_000)
    delta = codecs.encode_delta(data, base)
    assert delta is not None
    assert delta.codec is Codec.SPLICE
    assert len(delta.body) >= 4_990


@pytest.mark.parametrize(
    ("a", "b", "prefix", "suffix"),
    [
        (b"", b"", 0, 0),
        (b"abc", b"abc", 3, 0),
        (b"abc", b"abd", 2, 0),
        (b"abc", b"xbc", 0, 2),
        (b"aa", b"aaa", 2, 0),
        (b"abab", b"abXab", 2, 2),
        (b"x", b"y", 0, 0),
    ],
)
def test_common_prefix_and_suffix(a: bytes, b: bytes, prefix: int, suffix: int) -> None:
    assert codecs.common_prefix(a, b) == prefix
    assert codecs.common_suffix(a, b, min(len(a), len(b)) - prefix) == suffix


@pytest.mark.parametrize("codec", [Codec.LZ4, Codec.ZSTD, Codec.RAW, 99, Codec.SPLICE])
def test_damaged_bodies_are_errors(codec: int) -> None:
    for body in (b"", b"\xff" * 30, os.urandom(200), TEXT[:200]):
        with pytest.raises(DecodeError):
            codecs.decode(codec, body, 5_000)


@pytest.mark.parametrize("codec", [Codec.SPLICE, Codec.SPLICE_LZ4, Codec.SPLICE_ZSTD, 99])
def test_damaged_deltas_are_errors(codec: int) -> None:
    for body in (b"", b"\x80", b"\xff" * 30, b"\x01\x01" + os.urandom(90), codecs.varint(9_000)):
        with pytest.raises(DecodeError):
            codecs.decode_delta(codec, body, 5_000, TEXT[:5_000])


def test_a_damaged_length_takes_no_memory() -> None:
    huge = 1 << 50
    with pytest.raises(DecodeError):
        codecs.decode(Codec.LZ4, b"\x1f" * 100, huge)
    encoded = codecs.encode(TEXT)
    with pytest.raises(DecodeError):
        codecs.decode(encoded.codec, encoded.body, huge)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 1 << 32, 1 << 60])
def test_varints(number: int) -> None:
    data = b"x" + codecs.varint(number) + b"y"
    assert codecs.read_varint(data, 1) == (number, len(data) - 1)


def test_only_the_delta_of_a_commit_refers_to_the_id_of_its_base() -> None:
    base = bytes(range(32))
    commit, tree = (codecs.named_id(kind, base) for kind in (Kind.COMMIT, Kind.TREE))
    other = b"".join(hashlib.sha256(bytes((each,))).digest() for each in range(8))
    old, new = b"x" * 200 + bytes(64), b"x" * 200 + base + other + bytes(64)
    named, plain = (codecs.encode_delta(new, old, each) for each in (commit, tree))
    assert named is not None and plain is not None
    assert len(named.body) < len(plain.body)
    assert codecs.decode_delta(*named, len(new), old, commit) == new
