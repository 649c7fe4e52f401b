"""A remote into which somebody writes who means harm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from heliosfs.errors import CorruptObject, HeliosError, NotFound, UsageError
from heliosfs.git.encode import GitEncoder
from heliosfs.objects.blob import PART_BYTES, encode_parts
from heliosfs.objects.commit import Commit, Signature, encode_commit
from heliosfs.objects.ids import BlobId, CommitId, Kind, Oid, object_id
from heliosfs.objects.tree import Entry, encode_entry, join_leaf
from heliosfs.remote import frames, packfile, treesfile
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.buckets.object_keys import is_key
from heliosfs.remote.buckets.opening import open_bucket
from heliosfs.remote.buckets.shared_directory import DirectoryBucket
from heliosfs.remote.fetch import fetch
from heliosfs.remote.frames import objects_of, read_frame
from heliosfs.remote.layout import RefRecord, decode_ref, ref_key, ref_of
from heliosfs.remote.packfile import PackName, RemoteObject, read_pack
from heliosfs.remote.push import delete
from heliosfs.remote.treesfile import PushedTrees, plain_objects, read_trees
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import Progress, Steps, Turn, perform, run_to_end
from heliosfs.store.encoding.codecs import encode
from heliosfs.trees.files import read_file
from heliosfs.workspace.nodes import FileNode
from tests.remote.machines import Machine, forged_bucket

SOME = CommitId(Oid(b"\xab" * 32))
RECORD = RefRecord(SOME, SOME, 1, "Eve <eve@example.org>", 0)


def _changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(RECORD.encode()) | fields).encode()


@pytest.mark.parametrize(
    "data",
    [
        _changed(commit="ab" * 31 + "  "),
        _changed(trees=" " * 62 + "ab"),
        _changed(commit="AB" * 32),
        _changed(commit=7),
        _changed(generation=-1),
        _changed(generation=1.0),
        _changed(generation=True),
        _changed(generation=2**63),
        _changed(at=float("nan")),
        _changed(at="0"),
        _changed(by="Eve\x1b[2J"),
        _changed(by="Eve\nfrom elsewhere"),
        _changed(by="Eve\u202e"),
        _changed(by="Eve\x9b1m"),
        _changed(by="e" * 2_000),
        _changed(note="not base64"),
        _changed(note=""),
        _changed(note=[]),
        b"[" * 100_000,
        b'{"generation": ' + b"9" * 10_000 + b"}",
        b'{"\xff": 1}',
        b"[]",
        b"",
    ],
)
def test_a_record_that_nobody_wrote_here(data: bytes) -> None:
    with pytest.raises(CorruptObject, match="cannot be read") as found:
        decode_ref("main", data)
    assert str(found.value).isprintable()


def test_a_count_at_its_end_stays_readable() -> None:
    last = decode_ref("main", _changed(generation=2**63 - 1))
    after = last._replace(generation=last.generation + 1)
    assert decode_ref("main", after.encode()).generation == last.generation


@pytest.mark.parametrize(
    "key",
    [
        "refs/heads/",
        "refs/heads/%2E%2E",
        "refs/heads/..",
        "refs/heads/HEAD",
        "refs/heads/%00",
        "refs/heads/%1B%5B2J",
        "refs/heads/a%0Ab",
        "refs/heads/a%20b",
        "refs/heads/-x",
        "refs/heads/a%2F%2Fb",
        "refs/heads/a%2F..%2Fb",
        "refs/heads/%61",
        "refs/heads/a/b",
        "refs/heads/" + "n" * 256,
        "refs/heads/" + "0" * 64,
        "refs/main",
        "refs/notes/main",
        "refs/" + "k" * 600 + "/main",
        "other/heads/main",
    ],
)
def test_refs_that_no_push_makes_are_passed_over(key: str) -> None:
    assert ref_of(key) is None
    bucket = MemoryBucket()
    pusher = Machine(bucket)
    pusher.commit("first", a=b"1")
    pusher.push()
    sound = bucket.get(ref_key(HEADS, "main")).data
    if is_key(key):
        bucket.create(key, sound)
    reader = Machine(bucket)
    reader.fetch()
    assert list(reader.tracked) == [(HEADS, "main")]


def test_names_are_shown_as_they_are_and_not_obeyed() -> None:
    """Replies are made visible; in a ref, what git allows is data, whatever a terminal does."""
    name = "a\u202eb\x9b1m"
    assert ref_of(ref_key(HEADS, name)) == (HEADS, name)


def _head(*entries: Entry) -> tuple[list[RemoteObject], CommitId]:
    data = join_leaf(map(encode_entry, entries))
    tree = RemoteObject(Kind.TREE, object_id(Kind.TREE, data), data)
    root = Entry(b"", 0o40755, 0, 0, 0, 0, tree.oid)
    who = Signature(b"Eve", b"eve@example.org", 0, 0)
    said = encode_commit(Commit(root, (), who, who, b"hello"))
    commit = RemoteObject(Kind.COMMIT, object_id(Kind.COMMIT, said), said)
    return [tree, commit], CommitId(commit.oid)


def _link(target: bytes) -> Entry:
    return Entry(b"a", 0o120777, 0, 0, 0, 0, Oid(bytes(32)), target=target)


def _file(xattrs: dict[bytes, bytes]) -> Entry:
    return Entry(b"a", 0o104755, 0, 0, 0, 0, Oid(bytes(32)), xattrs=xattrs)


@pytest.mark.parametrize(
    ("entry", "is_taken"),
    [
        (_link(b"../../elsewhere"), True),
        (_link(b"a" * 4_095), True),
        (_link(b"a" * 4_096), False),
        (_link(b"a\0b"), False),
        (_file({b"user.note": b"x"}), True),
        (_file({b"security.capability": b"x"}), False),
        (_file({b"trusted.x": b"x", b"user.note": b"x"}), False),
        (_file({b"user.a\0b": b"x"}), False),
    ],
)
def test_links_and_attributes_are_those_of_a_workspace(entry: Entry, is_taken: bool) -> None:
    reader = Machine(forged_bucket(*_head(entry)))
    if is_taken:
        reader.fetch()
        reader.check()
        return
    with pytest.raises(HeliosError, match="nothing was changed"):
        reader.fetch()
    assert reader.tracked == {}


def test_an_object_of_another_kind_stands_for_nothing() -> None:
    (tree, commit), head = _head(_file({}))
    record = RefRecord(CommitId(tree.oid), head, 1, "Eve", 0)
    bucket = forged_bucket([tree, commit], head)
    bucket.create(ref_key(HEADS, "tree"), record.encode())
    reader = Machine(bucket)
    assert [each.name for each in reader.fetch().damaged] == ["tree"]
    assert list(reader.tracked) == [(HEADS, "main")]


def test_a_large_file_that_is_larger_than_its_entry_takes_no_memory() -> None:
    data = encode_parts(2**45, {})
    parts = RemoteObject(Kind.PARTS, object_id(Kind.PARTS, data), data)
    entry = _file({})._replace(size=2 * 1024 * 1024, oid=parts.oid)
    objects, head = _head(entry)
    reader = Machine(forged_bucket([*objects, parts], head))
    reader.fetch()
    with pytest.raises(CorruptObject, match="not of 2097152"):
        read_file(reader.store, entry)


@pytest.mark.parametrize("size", [1, 4, 6, 1024 * 1024])
def test_a_file_of_another_size_than_its_entry_is_not_read(size: int) -> None:
    data = b"hello"
    content = RemoteObject(Kind.BLOB, object_id(Kind.BLOB, data), data)
    entry = _file({})._replace(size=size, oid=content.oid)
    objects, head = _head(entry)
    reader = Machine(forged_bucket([*objects, content], head))
    reader.fetch()
    with pytest.raises(CorruptObject, match=f"has 5 bytes, not {size}"):
        read_file(reader.store, entry)
    reader.run("reset", "--hard", "origin/main")
    node = reader.files.node(b"a")
    assert isinstance(node, FileNode)
    with pytest.raises(CorruptObject, match=f"has 5 bytes, not {size}"):
        reader.repository.working_set.load(node)


@pytest.mark.parametrize("length", [0, 1, PART_BYTES - 1, PART_BYTES + 1])
@pytest.mark.parametrize("number", [0, 3, 16])
def test_a_part_of_another_size_than_its_place_is_not_read(length: int, number: int) -> None:
    """No zeros are read in its place: not in the mount, by a verb, or in a clone of git's."""
    size = 16 * PART_BYTES + 1_000
    own = PART_BYTES if number < 16 else 1_000
    good, last, bad = (_blob(bytes([at]) * many) for at, many in _lengths(length))
    ids = dict.fromkeys(range(16), BlobId(good.oid)) | {16: BlobId(last.oid)}
    ids[number] = BlobId(bad.oid)
    data = encode_parts(size, ids)
    parts = RemoteObject(Kind.PARTS, object_id(Kind.PARTS, data), data)
    entry = _file({})._replace(size=size, oid=parts.oid)
    objects, head = _head(entry)
    reader = Machine(forged_bucket([*objects, parts, good, last, bad], head))
    reader.fetch()
    said = f"has {length} bytes, not {own}"
    with pytest.raises(CorruptObject, match=said):
        read_file(reader.store, entry)
    encoder = GitEncoder(reader.store, "sha1", lambda _: False, None)
    with pytest.raises(CorruptObject, match=said):
        run_to_end(encoder.file(entry.oid, size), reader.store)
    reader.run("reset", "--hard", "origin/main")
    node = reader.files.node(b"a")
    assert isinstance(node, FileNode)
    contents, at = reader.repository.working_set, number * PART_BYTES
    for _ in range(2):
        with pytest.raises(CorruptObject, match=said):
            contents.read(node, at, 4_096)
    # The others are there; and what replaces the whole part makes the file whole.
    beside = 5 * PART_BYTES
    assert contents.read(node, beside, 10) == good.data[:10]
    contents.write(node, at + 1, b"within")
    with pytest.raises(CorruptObject, match=said):
        contents.read(node, at, 4_096)
    contents.write(node, at, b"\7" * own)
    assert contents.read(node, at, own) == b"\7" * own
    node.touch()
    reader.run("commit", "-q", "-m", "whole")
    assert len(reader.run("show", "HEAD:a")) == size


