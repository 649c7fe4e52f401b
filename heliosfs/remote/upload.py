"""Upload: the objects of a commit that a bucket lacks, on their way into it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from functools import partial

from heliosfs.errors import Busy
from heliosfs.objects.ids import CommitId, Kind, object_id
from heliosfs.objects.references import Reference
from heliosfs.remote.boundary import Reliance
from heliosfs.remote.bucket import Bucket, Changed, Got, NoObject
from heliosfs.remote.closure import Beyond, NewCommits, unreached
from heliosfs.remote.layout import index_key, pack_key, trees_key
from heliosfs.remote.packfile import (
    FinishedPack,
    PackName,
    PackRow,
    PackWriter,
    RemoteObject,
    encode_rows,
)
from heliosfs.remote.packtable import PackTableWriter
from heliosfs.remote.reach import needed_by
from heliosfs.remote.treesfile import OlderObjects, TreesWriter
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.remotes import TrackedRef
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Progress, Steps, Turn, send_far
from heliosfs.store.promisefile import Promise

_GATHERED_BYTES = 4 * 1024 * 1024
"""Bytes of objects that are read before they are encoded."""
_GATHERED_COUNT = 2_000
SMALL_BYTES = 64 * 1024
"""Compressed size up to which what is left for a pack travels with the trees instead: a request
takes as long as some MB, and whoever wants the trees alone reads this much more."""
SMALL_DECODED_BYTES = 1024 * 1024
"""The same before compression, so that a few KB of zeros do not hold a reader's memory."""
_SALT_BYTES = 16
_TRIES = 8


