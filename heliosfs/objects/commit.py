"""Commit objects: a root entry, the parents, author and committer, and the message."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from heliosfs.objects.ids import OID_BYTES, CommitId, Kind, Oid, TreeId, object_id
from heliosfs.objects.tree import OID_AT, Entry, decode_entry, encode_entry

VERSION = 1

_HEAD = struct.Struct("<B7I")
_FIRST = struct.Struct("<B2I")
_REST = struct.Struct("<5I")
_PAIR = struct.Struct("<II")
_WHO = struct.Struct("<qhHH")
_SECONDS = struct.Struct("<q")
_NOTHING: Mapping[str, str] = MappingProxyType({})
SECONDS_MAX = 2**63 - 1
"""Largest moment that is stored, in seconds.  A git commit may name a later one, which no calendar
has: it is shown as the epoch, as git does, but sorts after all others."""
_BLANK = b" \t\r\n"
"""Bytes of which a line that separates paragraphs of a message may consist (git's isspace)."""


class Signature(NamedTuple):
    """A person and a moment."""

    name: bytes
    email: bytes
    seconds: int
    """Seconds since the epoch, UTC."""
    offset_minutes: int
    """Minutes that the person's clock is ahead of UTC."""

    def encode(self) -> bytes:
        head = _WHO.pack(self.seconds, self.offset_minutes, len(self.name), len(self.email))
        return head + self.name + self.email


class Commit(NamedTuple):
    """A snapshot and its place in history.

    Names and messages are bytes, because git accepts any bytes there.  A named tuple, which is made
    in half the time of a frozen dataclass.
    """

    root: Entry
    """The root directory as an entry without a name: its tree, mode, owner and mtime."""
    parents: tuple[CommitId, ...]
    author: Signature
    committer: Signature
    message: bytes
    metadata: Mapping[str, str] = _NOTHING
    git: bytes = b""
    """Bytes of git's own object, if the commit was imported; they lead to the same git id again."""

    @property
    def tree(self) -> TreeId:
        return TreeId(self.root.oid)

    @property
    def subject(self) -> str:
        """First paragraph of the message, joined to one line as git does (format_subject)."""
        return b" ".join(split_message(self.message)[0]).decode("utf-8", "replace")

    @property
    def body(self) -> bytes:
        """Message after its first paragraph and the blank lines that follow that paragraph."""
        return split_message(self.message)[1]


def split_message(message: bytes) -> tuple[list[bytes], bytes]:
    r"""Return the lines of the first paragraph, stripped at their ends, and the body.

    A line of blanks alone ends a paragraph, whatever ends the lines (git's parse_commit_message).

    >>> split_message(b"\r\none\r\nline\r\n\r\nbody\r\n")
    ([b'one', b'line'], b'body\r\n')
    """
    lines: list[bytes] = []
    at = 0
    while at < len(message):
        end = message.find(b"\n", at) + 1 or len(message)
        text = message[at:end].rstrip(_BLANK)
        if not text and lines:
            break
        if text:
            lines.append(text)
        at = end
    while at < len(message):
        end = message.find(b"\n", at) + 1 or len(message)
        if message[at:end].strip(_BLANK):
            break
        at = end
    return lines, message[at:]


def encode_commit(commit: Commit, entry: bytes | None = None) -> bytes:
    """Return the bytes of a commit: a version, the lengths of its fields, the fields.

    A caller that has its encoded root passes that as `entry`.
    """
    root, parents, author, committer, message, metadata, git = commit
    entry = entry or encode_entry(root)
    ids = parents[0] if len(parents) == 1 else b"".join(parents)
    by = author.encode()
    then = by if committer is author else committer.encode()
    pairs = _encode_metadata(metadata) if metadata else b""
    lengths = map(len, (entry, ids, by, then, message, pairs, git))
    return b"".join((_HEAD.pack(VERSION, *lengths), entry, ids, by, then, message, pairs, git))


def encode_rest(
    author: Signature,
    committer: Signature,
    message: bytes,
    metadata: Mapping[str, str] = _NOTHING,
    git: bytes = b"",
) -> tuple[bytes, bytes]:
    """Return the part of a commit that does not depend on ids: field lengths, and fields."""
    by = author.encode()
    then = by if committer is author else committer.encode()
    pairs = _encode_metadata(metadata) if metadata else b""
    lengths = _REST.pack(len(by), len(then), len(message), len(pairs), len(git))
    return lengths, b"".join((by, then, message, pairs, git))


def join_commit(
    root: Entry, parents: Sequence[CommitId], rest_lengths: bytes, rest: bytes
) -> bytes:
    """Return the bytes of a commit from its root and parents and the result of `encode_rest`."""
    entry = encode_entry(root)
    ids = b"".join(parents)
    return b"".join((_FIRST.pack(VERSION, len(entry), len(ids)), rest_lengths, entry, ids, rest))


class CommitLinks(NamedTuple):
    """The part of a commit by which others are found, and its moment."""

    tree: TreeId
    parents: tuple[CommitId, ...]
    seconds: int
    """Seconds since the epoch, UTC, of the committer."""


def commit_links(data: bytes) -> CommitLinks:
    """Read this part alone: 2 us, a fifth of `decode_commit`.  ValueError, struct.error."""
    root, parents, author, *_ = _lengths(data)
    at = _HEAD.size
    tree = data[at + OID_AT : at + OID_AT + OID_BYTES]
    at += root
    oids = [data[each : each + OID_BYTES] for each in range(at, at + parents, OID_BYTES)]
    (seconds,) = _SECONDS.unpack_from(data, at + parents + author)
    return CommitLinks(TreeId(Oid(tree)), tuple(map(CommitId, map(Oid, oids))), seconds)


class CommitHeading(NamedTuple):
    """The part of a commit that a list of many of them shows."""

    parents: tuple[CommitId, ...]
    author: bytes
    """Name of the author."""
    seconds: int
    """Seconds since the epoch, UTC, of the committer."""
    subject: str


def commit_heading(data: bytes) -> CommitHeading:
    """Read this part alone: 5 us.  ValueError, struct.error."""
    root, parents, author, committer, message, *_ = _lengths(data)
    begin = _HEAD.size + root
    at = begin + parents
    oids = [CommitId(Oid(data[each : each + OID_BYTES])) for each in range(begin, at, OID_BYTES)]
    _, _, name, _ = _WHO.unpack_from(data, at)
    name_at = at + _WHO.size
    (seconds,) = _SECONDS.unpack_from(data, at + author)
    text_at = at + author + committer
    lines, _ = split_message(data[text_at : text_at + message])
    subject = b" ".join(lines).decode("utf-8", "replace")
    return CommitHeading(tuple(oids), data[name_at : name_at + name], seconds, subject)


def _lengths(data: bytes) -> list[int]:
    if data[0] != VERSION:
        raise ValueError(f"a commit of version {data[0]}; this program knows {VERSION}")
    _, *lengths = _HEAD.unpack_from(data)
    if len(data) != _HEAD.size + sum(lengths):
        raise ValueError("the length of a commit does not fit its fields")
    return lengths


def decode_commit(data: bytes) -> Commit:
    """Read a commit; ValueError when its version is unknown or the bytes do not fit."""
    lengths = _lengths(data)
    fields = []
    at = _HEAD.size
    for length in lengths:
        fields.append(data[at : at + length])
        at += length
    root, parents, author, committer, message, metadata, git = fields
    return Commit(
        decode_entry(root)[0],
        tuple(
            CommitId(Oid(parents[at : at + OID_BYTES])) for at in range(0, len(parents), OID_BYTES)
        ),
        decode_signature(author),
        decode_signature(committer),
        message,
        _decode_metadata(metadata),
        git,
    )


def commit_id(data: bytes) -> CommitId:
    """Return the id of a commit's bytes."""
    return CommitId(object_id(Kind.COMMIT, data))


def _encode_metadata(metadata: Mapping[str, str]) -> bytes:
    pairs = []
    for key, value in sorted(metadata.items()):
        name, text = key.encode(), value.encode()
        pairs.append(_PAIR.pack(len(name), len(text)) + name + text)
    return b"".join(pairs)


def _decode_metadata(data: bytes) -> Mapping[str, str]:
    metadata = {}
    at = 0
    while at < len(data):
        name, text = _PAIR.unpack_from(data, at)
        at += _PAIR.size
        metadata[data[at : at + name].decode()] = data[at + name : at + name + text].decode()
        at += name + text
    return MappingProxyType(metadata)


def decode_signature(data: bytes) -> Signature:
    """Read the bytes that `Signature.encode` returned."""
    seconds, offset, name, email = _WHO.unpack_from(data)
    at = _WHO.size
    return Signature(data[at : at + name], data[at + name : at + name + email], seconds, offset)
