"""Preparation of git's output by the program beside an import; no git is run."""

from __future__ import annotations

import io
import marshal
import random
import subprocess

import pytest

from heliosfs.git import prepare
from heliosfs.git.prepare import Plain, Preparer, prepared_of
from heliosfs.git.stream import PART, CutShort, MissingInGit, ObjectStream
from heliosfs.isolated import command
from heliosfs.objects.blob import EMPTY_BLOB, PART_BYTES, WHOLE_MAX, ZERO_PART, decode_parts
from heliosfs.objects.commit import Commit, Signature, encode_commit, join_commit
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.objects.tree import NO_OID, Entry
from heliosfs.store.encoding.blocks import decode_encoded
from heliosfs.store.encoding.codecs import decode_delta

COMMIT = (
    b"tree " + b"1" * 40 + b"\nparent " + b"2" * 40 + b"\n"
    b"author Ada <a@b> 1600000000 +0230\ncommitter Bo <b@c> 1600000001 -0100\n\nmessage\n"
)


def printed(*objects: tuple[bytes, bytes, bytes]) -> bytes:
    """Return what `git cat-file` prints: kind, path and bytes; the id is the object's number."""
    parts = []
    for number, (kind, path, data) in enumerate(objects):
        parts.append(b"%040x %s %d %s\n%s\n" % (number, kind, len(data), path, data))
    return b"".join(parts)


def stream(data: bytes, buffer_bytes: int = 64) -> ObjectStream:
    return ObjectStream(io.BufferedReader(io.BytesIO(data), buffer_bytes))


def test_objects_come_as_git_prints_them() -> None:
    data = printed(
        (b"blob", b"a b/c", b"one\n\nline"), (b"tree", b"", b"\0\n\xff"), (b"blob", b"x", b"")
    )
    source = stream(data)
    first = source.read(1)
    assert [tuple(each) for each in first] == [(b"blob", bytes(20), b"a b/c", b"one\n\nline", 9)]
    rest = source.read(1 << 20)
    assert [(each.kind, each.path, each.data) for each in rest] == [
        (b"tree", b"", b"\0\n\xff"),
        (b"blob", b"x", b""),
    ]
    assert source.read(1 << 20) == []


def test_an_object_that_git_lacks() -> None:
    with pytest.raises(MissingInGit, match=r"^0123$"):
        stream(b"0123 missing\n").read(1 << 20)


