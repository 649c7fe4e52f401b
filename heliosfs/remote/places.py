"""Places of contents, read anew from a remote that has moved them.

A maintenance of the remote merges packs, and what it replaces is deleted a day later.  The refs
then lead to trees that name the new packs.  A fetch does not read these where nothing else is new,
so whoever finds that a pack is gone asks here, and then for the content again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.damage import told_as_of
from heliosfs.remote.download import Download, slice_of
from heliosfs.remote.layout import REF_BYTES_MAX, REFS, decode_ref, ref_key, ref_of
from heliosfs.remote.packfile import PackName, PackRow, RemoteObject
from heliosfs.remote.reading import READERS
from heliosfs.remote.threads import mapped
from heliosfs.remote.treesfile import plain_objects, read_trees
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps, on_thread, read_far


def renew_places(repository: Repository, bucket: Bucket, remote: str) -> Steps[int]:
    """Promise all contents that the refs of a remote lead to, at their present places.

    Return the number of rows, which come before all older promises.  Cost: the refs, and every
    object with trees that they lead to, without the contents.  Unreachable, DamagedRemote.
    """
    with told_as_of(remote):
        tips = yield from read_far(partial(_tips, bucket))
        download = _Places(repository, bucket, remote, is_lazy=True)
        yield from download.take_places(tips)
    return download.promised_count


class _Places(Download):
    """The places of contents alone; of objects, only contents that were promised are stored."""

    def take_places(self, tips: Iterable[CommitId]) -> Steps[None]:
        """Promise the contents that trees lead to, whether or not their commits are here.

        Those that were promised, and lie beside trees now, are stored.  MissingObject,
        CorruptObject; no promise was made then.
        """
        pending = list(tips)
        seen = set(pending)
        try:
            while pending:
                oid = pending.pop()
                data = yield from self._reader.trees(oid)
                trees = read_trees(f"trees/{oid.hex()[:12]}", data)
                yield from self._take_rows(trees.table)
                yield from self._take_promised(plain_objects(trees))
                pending += [each for each in trees.bases if each not in seen]
                seen.update(trees.bases)
            yield from self._keep_promises()
        except BaseException:
            self._store.promises.take_back(self._promised)
            raise
        settle = partial(self._store.promises.settle, self._remote, mends=True)
        yield from on_thread(settle)

    def _take_promised(self, objects: Iterator[RemoteObject]) -> Steps[None]:
        """Store the contents among objects that are promised and not here."""
        store = self._store
        contents = (each for each in objects if each.kind is Kind.BLOB)
        is_more = True
        while is_more:
            taken, is_more = yield from on_thread(partial(slice_of, contents))
            for found in taken:
                if found.oid in store.promises and not store.contains(found.oid):
                    store.add(found.oid, found.kind, found.data, is_cold=True)
            self._repository.publish()
            yield TURN

    def _needed_rows(self, name: PackName, rows: list[PackRow]) -> list[PackRow]:
        """Return the rows of a pack whose contents are not promised at this place."""
        promises, remote = self._store.promises, self._remote
        places = ((row, promises.find(Oid(row.oid), remote)) for row in rows)
        return [row for row, place in places if place is None or place.pack != name.digest]


def _tips(bucket: Bucket) -> list[CommitId]:
    """Return the commits by which `trees/` names what refs need; on a thread."""
    names = [ref for each in bucket.list(REFS) if (ref := ref_of(each.key)) is not None]

    def read(name: tuple[str, str]) -> CommitId | None:
        try:
            return decode_ref(name[1], bucket.get(ref_key(*name), 0, REF_BYTES_MAX).data).trees
        except (NoObject, CorruptObject):
            # It was deleted meanwhile, or a fetch tells of it.
            return None

    found = mapped(read, names, READERS)
    return list({each: None for each in found if each is not None})
