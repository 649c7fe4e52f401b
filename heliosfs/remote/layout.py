"""Layout of a bucket: the names of its objects, its format, and the records of its refs.

`docs/reference/remote-format.md` describes all of it byte by byte.  Refs are the only objects that
change; a ref is created or swapped after everything that it needs is there.
"""

from __future__ import annotations

import json
import re
import struct
from base64 import b64decode, b64encode
from typing import NamedTuple

from heliosfs.errors import CorruptObject, HeliosError, StoreFormat, TooLarge, UsageError
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.repo.foreign_fields import (
    DIGITS,
    LINE_MAX,
    NUMBER_MAX,
    commit_in,
    line_in,
    number_in,
)
from heliosfs.repo.ref_names import check_name
from heliosfs.repo.remotes import EXPERIMENTS, HEADS, SCORES, TAGS
from heliosfs.repo.tag_notes import Annotation, decode_annotation, encode_annotation

FORMAT_KEY = "format"
FORMAT = b"helios-remote 1\n"
_FORMAT_MAX = 1_024
REFS = "refs/"
TREES = "trees/"
PACKS = "packs/"
INDEXES = "index/"
REF_BYTES_MAX = 128 * 1024
"""Largest record of a ref that is read."""
_KINDS = (HEADS, TAGS, EXPERIMENTS)
"""Kinds of refs; others, of a later version, are passed over."""
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")
_QUOTED = [chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in range(256)]
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")
_NOTE_MAX = 64 * 1024


def pack_key(digest: bytes) -> str:
    """Return the key of a pack, which is named by the BLAKE3 of its bytes."""
    return f"{PACKS}{digest.hex()}"


def index_key(digest: bytes) -> str:
    """Return the key of an object with rows of packs, which is named by the BLAKE3 of its bytes."""
    return f"{INDEXES}{digest.hex()}"


def trees_key(commit: CommitId) -> str:
    """Return the key of the object with the trees and commits of a push."""
    return f"{TREES}{commit.hex()}"


def commit_of(key: str) -> CommitId | None:
    """Return the commit in a key of `trees_key`; None for another key."""
    digits = key.removeprefix(TREES)
    if DIGITS.fullmatch(digits) is None or digits == key:
        return None
    return CommitId(Oid(bytes.fromhex(digits)))


def ref_key(kind: str, name: str) -> str:
    """Return the key of a ref.  The name is quoted whole, so that `a` and `a/b` never collide."""
    quoted = [_QUOTED[byte] for byte in name.encode("utf-8", "surrogateescape")]
    return f"{REFS}{kind}/{''.join(quoted)}"


def scores_key(name: str) -> str:
    """Return the key of the record with the scores of a branch."""
    return ref_key(SCORES, name)


def scored_branch(key: str) -> str | None:
    """Return the branch in a key of `scores_key`; None for another key."""
    found = _name_in(key)
    return found[1] if found is not None and found[0] == SCORES else None


def ref_of(key: str) -> tuple[str, str] | None:
    """Return kind and name of a ref by its key; None for a key that is none of these."""
    found = _name_in(key)
    return found if found is not None and found[0] in _KINDS else None


def _name_in(key: str) -> tuple[str, str] | None:
    """Return kind and name in a key; None for a key that `ref_key` does not return."""
    prefix, _, rest = key.partition("/")
    kind, _, quoted = rest.partition("/")
    data = _ESCAPE.sub(
        lambda found: bytes((int(found[1], 16),)), quoted.encode("utf-8", "surrogateescape")
    )
    name = data.decode("utf-8", "surrogateescape")
    try:
        check_name(name)
    except UsageError:
        return None
    if f"{prefix}/" != REFS or ref_key(kind, name) != key:
        return None
    return kind, name


class RefRecord(NamedTuple):
    """The content of a ref in a bucket."""

    commit: CommitId
    trees: CommitId
    """Commit by which `trees/` names what the closure of `commit` is read from."""
    generation: int
    """Number of times that the ref was written."""
    by: str
    """Name and address of who wrote it."""
    at: int
    """Time of that by the clock of who wrote it, in seconds since 1970."""
    note: Annotation | None = None
    """Tagger and message of an annotated tag."""

    def encode(self) -> bytes:
        """Return the bytes: JSON, so that people can read it.  TooLarge."""
        document: dict[str, object] = {
            "commit": self.commit.hex(),
            "trees": self.trees.hex(),
            # A count that somebody made up must not make ours unreadable.
            "generation": min(self.generation, NUMBER_MAX),
            "by": self.by[:LINE_MAX],
            "at": self.at,
        }
        note = self.note
        if note is not None and note.tagger is not None:
            if len(note.message) > _NOTE_MAX:
                raise TooLarge(f"the message of a tag that is pushed has at most {_NOTE_MAX} bytes")
            document["note"] = b64encode(encode_annotation(note.tagger, note.message)).decode()
        return json.dumps(document).encode() + b"\n"


def decode_ref(name: str, data: bytes) -> RefRecord:
    """Read the record of a ref; keys that are not known are passed over.  CorruptObject."""
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise TypeError("not a JSON object")
        record = RefRecord(
            commit_in(document["commit"]),
            commit_in(document["trees"]),
            number_in(document["generation"]),
            line_in(document["by"]),
            number_in(document["at"]),
            _note(document.get("note")),
        )
    except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise CorruptObject(f"the remote's record of {name!r} cannot be read: {error}") from error
    return record


def _note(value: object) -> Annotation | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("not the note of a tag")
    return decode_annotation(b64decode(value, validate=True))


def check_format(bucket: Bucket) -> None:
    """Check that a bucket has the format that this program knows: one request.

    NoObject if it has none, StoreFormat for another one, Unreachable.
    """
    data = bucket.get(FORMAT_KEY, 0, _FORMAT_MAX).data
    if data != FORMAT:
        raise StoreFormat(
            f"the remote has the format {data[:40]!r}; this program knows "
            f"{FORMAT.decode().strip()!r}: a later heliosfs may know more"
        )


def check_written_format(bucket: Bucket) -> None:
    """Check the format of a bucket in which something does not fit.  StoreFormat.

    One that has none, or cannot be read, is damaged in another way.
    """
    try:
        check_format(bucket)
    except StoreFormat:
        raise
    except HeliosError:
        pass


def settle_format(bucket: Bucket) -> None:
    """Check the format of a bucket; write it if there is none.  StoreFormat, Unreachable."""
    try:
        check_format(bucket)
    except NoObject:
        try:
            bucket.create(FORMAT_KEY, FORMAT)
        except Changed:
            check_format(bucket)
