"""Outlines of trees: the references of a version are those of the one before and what is new."""

from __future__ import annotations

import random
import stat

import pytest

from heliosfs.objects.commit import (
    Commit,
    Signature,
    commit_heading,
    commit_links,
    decode_commit,
    encode_commit,
)
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.objects.outline import (
    EMPTY_TREE_ID,
    Outline,
    links_in,
    outline,
    outline_after,
    references_in,
)
from heliosfs.objects.references import references
from heliosfs.objects.tree import Entry, LeafRef, encode_entry, encode_index, join_leaf
from heliosfs.store.encoding.codecs import decode_splice, encode_delta

KINDS = (stat.S_IFREG, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO)


def entry(dice: random.Random, name: bytes) -> bytes:
    kind = dice.choice(KINDS)
    oid = Oid(bytes([dice.randrange(3)]) * 32) if dice.random() < 0.3 else Oid(dice.randbytes(32))
    if dice.random() < 0.1:
        oid = Oid(EMPTY_TREE_ID)
    target = dice.randbytes(dice.randrange(1, 90)) if kind == stat.S_IFLNK else b""
    # An attribute may hold what looks like an entry: only the ends tell what begins where.
    inner = encode_entry(Entry(b"in", stat.S_IFREG | 0o644, 0, 0, 0, 9, oid))
    xattrs = {b"user.a": inner * dice.randrange(1, 3)} if dice.random() < 0.2 else None
    size = dice.choice((0, 5, 1 << 20))
    return encode_entry(Entry(name, kind | 0o644, 0, 0, 7, size, oid, 0, target, 0, xattrs))


def leaf(entries: dict[bytes, bytes]) -> bytes:
    return join_leaf(entries[name] for name in sorted(entries))


def edited(dice: random.Random, entries: dict[bytes, bytes]) -> dict[bytes, bytes]:
    changed = dict(entries)
    for _ in range(dice.randrange(1, 4)):
        name = b"%02d" % dice.randrange(40)
        if dice.random() < 0.3:
            changed.pop(name, None)
        else:
            changed[name] = entry(dice, name)
    return changed


@pytest.mark.parametrize("seed", range(300))
def test_each_version_adds_what_it_does_not_share(seed: int) -> None:
    dice = random.Random(seed)
    entries = {b"%02d" % each: entry(dice, b"%02d" % each) for each in range(dice.randrange(30))}
    before = leaf(entries)
    known = outline(before)
    seen = {*references_in(before, known)}
    links = {*links_in(before, known)}
    for _ in range(12):
        entries = edited(dice, entries)
        data = leaf(entries)
        delta = encode_delta(data, before)
        if delta is not None:
            _, head, tail = decode_splice(delta.codec, delta.body, 0, len(data), before)
            found = outline_after(known.ends, data, len(before), head, tail)
            assert found.ends == outline(data).ends
            added = set(references_in(data, found))
            # Whatever it refers to is known, or among what is looked at.
            assert set(references_in(data, outline(data))) <= seen | added
            links |= {*links_in(data, found)}
            assert set(links_in(data, outline(data))) <= links
            seen |= added
            before, known = data, found


def test_one_change_is_one_entry() -> None:
    dice = random.Random(1)
    entries = {b"%02d" % each: entry(dice, b"%02d" % each) for each in range(30)}
    before = leaf(entries)
    entries[b"15"] = encode_entry(
        Entry(b"15", stat.S_IFREG | 0o644, 0, 0, 0, 9, Oid(dice.randbytes(32)))
    )
    data = leaf(entries)
    delta = encode_delta(data, before)
    assert delta is not None
    _, *same = decode_splice(delta.codec, delta.body, 0, len(data), before)
    found = outline_after(outline(before).ends, data, len(before), *same)
    assert found.end - found.begin == 1
    assert len(references_in(data, found)) == 1


def test_an_index_of_leaves() -> None:
    dice = random.Random(2)
    leaves = [LeafRef(b"%03d" % each, Oid(dice.randbytes(32))) for each in range(9)]  # type: ignore[arg-type]
    before = encode_index(leaves)
    leaves[4] = leaves[4]._replace(oid=Oid(dice.randbytes(32)))  # type: ignore[arg-type]
    data = encode_index(leaves)
    assert references(Kind.TREE, data) == [(Kind.TREE, each.oid) for each in leaves]
    delta = encode_delta(data, before)
    assert delta is not None
    _, *same = decode_splice(delta.codec, delta.body, 0, len(data), before)
    found = outline_after(outline(before).ends, data, len(before), *same)
    assert references_in(data, found) == [(Kind.TREE, leaves[4].oid)]
    assert links_in(data, found) == []


def test_damage_is_told() -> None:
    good = leaf({b"a": encode_entry(Entry(b"a", stat.S_IFREG, 0, 0, 0, 1, Oid(bytes(32))))})
    for data in (b"\5" + good[1:], good[:-1], good + b"x"):
        with pytest.raises((ValueError, IndexError)):
            outline(data)
    assert outline(leaf({})) == Outline([1], 0, 0)


def test_links_of_a_commit() -> None:
    parents = tuple(CommitId(object_id(Kind.COMMIT, b"%d" % each)) for each in range(3))
    who, then = Signature(b"Ada", b"a@b", 1, 0), Signature(b"Bo", b"", 1 << 40, -60)
    root = Entry(b"", stat.S_IFDIR | 0o755, 1, 2, 3, 4, Oid(b"t" * 32), xattrs={b"user.a": b"x"})
    for count in range(4):
        commit = Commit(root, parents[:count], who, then, b"why\nit is\n\nbody", {"k": "v"}, b"git")
        links = commit_links(encode_commit(commit))
        again = decode_commit(encode_commit(commit))
        assert links == (again.tree, again.parents, again.committer.seconds)
        heading = commit_heading(encode_commit(commit))
        assert heading == (again.parents, b"Ada", again.committer.seconds, again.subject)
    with pytest.raises(ValueError, match="version"):
        commit_links(b"\7" + bytes(99))
