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
    (length,) = _LENGTH.unpack_from(data)
    at = _LENGTH.size + length
    return Annotation(decode_signature(data[_LENGTH.size : at]), data[at:])


def annotate(store: StateMap, name: str, note: Annotation | None) -> None:
    """Set or remove the annotation of a tag; within a transaction."""
    key = keys.of_name(keys.TAG_NOTE, name)
    if note is None or note.tagger is None:
        if store.get(key) is not None:
            store.put(key, None)
        return
    tagger = note.tagger.encode()
    store.put(key, _LENGTH.pack(len(tagger)) + tagger + note.message)
