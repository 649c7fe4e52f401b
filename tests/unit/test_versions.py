"""Choice of the version that an object is encoded against, without a store."""

from __future__ import annotations

import random

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.encoding.codecs import Codec, decode, decode_delta
from heliosfs.store.encoding.versions import KNOWN_MAX, PreparedObject, Versions
from heliosfs.store.remembered import TwoGenerationCache


def version(number: int) -> bytes:
    text = random.Random(1).randbytes(3_000).hex().encode()
    return text[: number % 50 * 100] + b"edit %d" % number + text[number % 50 * 100 :]


def chain(versions: Versions, count: int, kind: Kind = Kind.BLOB) -> list[PreparedObject]:
    made: list[PreparedObject] = []
    for number in range(count):
        data = version(number)
        base = made[-1].oid if made else None
        prepared = versions.encode(object_id(kind, data), kind, data, base)
        assert prepared is not None
        made.append(prepared)
    return made


def depth(made: list[PreparedObject], at: int) -> int:
    """Return how many others it takes to decode one; each of them comes before it."""
    place = {each.oid: index for index, each in enumerate(made)}
    steps, index = 0, at
    while (base := made[index].base) is not None:
        assert place[base] < index
        index, steps = place[base], steps + 1
    return steps


def test_no_object_needs_more_than_30_others_and_every_256th_is_whole() -> None:
    made = chain(Versions(1 << 20), 600)
    assert max(depth(made, at) for at in range(len(made))) == 30
    assert [at for at, each in enumerate(made) if each.base is None] == [0, 256, 512]
    assert [each.position for each in made[:256]] == list(range(256))


def test_what_is_encoded_can_be_decoded() -> None:
    made = chain(Versions(1 << 20), 40)
    contents: dict[Oid, bytes] = {}
    for number, each in enumerate(made):
        assert each.encoded is not None
        if each.base is None:
            data = decode(*each.encoded, each.size)
        else:
            data = decode_delta(*each.encoded, each.size, contents[each.base])
        assert data == version(number)
        contents[each.oid] = data


def test_without_the_bytes_of_the_base_the_chain_goes_on() -> None:
    """Somebody else has them: the object is given with its place in the chain."""
    plenty, none = chain(Versions(1 << 20), 100), chain(Versions(0), 100)
    for one, other in zip(plenty, none, strict=True):
        assert (one.base, one.position) == (other.base, other.position)
    assert [each.data for each in none[1:]] == [version(number) for number in range(1, 100)]
    assert all(each.encoded is None for each in none[1:])
    assert none[0].encoded is not None


def test_it_holds_no_more_than_it_may() -> None:
    versions = Versions(50_000)
    chains = [version(number) + b"%d" % number for number in range(100)]
    for data in chains:
        versions.encode(object_id(Kind.BLOB, data), Kind.BLOB, data, None)

    def successor(data: bytes) -> PreparedObject:
        made = versions.encode(
            object_id(Kind.BLOB, data + b"."), Kind.BLOB, data + b".", object_id(Kind.BLOB, data)
        )
        assert made is not None
        return made

    assert successor(chains[-1]).encoded is not None
    assert successor(chains[0]).encoded is None


def test_an_object_that_is_known_is_not_encoded_again() -> None:
    versions = Versions(1 << 20)
    made = chain(versions, 3)
    for number, each in enumerate(made):
        assert versions.encode(each.oid, each.kind, version(number), None) is None


def test_a_base_that_is_not_known_is_none() -> None:
    data = version(1)
    elsewhere = object_id(Kind.BLOB, b"elsewhere")
    made = Versions(1 << 20).encode(object_id(Kind.BLOB, data), Kind.BLOB, data, elsewhere)
    assert made is not None
    assert made.base is None
    assert made.position == 0


def test_what_has_nothing_in_common_begins_a_chain() -> None:
    versions = Versions(1 << 20)
    one, other = random.Random(2).randbytes(5_000), random.Random(3).randbytes(5_000)
    first = versions.encode(object_id(Kind.BLOB, one), Kind.BLOB, one, None)
    assert first is not None
    second = versions.encode(object_id(Kind.BLOB, other), Kind.BLOB, other, first.oid)
    assert second is not None
    assert second.base is None
    assert second.encoded == (Codec.RAW, other)
    third = versions.encode(object_id(Kind.BLOB, other + b"."), Kind.BLOB, other + b".", second.oid)
    assert third is not None
    assert (third.base, third.position) == (second.oid, 1)


def test_a_commit_stays_for_its_other_children() -> None:
    versions = Versions(1 << 20)
    root = chain(versions, 2, Kind.COMMIT)[1]
    for number in range(5, 9):
        data = version(number)
        child = versions.encode(object_id(Kind.COMMIT, data), Kind.COMMIT, data, root.oid)
        assert child is not None
        assert child.base == root.oid
        assert child.encoded is not None


def test_numbers_of_the_objects_that_were_written_last() -> None:
    numbers: TwoGenerationCache[int] = TwoGenerationCache(KNOWN_MAX)
    oids = [object_id(Kind.BLOB, b"%d" % number) for number in range(120_000)]
    for at in range(0, len(oids), 10_000):
        numbers.put_all((oid, at + 1 + index) for index, oid in enumerate(oids[at : at + 10_000]))
    assert numbers.get(oids[-1]) == 120_000
    assert numbers.get(oids[70_000]) == 70_001
    assert numbers.get(oids[0]) is None
