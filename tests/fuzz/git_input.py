"""Harnesses of what comes from a git repository: its objects, and the stream that lists them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable

from heliosfs.errors import HeliosError
from heliosfs.git.ids import IdMap
from heliosfs.git.prepare import Preparer
from heliosfs.git.raw import encode_commit, encode_tag, parse_commit, parse_tag, tag_text
from heliosfs.git.stream import CutShort, MissingInGit, ObjectStream
from heliosfs.git.translate import Translator
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.store.memory import MemoryStore
from tests.fuzz.harness import INPUT_MAX_BYTES, Harness
from tests.fuzz.objects import WHO
from tests.tree_builder import IDENTITY


def _commit(data: bytes) -> None:
    tag_text(data)
    commit = parse_commit(data)
    assert len(commit.author.name) < 1 << 16


def _commit_seeds() -> list[bytes]:
    plain = encode_commit(bytes(20), [bytes(20), b"a" * 20], WHO, WHO, b"message\n")
    return [
        plain,
        encode_commit(bytes(32), [], WHO, WHO, b"\xff\xfe"),
        plain.replace(b"\n\n", b"\nencoding EUC-KR\ngpgsig -----BEGIN\n more\n\n\xb0\xa1"),
        plain.replace(b"17000", b"9" * 5000),
        b"tree " + b"0" * 40 + b"\nauthor a <b> 1 +9999\n\n",
    ]


def _tag(data: bytes) -> None:
    parse_tag(data)


def _tag_seeds() -> list[bytes]:
    return [encode_tag(bytes(20), b"v1", WHO, b"text")]


def _stream(data: bytes) -> None:
    """The output of `git cat-file`, as the preparing process takes it."""
    stream, preparer = ObjectStream(io.BufferedReader(io.BytesIO(data))), Preparer()
    count = 0
    while objects := stream.read(256 * 1024):
        preparer.portion(objects)
        count += len(objects)
        assert count <= len(data)


def _stream_seeds() -> list[bytes]:
    parts = []
    for kind, data in _git_objects():
        name = hashlib.sha1(kind + data).hexdigest().encode()
        parts.append(b"%s %s %d path\n%s\n" % (name, kind, len(data), data))
    large = b"0" * 40 + b" blob %d big\n" % (WHOLE_MAX + 1)
    return [b"".join(parts), large + bytes(INPUT_MAX_BYTES // 2), b"0" * 40 + b" missing\n"]


def _git_objects() -> Iterable[tuple[bytes, bytes]]:
    tree = b"100644 a\0" + b"b" * 20 + b"40000 dir\0" + b"c" * 20 + b"120000 link\0" + b"b" * 20
    yield b"blob", b"content\n"
    yield b"tree", tree
    yield b"commit", _commit_seeds()[0]
    yield b"tag", _tag_seeds()[0]


def _history(data: bytes) -> None:
    """The same stream, imported into a store."""
    store = MemoryStore()
    bulk = store.bulk()
    ids = IdMap(store)
    translator = Translator(store, bulk, ids, IDENTITY, 20)
    stream, preparer = ObjectStream(io.BufferedReader(io.BytesIO(data))), Preparer()
    while objects := stream.read(256 * 1024):
        _, files, others = preparer.portion(objects)
        ids.note_files(files)
        for work in translator.take(others):
            assert work is not None
    for _ in translator.close_commits():
        pass


def _history_seeds() -> list[bytes]:
    def listed(kind: bytes, data: bytes) -> tuple[bytes, bytes]:
        name = hashlib.sha1(b"%s %d\0" % (kind, len(data)) + data)
        line = b"%s %s %d path\n%s\n" % (name.hexdigest().encode(), kind, len(data), data)
        return name.digest(), line

    blob, first = listed(b"blob", b"content\n")
    modes = ((b"100644", b"a"), (b"100755", b"b"), (b"160000", b"sub"))
    inner, second = listed(b"tree", b"".join(b"%s %s\0%s" % (*each, blob) for each in modes))
    tree, third = listed(b"tree", b"40000 dir\0" + inner + b"100664 z\0" + blob)
    _, fourth = listed(b"commit", encode_commit(tree, [], WHO, WHO, b"message"))
    return [first + fourth + third + second, fourth + third + second + first]


HARNESSES = [
    Harness("git-commit", _commit, (ValueError,), _commit_seeds, (b"encoding ", b"author ")),
    Harness("git-tag", _tag, (ValueError,), _tag_seeds),
    Harness("git-stream", _stream, (MissingInGit, CutShort), _stream_seeds, (b" blob 9", b" tree")),
    Harness(
        "git-history",
        _history,
        (MissingInGit, CutShort, HeliosError),
        _history_seeds,
        (b"40000 ", b"120000 ", b".git\0", b"..\0", b"/\0", b"100644 .helios\0"),
    ),
]
