"""Annotations of tags: the tagger, the time and the message."""

from __future__ import annotations

import struct
from typing import NamedTuple

from heliosfs.objects.commit import Signature, decode_signature
from heliosfs.repo import keys
from heliosfs.store.base import StateMap

_LENGTH = struct.Struct("<H")


class Annotation(NamedTuple):
    """The tagger and message of a tag; one that git made may have no tagger."""

    tagger: Signature | None
    message: bytes


def annotation(store: StateMap, name: str) -> Annotation | None:
    """Return the annotation of a tag that was made here; None for a plain one."""
    data = store.get(keys.of_name(keys.TAG_NOTE, name))
    if data is None:
        return None
    return decode_annotation(data)


def decode_annotation(data: bytes) -> Annotation:
    """Read the bytes that `encode_annotation` returned.  struct.error if they do not fit."""
    (length,) = _LENGTH.unpack_from(data)
    at = _LENGTH.size + length
    return Annotation(decode_signature(data[_LENGTH.size : at]), data[at:])


def encode_annotation(tagger: Signature, message: bytes) -> bytes:
    """Return the bytes of an annotation."""
    said = tagger.encode()
    return _LENGTH.pack(len(said)) + said + message


def annotate(store: StateMap, name: str, note: Annotation | None) -> None:
    """Set or remove the annotation of a tag; within a transaction."""
    key = keys.of_name(keys.TAG_NOTE, name)
    if note is None or note.tagger is None:
        if store.get(key) is not None:
            store.put(key, None)
        return
    store.put(key, encode_annotation(note.tagger, note.message))
