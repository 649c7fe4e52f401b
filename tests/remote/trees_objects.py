"""Objects with trees as no push of today writes them: of the first form, or with altered heads."""

from __future__ import annotations

from blake3 import blake3

from heliosfs.remote import treesfile
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.layout import TREES
from heliosfs.remote.treesfile import read_trees


def replace(bucket: MemoryBucket, key: str, data: bytes) -> None:
    """Put other bytes under a key."""
    bucket.delete(key)
    bucket.create(key, data)


def sealed(data: bytes) -> bytes:
    """Return bytes with their sum behind them."""
    return data + blake3(data).digest()


def make_old(bucket: MemoryBucket) -> None:
    """Bring all objects with trees into the first form, in which packs have only names."""
    for each in list(bucket.list(TREES)):
        trees = read_trees(each.key, bucket.get(each.key).data)
        counts = treesfile._OLD_COUNTS.pack(len(trees.bases), len(trees.packs))
        packs = (treesfile._OLD_PACK.pack(*pack.name) for pack in trees.packs)
        frames = trees.data[trees.frames_at :]
        data = b"".join((treesfile.OLD_HEAD, counts, *trees.bases, *packs, frames))
        replace(bucket, each.key, sealed(data))
