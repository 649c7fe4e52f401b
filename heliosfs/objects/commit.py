"""Commit objects: a root entry, its parents, who, when, why."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from heliosfs.objects.ids import OID_BYTES, CommitId, Kind, Oid, TreeId, object_id
from heliosfs.objects.tree import Entry, decode_entry, encode_entry

VERSION = 1

_U32 = struct.Struct("<I")
_WHEN = struct.Struct("<qh")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Signature:
    """A person and a moment."""

    name: bytes
    email: bytes
    seconds: int
    """Since the epoch, UTC."""
    offset_minutes: int
    """Of the person's clock, ahead of UTC."""

    def encode(self) -> bytes:
        return _WHEN.pack(self.seconds, self.offset_minutes) + _field(self.name) + _field(self.email)


@dataclass(frozen=True, slots=True)
class Commit:
    """A snapshot and its place in history.  Names and messages are bytes: git's may be any."""

    root: Entry
    """The root directory as an entry without a name: its tree, mode, owner and mtime."""
    parents: tuple[CommitId, ...]
    author: Signature
    committer: Signature
    message: bytes
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    git: bytes = b""
    """Of an imported commit, git's own object, from which the same git id comes back."""

    @property
    def tree(self) -> TreeId:
        return TreeId(self.root.oid)

    @property
    def subject(self) -> str:
        """The first line of the message, for people."""
        text = self.message.decode("utf-8", "replace").strip()
        return text.split("\n", 1)[0]


def encode_commit(commit: Commit) -> bytes:
    """The bytes of a commit: a version, then fields with their lengths."""
    metadata = b"".join(
        _field(key.encode()) + _field(value.encode())
        for key, value in sorted(commit.metadata.items())
    )
    return b"".join(
        (
            bytes((VERSION,)),
            _field(encode_entry(commit.root)),
            _field(b"".join(commit.parents)),
            _field(commit.author.encode()),
            _field(commit.committer.encode()),
            _field(commit.message),
            _field(metadata),
            _field(commit.git),
        )
    )


def decode_commit(data: bytes) -> Commit:
    """Read a commit; ValueError when its version is unknown or the bytes do not fit."""
    if data[0] != VERSION:
        raise ValueError(f"a commit of version {data[0]}; this program knows {VERSION}")
    root, parents, author, committer, message, metadata, git = _fields(data, 1)
    pairs = [part.decode() for part in _fields(metadata, 0)]
    return Commit(
        decode_entry(root)[0],
        tuple(
            CommitId(Oid(parents[at : at + OID_BYTES]))
            for at in range(0, len(parents), OID_BYTES)
        ),
        _decode_signature(author),
        _decode_signature(committer),
        message,
        MappingProxyType(dict(zip(pairs[::2], pairs[1::2], strict=True))),
        git,
    )


def commit_id(data: bytes) -> CommitId:
    """The id of a commit's bytes."""
    return CommitId(object_id(Kind.COMMIT, data))


def _field(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


def _fields(data: bytes, at: int) -> list[bytes]:
    fields = []
    while at < len(data):
        (length,) = _U32.unpack_from(data, at)
        at += 4
        if at + length > len(data):
            raise ValueError("an object ends within a field")
        fields.append(data[at : at + length])
        at += length
    return fields


def _decode_signature(data: bytes) -> Signature:
    seconds, offset = _WHEN.unpack_from(data)
    name, email = _fields(data, _WHEN.size)
    return Signature(name, email, seconds, offset)
