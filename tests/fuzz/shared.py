"""Bytes and files that the harnesses of the store share."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.blocks import make_table, with_table
from heliosfs.store.encoding.codecs import Codec, Encoded, encode
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.l2.database import ObjectDatabase
from tests.in_memory import tmpfs

OLD = b"".join(b"line %d of an old version\n" % number for number in range(60))
LONG = OLD * 6
"""Bytes of several blocks."""
BLOCK_BYTES = 4096
NEW = OLD.replace(b"line 30 of an old", b"line 30 of a newer")


def blob_id(data: bytes) -> Oid:
    return object_id(Kind.BLOB, data)


def in_blocks(data: bytes) -> Encoded:
    """Encode bytes in blocks, one of them as it is."""
    coded = [encode(data[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)]
    coded[0] = Encoded(Codec.RAW, data[:BLOCK_BYTES])
    table = make_table(blob_id(data), len(data), BLOCK_BYTES, coded)
    return with_table(table, *[body for _, body in coded])


class Opened:
    """Files that the harnesses share."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="fuzz-", dir=tmpfs()))
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self.directory = Directory(fd)
        os.close(fd)
        self.packs = Packs(self.directory)
        self.location = self.packs.append(encode(OLD))
        self.blocks = self.packs.append(in_blocks(LONG))
        self.database = ObjectDatabase(self.directory, b"12345678", create=True)


@functools.cache
def opened() -> Opened:
    return Opened()