@pytest.mark.parametrize("size", [10, WHOLE_MAX + PART_BYTES + 10])
def test_a_stream_that_ends_within_an_object(size: int) -> None:
    data = printed((b"blob", b"a", bytes(size)))
    for cut in (1, 5, size // 2):
        source = stream(data[:-cut])
        with pytest.raises(CutShort):
            while source.read(1 << 20):
                pass


def test_versions_of_a_file_are_encoded_against_each_other() -> None:
    text = random.Random(1).randbytes(4_000).hex().encode()
    contents = [text[:at] + b"edit %d" % at + text[at:] for at in range(0, 2_000, 100)]
    source = stream(printed(*((b"blob", b"path", data) for data in contents)))
    rows, files, others = Preparer().portion(source.read(1 << 20))
    assert others == []
    known: dict[Oid, bytes] = {}
    for row, file, data in zip(rows, files, contents, strict=True):
        prepared = prepared_of(marshal.loads(marshal.dumps(row)))
        oid = object_id(Kind.BLOB, data)
        assert file == (file[0], int(Kind.BLOB), oid, len(data))
        assert prepared.oid == oid
        assert prepared.kind is Kind.BLOB
        assert prepared.encoded is not None
        if prepared.base is None:
            known[oid] = decode_encoded(prepared.encoded, prepared.size)
        else:
            known[oid] = decode_delta(*prepared.encoded, prepared.size, known[prepared.base])
        assert known[oid] == data
    assert sum(len(row[-1]) for row in rows[1:]) < len(text)


def test_without_memory_the_bytes_go_on_as_they_are() -> None:
    contents = [b"line\n" * 500 + b"%d" % number for number in range(3)]
    source = stream(printed(*((b"blob", b"path", data) for data in contents)))
    rows, _, _ = Preparer(versions_bytes=0).portion(source.read(1 << 20))
    prepared = [prepared_of(row) for row in rows]
    assert prepared[0].encoded is not None
    assert [each.encoded for each in prepared[1:]] == [None, None]
    assert [each.data for each in prepared[1:]] == contents[1:]
    assert [each.base for each in prepared[1:]] == [each.oid for each in prepared[:-1]]


def test_large_files_come_in_parts_across_portions() -> None:
    dice = random.Random(1)
    data = dice.randbytes(WHOLE_MAX) + bytes(PART_BYTES) + dice.randbytes(1_000)
    source, preparer = stream(printed((b"blob", b"large", data), (b"blob", b"", b""))), Preparer()
    rows, files = [], []
    while objects := source.read(PART_BYTES):
        assert sum(len(each.data) for each in objects) <= PART_BYTES
        assert all(each.kind in (b"blob", PART) for each in objects)
        portion = preparer.portion(objects)
        rows += portion[0]
        files += portion[1]
    assert [(kind, size) for _, kind, _, size in files] == [
        (int(Kind.PARTS), len(data)),
        (int(Kind.BLOB), 0),
    ]
    assert files[1][2] == EMPTY_BLOB
    decoded = {
        each.oid: decode_encoded(each.encoded, each.size)
        for each in map(prepared_of, rows)
        if each.encoded is not None
    }
    assert ZERO_PART not in decoded
    parts = decode_parts(decoded[Oid(files[0][2])])
    whole = b"".join(
        decoded[parts.ids[at]] if at in parts.ids else bytes(PART_BYTES)
        for at in range(-(-len(data) // PART_BYTES))
    )
    assert whole[: len(data)] == data


def test_a_commit_is_complete_but_for_its_ids() -> None:
    source = stream(printed((b"commit", b"", COMMIT)))
    _, _, others = Preparer().portion(source.read(1 << 20))
    git_id, tree, parents, lengths, rest = others[0]  # type: ignore[misc]
    assert git_id == bytes(20)
    assert tree == bytes.fromhex("1" * 40)
    assert parents == [bytes.fromhex("2" * 40)]
    root = Entry(b"", 0o40755, 1, 2, 3, 4, NO_OID)
    ours = [CommitId(object_id(Kind.COMMIT, b"parent"))]
    commit = Commit(
        root,
        tuple(ours),
        Signature(b"Ada", b"a@b", 1_600_000_000, 150),
        Signature(b"Bo", b"b@c", 1_600_000_001, -60),
        b"message\n",
        git=COMMIT,
    )
    assert join_commit(root, ours, lengths, rest) == encode_commit(commit)


def test_a_commit_that_cannot_be_read_says_why() -> None:
    data = b"author nobody\n\nno tree\n"
    source = stream(printed((b"commit", b"", data), (b"tag", b"", b"object 1")))
    _, _, others = Preparer().portion(source.read(1 << 20))
    kinds: list[Plain] = [each for each in others if len(each) == 4]
    assert kinds == [
        (b"commit", bytes(20), b"a commit without a tree", data),
        (b"tag", (1).to_bytes(20, "big"), b"", b"object 1"),
    ]


@pytest.mark.parametrize(
    ("given", "end"),
    [
        (printed((b"blob", b"a", b"text")), (prepare.DONE, "")),
        (printed((b"blob", b"a", b"text")) + b"abc missing\n", (prepare.MISSING, "abc")),
        (printed((b"blob", b"a", b"text"))[:-2], (prepare.CUT_SHORT, "")),
        (b"", (prepare.DONE, "")),
    ],
)
def test_the_program_says_how_it_ended(given: bytes, end: tuple[int, str]) -> None:
    done = subprocess.run(
        command(prepare.__name__, "1000"), input=given, capture_output=True, check=True
    )
    portions, at = [], 0
    while at < len(done.stdout):
        (length,) = prepare.LENGTH.unpack_from(done.stdout, at)
        at += prepare.LENGTH.size
        portions.append(marshal.loads(done.stdout[at : at + length]))
        at += length
    assert portions[-1] == end
    assert sum(len(portion[1]) for portion in portions[:-1]) == (
        end[0] == prepare.DONE and bool(given)
    )