def _lengths(length: int) -> list[tuple[int, int]]:
    return [(1, PART_BYTES), (2, 1_000), (3, length)]


def _blob(data: bytes) -> RemoteObject:
    return RemoteObject(Kind.BLOB, object_id(Kind.BLOB, data), data)


def _framed(body: bytes, size: int) -> PushedTrees:
    codec, packed = encode(body, prefer_zstd=True)
    frame = frames._FRAME.pack(codec, size, len(packed)) + packed
    data = treesfile.HEAD + treesfile._COUNTS.pack(0, 0, 0) + frame
    return read_trees("trees/x", data + blake3(data).digest())


def test_a_small_frame_with_many_objects_takes_no_memory() -> None:
    body = frames._RECORD.pack(Kind.TREE, 0) * 1_000_000
    trees = _framed(body, len(body))
    assert len(trees.data) < 10_000
    frame, end = read_frame("trees/x", trees.data, trees.frames_at)
    found = objects_of("trees/x", frame)
    # Not a list: each object is made when it is asked for.
    assert iter(found) is found
    assert next(found).data == b""
    assert end == len(trees.data)


@pytest.mark.parametrize(
    "body",
    [
        b"\1",
        frames._RECORD.pack(Kind.TREE, 1),
        frames._RECORD.pack(Kind.TREE, 2**32 - 1),
        frames._RECORD.pack(200, 0),
    ],
)
def test_a_frame_of_no_objects(body: bytes) -> None:
    trees = _framed(body, len(body))
    with pytest.raises(CorruptObject, match="no objects"):
        list(plain_objects(trees))


