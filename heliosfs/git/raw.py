"""The bytes of git's own objects: ids, trees, commits, tags.  Pure."""

from __future__ import annotations

import codecs
import hashlib
import re
from typing import NamedTuple

from heliosfs.objects.commit import SECONDS_MAX, Signature

_OFFSET_MAX_MINUTES = 2**15 - 1
_FIELD_MAX_BYTES = 2**16 - 1

_PERSON = re.compile(rb"(?P<name>[^<]*)<(?P<email>[^>]*)>?(?P<when>.*)", re.DOTALL)
_WHEN = re.compile(rb"\s*(\d+)\s+([+-])(\d+)")
"""Pattern of a date, as git accepts it (split_ident_line); a negative one is none."""
_CRUD = re.compile(rb"[<>\n\0]+")


def git_id(hash_name: str, kind: bytes, data: bytes) -> bytes:
    """Return the raw id of an object."""
    return hashlib.new(hash_name, b"%s %d\0" % (kind, len(data)) + data).digest()


def entry_pattern(id_bytes: int) -> re.Pattern[bytes]:
    """Return a pattern that matches an entry of a tree: mode, name, raw id."""
    return re.compile(rb"[0-7]{1,7} [^\0]+\0.{%d}" % id_bytes, re.DOTALL)


class RawCommit(NamedTuple):
    """The fields of a commit; ids are raw, texts are UTF-8 if git can convert them."""

    tree: bytes
    parents: list[bytes]
    author: Signature
    committer: Signature
    message: bytes


def parse_commit(data: bytes) -> RawCommit:
    """Read a commit as leniently as git does.  Raise ValueError if it names no tree."""
    head, _, message = data.partition(b"\n\n")
    tree = b""
    parents = []
    author = committer = encoding = b""
    is_plain = b"\nencoding " not in head
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"tree" and not tree:
            tree = value
        elif key == b"parent":
            parents.append(bytes.fromhex(value.decode("ascii")))
        elif key == b"author" and not author:
            author = value
        elif key == b"committer" and not committer:
            committer = value
            if is_plain:
                # Signatures may follow, of many lines.
                break
        elif key == b"encoding" and not encoding:
            encoding = value
    if not tree:
        raise ValueError("a commit without a tree")
    by = _person(_as_utf8(author, encoding))
    return RawCommit(
        bytes.fromhex(tree.decode("ascii")),
        parents,
        by,
        by if committer == author else _person(_as_utf8(committer, encoding)),
        _as_utf8(message, encoding).split(b"\0", 1)[0],
    )


class RawTag(NamedTuple):
    """The target of an annotated tag."""

    target: bytes
    kind: bytes


def parse_tag(data: bytes) -> RawTag:
    """Read a tag.  Raise ValueError."""
    lines = data.split(b"\n", 2)
    if len(lines) < 2 or lines[0][:7] != b"object " or lines[1][:5] != b"type ":
        raise ValueError("not a tag")
    return RawTag(bytes.fromhex(lines[0][7:].decode("ascii")), lines[1][5:])


class TagText(NamedTuple):
    """The tagger and message of an annotated tag; old tags have no tagger."""

    tagger: Signature | None
    message: bytes


def tag_text(data: bytes) -> TagText:
    """Read tagger and message of a tag, as leniently as git does."""
    head, _, message = data.partition(b"\n\n")
    for line in head.split(b"\n"):
        if line.startswith(b"tagger "):
            return TagText(_person(line[7:]), message)
    return TagText(None, message)


def encode_tag(target: bytes, name: bytes, tagger: Signature, message: bytes) -> bytes:
    """Return the bytes of an annotated tag of a commit that passes `git fsck`."""
    lines = [b"object " + target.hex().encode(), b"type commit", b"tag " + name]
    lines.append(b"tagger " + _encode_person(tagger))
    text = message.replace(b"\0", b"")
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return b"\n".join(lines) + b"\n\n" + text


def encode_commit(
    tree: bytes, parents: list[bytes], author: Signature, committer: Signature, message: bytes
) -> bytes:
    """Return the bytes of a new commit that passes `git fsck`.  Ids are raw."""
    lines = [b"tree " + tree.hex().encode()]
    lines += [b"parent " + parent.hex().encode() for parent in parents]
    lines.append(b"author " + _encode_person(author))
    lines.append(b"committer " + _encode_person(committer))
    text = message.replace(b"\0", b"")
    if text and not text.endswith(b"\n"):
        text += b"\n"
    try:
        text.decode()
    except UnicodeDecodeError:
        # What git is not told to be UTF-8 it does not check; latin-1 gives every byte a meaning.
        lines.append(b"encoding ISO-8859-1")
    return b"\n".join(lines) + b"\n\n" + text


def _encode_person(person: Signature) -> bytes:
    name = _CRUD.sub(b"", person.name).strip() or b"unknown"
    email = _CRUD.sub(b"", person.email).strip()
    sign = b"-" if person.offset_minutes < 0 else b"+"
    hours, minutes = divmod(min(abs(person.offset_minutes), 99 * 60), 60)
    return b"%s <%s> %d %s%02d%02d" % (name, email, max(person.seconds, 0), sign, hours, minutes)


def _person(line: bytes) -> Signature:
    found = _PERSON.fullmatch(line)
    if found is None:
        return Signature(line.strip()[:_FIELD_MAX_BYTES], b"", 0, 0)
    name, email = found["name"].strip(), found["email"].strip()
    when = _WHEN.match(found["when"].rpartition(b">")[2])
    seconds = offset = 0
    if when is not None:
        # Python refuses numbers of thousands of digits.
        seconds = min(int(when[1].lstrip(b"0")[:20] or b"0"), SECONDS_MAX)
        zone = int(when[3][:9])
        offset = min(zone // 100 * 60 + zone % 100, _OFFSET_MAX_MINUTES)
        if when[2] == b"-":
            offset = -offset
    return Signature(name[:_FIELD_MAX_BYTES], email[:_FIELD_MAX_BYTES], seconds, offset)


def _as_utf8(text: bytes, encoding: bytes) -> bytes:
    if not encoding or encoding.lower() in (b"utf-8", b"utf8"):
        return text
    try:
        return text.decode(codecs.lookup(encoding.decode("ascii")).name).encode()
    except (LookupError, UnicodeError, ValueError):
        return text
