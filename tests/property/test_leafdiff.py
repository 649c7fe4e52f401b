"""Differences between two leaves, against dictionaries."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliosfs.objects.ids import OID_BYTES, Oid
from heliosfs.objects.leafdiff import changed_names
from heliosfs.objects.tree import (
    Entry,
    decode_index,
    encode_entry,
    encode_index,
    join_leaf,
    join_leaves,
    split_leaf,
)

UNREADABLE = (ValueError, IndexError, struct.error)
NAMES = st.one_of(
    st.integers(0, 200).map(lambda number: b"%d" % number), st.binary(min_size=1, max_size=255)
)
ENTRIES = st.builds(
    Entry,
    st.just(b""),
    st.sampled_from([0o100644, 0o40755]),
    st.integers(0, 1),
    st.just(0),
    st.integers(0, 2),
    st.just(0),
    st.sampled_from([Oid(bytes(OID_BYTES)), Oid(b"x" * OID_BYTES)]),
    st.sampled_from([0, 0, 0, 7]),
    st.sampled_from([b"", b"", b"target"]),
    st.sampled_from([0, 0, 0, 5]),
    st.sampled_from([None, None, {b"user.a": b"b"}]),
)
LEAVES = st.dictionaries(NAMES, ENTRIES, max_size=60)


def encoded(leaf: dict[bytes, Entry]) -> dict[bytes, bytes]:
    return {name: encode_entry(leaf[name]._replace(name=name)) for name in sorted(leaf)}


@given(LEAVES, LEAVES, LEAVES)
def test_the_changes_are_those_of_two_dictionaries(
    common: dict[bytes, Entry], old: dict[bytes, Entry], new: dict[bytes, Entry]
) -> None:
    before, after = encoded(common | old), encoded(common | new)
    changes = changed_names(join_leaf([*before.values()]), join_leaf([*after.values()]))
    assert changes == {
        name: (before.get(name), after.get(name))
        for name in before | after
        if before.get(name) != after.get(name)
    }


@given(LEAVES, st.data())
def test_a_cut_off_leaf_is_refused_or_compared_as_far_as_it_differs(
    leaf: dict[bytes, Entry], data: st.DataObject
) -> None:
    whole = join_leaf([*encoded(leaf).values()])
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        split_leaf(part)
    except UNREADABLE:
        with pytest.raises(UNREADABLE):
            changed_names(whole, part)


def test_leaves_are_joined_and_an_index_is_no_leaf() -> None:
    one, two = encode_entry(_entry(b"a")), encode_entry(_entry(b"b"))
    assert join_leaves([join_leaf([one]), join_leaf([two])]) == join_leaf([one, two])
    assert join_leaves([]) == join_leaf([])
    index = encode_index([])
    assert decode_index(index) == []
    with pytest.raises(ValueError, match="not a leaf"):
        join_leaves([index, join_leaf([one])])
    with pytest.raises(ValueError, match="not a leaf"):
        changed_names(join_leaf([one]), index)


def _entry(name: bytes) -> Entry:
    return Entry(name, 0o100644, 0, 0, 0, 0, Oid(bytes(OID_BYTES)))