@pytest.mark.parametrize("size", [1, 99_999, 100_001, 2**31])
def test_a_frame_that_is_larger_than_it_says(size: int) -> None:
    trees = _framed(bytes(100_000), size)
    with pytest.raises(CorruptObject):
        list(plain_objects(trees))


def test_bodies_in_a_pack_do_not_overlap() -> None:
    body = b"the same bytes"
    oid, at = object_id(Kind.BLOB, body), len(packfile.HEAD)
    row = packfile._ROW.pack(oid, Kind.BLOB, 0, len(body), len(body), at)
    for count in (1, 2):
        foot = packfile._FOOT.pack(at + len(body), count, packfile._FOOT_MARK)
        data = packfile.HEAD + body + row * count + foot
        found = read_pack(PackName(blake3(data).digest(), len(data)), data)
        assert next(found).data == body
        if count == 2:
            with pytest.raises(CorruptObject, match="impossible"):
                next(found)


@pytest.mark.parametrize(
    "url",
    [
        "file://[",
        "file://user:hunter2\u2100@host/x",
        "s3://user:hunter2\u2100/x",
        "file:///a\nb",
        "file:///a\x1b[2J",
        "file:///a\x9b1m",
        " file:///a",
        "file:///a ",
        "file:a",
        "file:///a%00b",
        "ext::sh -c true",
        "--upload-pack=true",
        "",
    ],
)
def test_a_url_that_is_none_is_refused_in_words(url: str) -> None:
    with pytest.raises(UsageError) as found:
        open_bucket(url)
    assert "hunter2" not in str(found.value)