class Upload:
    """The objects of a commit that a bucket lacks; `plan`, and then `run`."""

    def __init__(
        self,
        repository: Repository,
        bucket: Bucket,
        remote: str,
        reliance: Reliance,
        without: Collection[CommitId] = (),
        *,
        is_repair: bool = False,
    ) -> None:
        """Prepare an upload that relies on no trees named after commits in `without`.

        A repair lets all objects be others than before, since those may be on their way out.
        """
        self.commit_count = self.object_count = self.sent_bytes = 0
        self.bases: dict[CommitId, None] = {}
        """Commits after which the trees are named that hold the rest."""
        self._repository = repository
        self._bucket = bucket
        self._remote = remote
        self._reliance = reliance
        self._known = [
            seen
            for seen in repository.remotes.refs(remote).values()
            if seen.commit in repository.history and seen.trees not in without
        ]
        self._new = NewCommits(repository.store, repository.history.edge)
        self._is_repair = is_repair
        self._is_resumed = False
        self._taken: list[RemoteObject] = []
        self._taken_bytes = 0
        salt = secrets.token_bytes(_SALT_BYTES) if is_repair else b""
        self._trees = TreesWriter()
        self._older = OlderObjects()
        if salt:
            self._trees.add(RemoteObject(Kind.BLOB, object_id(Kind.BLOB, salt), salt))
        self._overflow = PackWriter(salt)
        """Trees and the like beyond what goes into frames."""
        self._contents = PackWriter(salt)
        self._in_pack: list[RemoteObject] = []
        """The objects of the pack of contents while they are small in all."""
        self._in_pack_bytes = 0
        self._packs = PackTableWriter(self._create_index)

    def plan(self, head: CommitId, first: TrackedRef | None) -> Steps[None]:
        """Find out what the remote lacks, and the bases, preferably those of the ref `first`."""
        if first in self._known:
            self._known.remove(first)
            self._known.insert(0, first)
        known = list({seen.commit: None for seen in self._known})
        store, history = self._repository.store, self._repository.history
        self._new = yield from unreached(store, history, head, known)
        # Whoever fetched them there would look for their parents, which no object there may have.
        for oid in self._new.links if history.edge else ():
            history.edge.check_whole(oid, f"a push of what {self._remote} has not")
        for oid in self._new.boundary:
            holder = yield from self._holder(oid)
            self.bases[holder] = None

    def run(self, head: CommitId) -> Steps[CommitId]:
        """Send what the remote lacks of a commit; return the commit by which `trees/` names it."""
        if not self._new.links:
            return next(iter(self.bases))
        notes = self._repository.remotes.notes
        self._is_resumed = notes.is_pushing(self._remote)
        if not self._is_resumed:
            with self._repository.transaction:
                notes.note_push(self._remote, is_under_way=True)
        yield from self._take_all(self._new)
        yield from send_far(partial(self._finish, head))
        return head

    def _holder(self, oid: CommitId) -> Steps[CommitId]:
        """Return the commit by which `trees/` names the closure of a commit that a ref reaches."""
        for seen in self._known:
            if seen.commit == oid:
                return seen.trees
        for seen in self._known:
            if (yield from reaches(self._repository.history, [seen.commit], oid)):
                return seen.trees
        raise AssertionError(f"no ref of {self._remote} reaches {oid.hex()}")

    def _take_all(self, new: NewCommits) -> Steps[None]:
        store = self._repository.store
        # What is lost there has to be sent, wherever it comes from.
        beyond = Beyond(store, reads_blobs=True, remote="" if self._is_repair else self._remote)
        for count, (oid, links) in enumerate(new.links.items()):
            parents = [new.links_at(each) for each in links.parents]
            yield from self._take(RemoteObject(Kind.COMMIT, oid, store.read(oid, Kind.COMMIT)))
            for found in beyond.of(links, parents):
                if isinstance(found, Turn):
                    yield found
                else:
                    yield from self._take(found)
            self._note_older(beyond.replaced)
            yield Progress(count, len(new.links), "commits", self.object_count)
        self.commit_count = len(new.links)
        yield from self._hand_over()
        self._name_promised(beyond.left.values())

    def _note_older(self, replaced: Iterable[Reference]) -> None:
        """Take earlier versions of what is sent, which the remote has as it has the parents."""
        for kind, oid in replaced:
            if self._older.is_full:
                break
            # I75: what is not sent is in the tree of a commit at the boundary.
            data = self._repository.store.read(oid, kind)
            self._older.add(RemoteObject(kind, oid, data))

    def _name_promised(self, promises: Iterable[Promise]) -> None:
        """Name the packs of contents that the remote has and this store has not.

        A ref that leads to them may be another one than those that lead to the bases.
        """
        for each in promises:
            found = self._repository.store.promises.neighbours(each, each.pack_size)
            rows = [PackRow(row.oid, Kind.BLOB, *row[4:]) for row in found]
            name = PackName(each.pack, each.pack_size)
            self._packs.add(FinishedPack(name, b"", encode_rows(rows)), holds_trees=False)
            self._reliance.found.add(pack_key(each.pack))

    def _take(self, found: RemoteObject) -> Steps[None]:
        self._taken.append(found)
        self._taken_bytes += len(found.data)
        self.object_count += 1
        if self._taken_bytes >= _GATHERED_BYTES or len(self._taken) >= _GATHERED_COUNT:
            yield from self._hand_over()
        yield TURN

    def _hand_over(self) -> Steps[None]:
        taken, self._taken, self._taken_bytes = self._taken, [], 0
        yield from send_far(partial(self._encode, taken))

    def _encode(self, taken: list[RemoteObject]) -> None:
        """Encode objects, and send the packs that are full; on a thread."""
        for found in taken:
            # Only contents may be left for later, so nothing else shares a pack with them.
            if found.kind is Kind.BLOB:
                self._add_content(found)
            elif not self._trees.is_full:
                self._trees.add(found)
            else:
                self._overflow.add(found)
                if self._overflow.is_full:
                    self._send_pack(self._overflow)

    def _add_content(self, found: RemoteObject) -> None:
        self._contents.add(found)
        self._in_pack_bytes += len(found.data)
        if self._is_small():
            self._in_pack.append(found)
        else:
            self._in_pack.clear()
        if self._contents.is_full:
            self._send_pack(self._contents)

    def _is_small(self) -> bool:
        """Return True if the contents of the pack are to travel with the trees."""
        is_stored_small = self._contents.stored_bytes <= SMALL_BYTES
        return is_stored_small and self._in_pack_bytes <= SMALL_DECODED_BYTES

    def _send_pack(self, pack: PackWriter) -> None:
        if pack is self._contents:
            self._in_pack, self._in_pack_bytes = [], 0
        finished = pack.finish()
        self._create(pack_key(finished.name.digest), finished.data)
        self._packs.add(finished, holds_trees=pack is self._overflow)

    def _create_index(self, digest: bytes, data: bytes) -> None:
        self._create(index_key(digest), data)

    def _finish(self, head: CommitId) -> None:
        """Send the last packs, and then the trees, which name all packs; on a thread."""
        if self._is_small():
            for found in self._in_pack:
                self._trees.add(found)
        elif not self._contents.is_empty:
            self._send_pack(self._contents)
        if not self._overflow.is_empty:
            self._send_pack(self._overflow)
        older = self._older.objects.values()
        self._put_trees(head, self._trees.finish(list(self.bases), self._packs, older))

    def _create(self, key: str, data: bytes) -> None:
        """Create an object, unless it is there: its name says what its bytes are."""
        # Asked only after a push that was cut short: another one has no request to spare.
        if self._is_resumed and self._read(key, 1) is not None:
            self._reliance.found.add(key)
            return
        try:
            self._reliance.own[key] = self._bucket.create(key, data)
        except Changed:
            self._reliance.found.add(key)
            return
        self.sent_bytes += len(data)

    def _put_trees(self, head: CommitId, data: bytes) -> None:
        """Create the object with trees, of which the name does not say what it needs.

        One that is there stays if all is there that it needs: others may need it as it is.  No ref
        may have reached all of that since, so the push relies on it.  It may also be what a push
        has left which was refused long ago; then nobody can need it.
        """
        key = trees_key(head)
        is_looked_at = self._is_resumed
        for _ in range(_TRIES):
            there = self._read(key, len(data) + 1) if is_looked_at else None
            try:
                if there is None:
                    self._reliance.own[key] = self._bucket.create(key, data)
                elif there.data == data:
                    # It is our own, of which the answer was lost, or as good.
                    self._reliance.own[key] = there.version
                    return
                elif (needed := needed_by(self._bucket, head)) is not None:
                    self._reliance.found |= needed
                    return
                else:
                    self._reliance.own[key] = self._bucket.swap(key, data, there.version)
            except Changed:
                is_looked_at = True
                continue
            self.sent_bytes += len(data)
            return
        raise Busy(f"others write {key} of the remote all the time: try again")

    def _read(self, key: str, length: int) -> Got | None:
        try:
            return self._bucket.get(key, 0, length)
        except NoObject:
            return None
