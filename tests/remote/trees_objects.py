"""Objects with trees as no push of today writes them: of the first form, or with altered heads."""

from __future__ import annotations

from blake3 import blake3

from heliosfs.remote import treesfile
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.layout import TREES, pack_key
from heliosfs.remote.packfile import PackWriter, read_pack
from heliosfs.remote.packtable import PackTableWriter
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


def move_contents(bucket: MemoryBucket) -> None:
    """Let all contents lie in other packs, as after a merge, and delete those of before."""
    old = []
    for each in list(bucket.list(TREES)):
        trees = read_trees(each.key, bucket.get(each.key).data)
        indexes: dict[bytes, bytes] = {}
        table = PackTableWriter(indexes.__setitem__)
        writer = PackWriter(b"moved")
        for pack in trees.packs:
            data = bucket.get(pack_key(pack.name.digest)).data
            old.append(pack_key(pack.name.digest))
            for found in read_pack(pack.name, data):
                writer.add(found)
        if not writer.is_empty:
            finished = writer.finish()
            bucket.create(pack_key(finished.name.digest), finished.data)
            table.add(finished, holds_trees=False)
        counts, packs = table.finish()
        assert not indexes
        count = treesfile._COUNT.pack(len(trees.bases))
        frames = trees.data[trees.frames_at :]
        data = b"".join((treesfile.HEAD, count, counts, *trees.bases, packs, frames))
        replace(bucket, each.key, sealed(data))
    for key in old:
        bucket.delete(key)
