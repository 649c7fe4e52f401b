"""Reads of what never changes in a bucket: the objects with trees, and the packs, several at once.

Where each push has added one object with trees, one names the next, so that reading a long history
is one request after another.  After a few of these all of them are listed, and further ones are
read ahead beside each one that is wanted: nearly all are, because what is here is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from heliosfs.errors import CorruptObject, HeliosError, MissingObject
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.layout import TREES, commit_of, index_key, pack_key, trees_key
from heliosfs.remote.packfile import PackName, ShortEnd, table_of
from heliosfs.remote.packtable import IndexName, read_index
from heliosfs.remote.threads import mapped
from heliosfs.remote.treesfile import TREES_MAX
from heliosfs.repo.history import History
from heliosfs.steps import Steps, read_far

READERS = 8
"""Requests that are under way at once."""
AHEAD_BYTES = 64 * 1024 * 1024
"""Bytes that are read at once, or ahead, unless one object is larger."""
_ALONE_COUNT = 4
"""Objects with trees that are read one after another before others are read ahead."""
_TAIL_BYTES = 256 * 1024
"""Bytes of the end of a pack that are read to find its rows."""


class BucketReader:
    """Reader of the objects that some fetch wants; the trees of all commits in `known` are here."""

    def __init__(self, bucket: Bucket, known: History) -> None:
        self.got_bytes = 0
        self._bucket = bucket
        self._known = known
        self._alone_count = 0
        self._wanted: set[CommitId] = set()
        self._listed: list[tuple[CommitId, int]] | None = None
        """Commits by which objects are named that were not read, and the sizes of these."""
        self._ahead: dict[CommitId, bytes] = {}
        self._ahead_bytes = 0

    def trees(self, oid: CommitId) -> Steps[bytes]:
        """Return the object with the trees that is named by a commit.

        MissingObject, CorruptObject.
        """
        self._wanted.add(oid)
        data = self._ahead.pop(oid, None)
        if data is not None:
            self._ahead_bytes -= len(data)
            return data
        self._alone_count += 1
        others: list[CommitId] = []
        if self._alone_count > _ALONE_COUNT:
            if self._listed is None:
                self._listed = yield from read_far(self._list)
            others = self._next_listed()
        found = yield from read_far(partial(self._read_trees, oid, others))
        self.got_bytes += sum(map(len, found))
        data, *further = found
        for other, each in zip(others, further, strict=True):
            # One that is not wanted may be damaged; it is read again if it is.
            if each:
                self._ahead[other] = each
                self._ahead_bytes += len(each)
        return data

    def packs(self, names: Sequence[PackName]) -> Steps[list[bytes]]:
        """Return the bytes of packs.  MissingObject, CorruptObject."""
        found = yield from read_far(partial(self._read_packs, names))
        self.got_bytes += sum(map(len, found))
        return found

    def index(self, index: IndexName) -> Steps[bytes]:
        """Return the rows of an object with rows.  MissingObject, CorruptObject."""

        def read() -> bytes:
            return read_index(index, self._get(index_key(index.digest), index.size))

        found = yield from read_far(read)
        self.got_bytes += index.size
        return found

    def ends(self, names: Sequence[PackName]) -> Steps[list[bytes]]:
        """Return the rows at the ends of packs.  MissingObject, CorruptObject."""
        found = yield from read_far(partial(mapped, self._read_end, names, READERS))
        self.got_bytes += sum(map(len, found))
        return found

    def _read_end(self, name: PackName) -> bytes:
        shown, wanted = f"pack {name.digest.hex()[:12]}", min(name.size, _TAIL_BYTES)
        try:
            return table_of(shown, name, self._get_end(name, wanted))
        except ShortEnd as short:
            return table_of(shown, name, self._get_end(name, short.wanted_bytes))

    def _get_end(self, name: PackName, size: int) -> bytes:
        return self._get(pack_key(name.digest), size, name.size - size)

    def _list(self) -> list[tuple[CommitId, int]]:
        found = ((commit_of(each.key), each.size) for each in self._bucket.list(TREES))
        return [(oid, size) for oid, size in found if oid is not None]

    def _next_listed(self) -> list[CommitId]:
        """Return some of the commits that were listed, as many as may be read ahead."""
        taken: list[CommitId] = []
        room = AHEAD_BYTES - self._ahead_bytes
        while self._listed and len(taken) < READERS - 1:
            oid, size = self._listed.pop()
            if oid in self._wanted or oid in self._known or size > AHEAD_BYTES:
                continue
            room -= size
            if room < 0:
                break
            taken.append(oid)
        return taken

    def _read_trees(self, wanted: CommitId, others: list[CommitId]) -> list[bytes]:
        def read_ahead(oid: CommitId) -> bytes:
            try:
                return self._get(trees_key(oid), AHEAD_BYTES)
            except HeliosError:
                return b""

        if not others:
            return [self._get(trees_key(wanted), TREES_MAX)]
        calls = [partial(self._get, trees_key(wanted), TREES_MAX)]
        calls += (partial(read_ahead, each) for each in others)
        return mapped(lambda call: call(), calls, READERS)

    def _read_packs(self, names: Sequence[PackName]) -> list[bytes]:
        def read(name: PackName) -> bytes:
            return self._get(pack_key(name.digest), name.size)

        if len(names) == 1:
            return [read(names[0])]
        return mapped(read, names, READERS)

    def _get(self, key: str, most: int, start: int = 0) -> bytes:
        try:
            data = self._bucket.get(key, start, most + 1).data
        except NoObject:
            raise MissingObject(f"it has no {key}") from None
        if len(data) > most:
            raise CorruptObject(f"{key} has more than {start + most} bytes")
        return data