def test_a_url_names_bytes(tmp_path: Path) -> None:
    bucket = open_bucket(f"file://{tmp_path}/%E9", make=True)
    assert isinstance(bucket, DirectoryBucket)
    assert (tmp_path / "\udce9").is_dir()


def test_directories_that_no_key_has_are_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = DirectoryBucket(str(tmp_path / "bucket"))
    bucket.make()
    bucket.create("refs/heads/main", b"1")
    names = [".m"] * 5 + ["x"], [".d", "x"], [*["d" * 200 + ".d"] * 6, "x"], ["\x1b.d", "x"]
    for each in names:
        place = Path(bucket.path, "refs.d", *each)
        place.parent.mkdir(parents=True)
        place.touch()
    entered = []
    listdir = os.listdir

    def counted(fd: int) -> list[str]:
        entered.append(os.readlink(f"/proc/self/fd/{fd}"))
        return listdir(fd)

    monkeypatch.setattr(os, "listdir", counted)
    assert [each.key for each in bucket.list("")] == ["refs/heads/main"]
    deepest = ["d" * 200 + ".d"] * 4
    assert [os.path.relpath(each, bucket.path) for each in entered] == [
        ".",
        "refs.d",
        *(os.path.join("refs.d", *deepest[:depth]) for depth in range(1, 5)),
        "refs.d/heads.d",
    ]


class _Removing:
    """A run of steps in which the remote is removed meanwhile, and perhaps added anew."""

    def __init__(self, machine: Machine, url: str | None) -> None:
        self._machine, self._url = machine, url

    def run(self, steps: Steps[Any]) -> None:
        is_done = False
        while True:
            try:
                step = next(steps)
            except StopIteration:
                return
            if not is_done:
                is_done = True
                self._replace()
            if not isinstance(step, Turn | Progress):
                perform(step)

    def _replace(self) -> None:
        repository = self._machine.repository
        with repository.transaction:
            repository.remotes.remove("origin", 0)
            if self._url is not None:
                repository.remotes.add("origin", self._url)


@pytest.mark.parametrize("url", [None, "memory:another"])
def test_what_was_seen_is_not_taken_for_another_remote(url: str | None) -> None:
    """Or else a push would count on objects that the new storage never had."""
    bucket = MemoryBucket()
    pusher = Machine(bucket)
    pusher.commit("first", a=b"1")
    pusher.push()
    reader = Machine(bucket)
    with pytest.raises(NotFound):
        _Removing(reader, url).run(fetch(reader.repository, bucket, "origin"))
    assert reader.tracked == {}
    pusher.commit("second", a=b"2")
    with pytest.raises(NotFound):
        _Removing(pusher, url).run(pusher.pushing())
    assert pusher.tracked == {}


def test_a_deletion_is_not_taken_for_one_at_another_remote() -> None:
    bucket = MemoryBucket()
    pusher = Machine(bucket)
    pusher.commit("first", a=b"1")
    pusher.push()
    steps = delete(pusher.repository, bucket, "origin", "main")
    with pytest.raises(NotFound, match="another URL"):
        _Removing(pusher, "memory:another").run(steps)
