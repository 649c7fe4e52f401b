"""Preparation of git's objects before the store gets them: hashing and encoding of files.

It runs in a process of its own (`python -m heliosfs.git.prepare`), so that it uses another CPU, and
does not take the interpreter from a mount.  It reads the output of `git cat-file` and writes
*portions*: each marshalled, after its length.
"""

from __future__ import annotations

import gc
import marshal
import struct
import sys
from typing import IO

from heliosfs.git.raw import parse_commit
from heliosfs.git.stream import PART, CutShort, GitObject, MissingInGit, ObjectStream
from heliosfs.objects.blob import EMPTY_BLOB, ZERO_PART, encode_parts
from heliosfs.objects.commit import encode_rest
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.store.encoding.codecs import Codec, Encoded
from heliosfs.store.encoding.versions import PreparedObject, Versions, encode_alone
from heliosfs.store.remembered import TwoGenerationCache

LENGTH = struct.Struct("<I")
PORTION_BYTES = 256 * 1024
"""Bytes that are read from git at once, and make a portion."""
_BUFFER_BYTES = 64 * 1024
"""Size of the buffer, which stays in a CPU's cache, unlike the content of a pipe."""
PREPARED_VERSIONS_BYTES = 48 * 1024 * 1024
DONE, MISSING, CUT_SHORT = 0, 1, 2
"""First value of the last portion: all is there; an object is missing, whose id follows; git
stopped."""
PREFER_ZSTD = "zstd"
"""Argument that prefers zstd."""

Row = tuple[bytes, int, int, int, bytes | None, int, bytes]
"""`PreparedObject` in marshalled form: with codec and body, or `_NOT_ENCODED` and the object."""
File = tuple[bytes, int, bytes, int]
"""Git's id of a file, and its kind, our id and its size."""
Plain = tuple[bytes, bytes, bytes, bytes]
"""A tree, a tag, or an unreadable commit: kind, git's id, path or reason, bytes."""
CommitRow = tuple[bytes, bytes, list[bytes], bytes, bytes]
"""A commit: git's ids of it, its tree and its parents, and the result of `encode_rest`."""
Portion = tuple[list[Row], list[File], list[Plain | CommitRow]]

_BLOB = int(Kind.BLOB)
_NOT_ENCODED = -1
_CODECS = list(Codec)
_KINDS = {int(kind): kind for kind in Kind}


class Preparer:
    """An encoder of git's objects into portions."""

    def __init__(
        self, *, prefer_zstd: bool = False, versions_bytes: int = PREPARED_VERSIONS_BYTES
    ) -> None:
        self._prefer_zstd = prefer_zstd
        self._versions = Versions(versions_bytes, prefer_zstd=prefer_zstd)
        self._bases: TwoGenerationCache[Oid] = TwoGenerationCache()
        """Last blob by path."""
        self._parts: dict[int, BlobId] = {}
        self._part_count = 0

    def portion(self, objects: list[GitObject]) -> Portion:
        """Return the portion of some objects, files first."""
        rows: list[Row] = []
        files: list[File] = []
        others: list[Plain | CommitRow] = []
        for kind, git_id, path, data, size in objects:
            if kind == b"blob":
                if self._part_count:
                    files.append(self._close_parts(git_id, size, rows))
                    continue
                oid = object_id(Kind.BLOB, data)
                if oid != EMPTY_BLOB:
                    base = self._bases.get(path)
                    self._bases.put(path, oid)
                    prepared = self._versions.encode(oid, Kind.BLOB, data, base)
                    if prepared is not None:
                        _, _, _, position, against, encoded, _ = prepared
                        codec, body = encoded or (_NOT_ENCODED, data)
                        rows.append((oid, _BLOB, size, position, against, int(codec), body))
                files.append((git_id, _BLOB, oid, size))
            elif kind == PART:
                self._take_part(data, rows)
            elif kind == b"commit":
                others.append(_commit(git_id, data))
            else:
                others.append((kind, git_id, path, data))
        return rows, files, others

    def _take_part(self, data: bytes, rows: list[Row]) -> None:
        oid = BlobId(object_id(Kind.BLOB, data))
        if oid != ZERO_PART:
            rows.append(self._whole(oid, Kind.BLOB, data))
            self._parts[self._part_count] = oid
        self._part_count += 1

    def _close_parts(self, git_id: bytes, size: int, rows: list[Row]) -> File:
        data = encode_parts(size, self._parts)
        self._parts, self._part_count = {}, 0
        oid = object_id(Kind.PARTS, data)
        rows.append(self._whole(oid, Kind.PARTS, data))
        return git_id, int(Kind.PARTS), oid, size

    def _whole(self, oid: Oid, kind: Kind, data: bytes) -> Row:
        codec, body = encode_alone(oid, kind, data, prefer_zstd=self._prefer_zstd)
        return oid, int(kind), len(data), 0, None, int(codec), body


def _commit(git_id: bytes, data: bytes) -> Plain | CommitRow:
    try:
        raw = parse_commit(data)
    except ValueError as error:
        return b"commit", git_id, str(error).encode(), data
    rest = encode_rest(raw.author, raw.committer, raw.message, git=data)
    return git_id, raw.tree, raw.parents, *rest


def prepared_of(row: Row) -> PreparedObject:
    """Return the object of a row."""
    oid, kind, size, position, base, codec, body = row
    encoded = None if codec == _NOT_ENCODED else Encoded(_CODECS[codec], body)
    data = body if encoded is None else b""
    # What Prepared() does, without its call.
    return tuple.__new__(PreparedObject, (oid, _KINDS[kind], size, position, base, encoded, data))


def main(argv: list[str]) -> None:
    """Prepare standard input until it ends; `argv` has the portion's size, and `PREFER_ZSTD`."""
    # Much is allocated and nothing of it is cyclic: the collector would only walk it.
    gc.disable()
    portion_bytes = int(argv[0])
    preparer, sink = Preparer(prefer_zstd=PREFER_ZSTD in argv), sys.stdout.buffer
    end: tuple[int, str] = (DONE, "")
    try:
        with open(0, "rb", buffering=_BUFFER_BYTES) as source:
            stream = ObjectStream(source)
            while objects := stream.read(portion_bytes):
                _write(sink, preparer.portion(objects))
    except MissingInGit as error:
        end = (MISSING, str(error))
    except CutShort:
        end = (CUT_SHORT, "")
    _write(sink, end)


def _write(sink: IO[bytes], portion: Portion | tuple[int, str]) -> None:
    data = marshal.dumps(portion)
    sink.write(LENGTH.pack(len(data)))
    sink.write(data)
    sink.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
