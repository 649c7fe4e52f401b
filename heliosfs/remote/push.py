"""Push: the objects that a remote lacks are sent, and then one of its refs is moved.

Packs go first, then the object with all new trees and commits, which names them, and last the ref.
So whoever sees a ref sees all that it needs, and a push that is cut short at any request leaves
objects which nothing names yet.  The next push finds the packs by their names, and sends the rest.

What the remote lacks is told without asking it: everything that its refs, as they were last seen,
do not reach.  A ref is swapped only if it still is what was seen, so a push that began from old
knowledge is refused, and has done no harm.
"""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.errors import NotFound, Stale
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.remote.closure import Beyond, NewCommits, unreached
from heliosfs.remote.damage import told_as_local
from heliosfs.remote.layout import (
    REF_BYTES_MAX,
    RefRecord,
    decode_ref,
    index_key,
    pack_key,
    ref_key,
    trees_key,
)
from heliosfs.remote.packfile import PackWriter, RemoteObject
from heliosfs.remote.packtable import PackTableWriter
from heliosfs.remote.treesfile import TreesWriter
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.remotes import HEADS, TAGS, TrackedRef, check_same
from heliosfs.repo.repository import Repository
from heliosfs.repo.tag_notes import annotation
from heliosfs.steps import TURN, Progress, Steps, Turn, on_thread

_GATHERED_BYTES = 4 * 1024 * 1024
"""Bytes of objects that are read before they are encoded."""
_GATHERED_COUNT = 2_000
SMALL_BYTES = 64 * 1024
"""Compressed size up to which what is left for a pack travels with the trees instead: a request
takes as long as some MB, and whoever wants the trees alone reads this much more."""
_SMALL_DECODED_BYTES = 1024 * 1024
"""The same before compression, so that a few KB of zeros do not hold a reader's memory."""


class NotFastForward(Stale):
    """The ref of the remote has commits that the pushed one lacks, or may have."""


class DeletedThere(NotFastForward):
    """The ref was deleted in the remote since it was seen."""


class PushResult(NamedTuple):
    """The results of a push of one ref."""

    before: CommitId | None
    """Commit that the ref had; None if it is new."""
    is_forced: bool
    """True if the ref has lost commits."""
    commit_count: int = 0
    object_count: int = 0
    """Number of objects that were sent, commits included."""
    sent_bytes: int = 0


def push(
    repository: Repository,
    bucket: Bucket,
    remote: str,
    kind: str,
    name: str,
    head: CommitId,
    *,
    with_lease: bool = False,
    note_of: str = "",
) -> Steps[PushResult]:
    """Let a ref of a remote name a commit, and send what it needs.

    For a tag, `note_of` is its name here.  `with_lease` lets the ref lose commits, if it still is
    what was last seen of it.  NotFastForward says what to do; Unreachable, and nothing here has
    changed.
    """
    url = repository.remotes.url(remote)
    seen = repository.remotes.tracked(remote, kind, name)
    is_forced = False
    if seen is not None and seen.commit != head:
        is_forced = not (yield from _descends(repository, kind, head, seen.commit))
        if is_forced and not with_lease:
            raise NotFastForward(_refused(remote, name))
    upload = _Upload(repository, bucket, remote)
    with told_as_local():
        trees = yield from upload.run(head)
    record = RefRecord(
        head,
        trees,
        seen.generation + 1 if seen is not None else 1,
        _signed(repository),
        repository.clock.now_ns() // SECOND_NS,
        annotation(repository.store, note_of or name) if kind == TAGS else None,
    )
    place = _RefPlace(bucket, remote, kind, name)
    # I66: whoever sees the ref from here on sees all that it needs.
    now = yield from on_thread(partial(place.write, record, seen))
    # Not after ALONE: it belongs to no branch and no view, and says what is so in the remote.
    with repository.transaction:
        check_same(repository.remotes, remote, url)
        repository.remotes.track(remote, kind, name, now, repository.clock.now_ns())
        repository.remotes.notes.note_push(remote, is_under_way=False)
    return PushResult(
        seen.commit if seen is not None else None,
        is_forced,
        upload.commit_count,
        upload.object_count,
        upload.sent_bytes,
    )


def delete(
    repository: Repository, bucket: Bucket, remote: str, name: str, kind: str = ""
) -> Steps[PushResult]:
    """Delete a branch of a remote, or a tag, if it still is what was last seen of it.

    With `kind`, a ref of that kind alone.

    What it named stays there, as other refs may need it.  NotFound if no such ref was seen;
    NotFastForward; Unreachable, and nothing here has changed.  Where a bucket deletes without a
    condition, what somebody pushes between the look at the version and the deletion is lost.
    """
    remotes = repository.remotes
    url = remotes.url(remote)
    kind = kind or (HEADS if remotes.tracked(remote, HEADS, name) is not None else TAGS)
    seen = remotes.tracked(remote, kind, name)
    if seen is None:
        raise NotFound(f"no {name[:80]!r} was seen at {remote}: 'helios fetch {remote}' looks")
    try:
        yield from on_thread(partial(bucket.delete, ref_key(kind, name), seen.version))
    except Changed:
        raise NotFastForward(
            f"{remote}/{name} has moved since it was seen: 'helios fetch {remote}', and look"
        ) from None
    with repository.transaction:
        check_same(remotes, remote, url)
        remotes.track(remote, kind, name, None, repository.clock.now_ns())
    return PushResult(seen.commit, is_forced=False)


def _descends(repository: Repository, kind: str, head: CommitId, before: CommitId) -> Steps[bool]:
    """Return True if a ref may move between two commits without losing any."""
    history = repository.history
    if kind != HEADS or before not in history:
        return False
    with told_as_local():
        return (yield from reaches(history, [head], before))


def _refused(remote: str, name: str) -> str:
    return (
        f"{remote}/{name} has commits that are not in what is pushed: 'helios pull {remote} "
        f"{name}' merges them; --force-with-lease drops them from the remote"
    )


def _signed(repository: Repository) -> str:
    identity = repository.identity
    text = (b"%s <%s>" % (identity.name, identity.email)).decode("utf-8", "replace")
    return "".join(each for each in text if each.isprintable())[:256]


class _RefPlace:
    """A ref of a remote that is to be written."""

    def __init__(self, bucket: Bucket, remote: str, kind: str, name: str) -> None:
        self._bucket = bucket
        self._name = f"{remote}/{name}"
        self._fetch = f"'helios fetch {remote}'"
        self._key = ref_key(kind, name)

    def write(self, record: RefRecord, seen: TrackedRef | None) -> TrackedRef:
        """Create or swap the ref; return what the remote has.  NotFastForward, Unreachable."""
        if seen is None or seen.commit != record.commit:
            try:
                return self._put(record, seen.version if seen is not None else None)
            except Changed:
                pass
        found, version = self._look()
        if seen is not None and found.commit == seen.commit != record.commit:
            # It has not moved, and is another object all the same: that of a copied directory.
            try:
                return self._put(record._replace(generation=found.generation + 1), version)
            except Changed:
                found, version = self._look()
        # It is our own if the answer to our request was lost, and as good if another pushed it.
        if found.commit == record.commit:
            return TrackedRef(found.commit, found.trees, found.generation, version)
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(min(found.at, 2**40)))
        raise NotFastForward(
            f"{self._name} was moved by {found.by} at {at}: {self._fetch}, merge, and push "
            "again, or 'helios pull'"
        )

    def _put(self, record: RefRecord, expected: str | None) -> TrackedRef:
        """Create the ref, or swap that of the version `expected`.  Changed."""
        data = record.encode()
        if expected is None:
            version = self._bucket.create(self._key, data)
        else:
            version = self._bucket.swap(self._key, data, expected)
        return TrackedRef(record.commit, record.trees, record.generation, version)

    def _look(self) -> tuple[RefRecord, str]:
        """Return what the remote has, and the version.  NotFastForward if it has none."""
        try:
            data, version = self._bucket.get(self._key, 0, REF_BYTES_MAX)
        except NoObject:
            raise DeletedThere(
                f"{self._name} was deleted there: {self._fetch} with --prune, then push"
            ) from None
        return decode_ref(self._name, data), version


class _Upload:
    """The objects of a commit on their way into a bucket."""

    def __init__(self, repository: Repository, bucket: Bucket, remote: str) -> None:
        self.commit_count = self.object_count = self.sent_bytes = 0
        self._repository = repository
        self._bucket = bucket
        self._remote = remote
        self._known = [
            seen
            for seen in repository.remotes.refs(remote).values()
            if seen.commit in repository.history
        ]
        self._is_resumed = False
        self._taken: list[RemoteObject] = []
        self._taken_bytes = 0
        self._trees = TreesWriter()
        self._overflow = PackWriter()
        """Trees and the like beyond what goes into frames."""
        self._contents = PackWriter()
        self._in_pack: list[RemoteObject] = []
        """The objects of the pack of contents while they are small in all."""
        self._in_pack_bytes = 0
        self._packs = PackTableWriter(self._create_index)

    def run(self, head: CommitId) -> Steps[CommitId]:
        """Send what the remote lacks of a commit; return the commit by which `trees/` names it."""
        repository = self._repository
        known = list({seen.commit: None for seen in self._known})
        new = yield from unreached(repository.store, repository.history, head, known)
        bases: dict[CommitId, None] = {}
        for oid in new.boundary:
            holder = yield from self._holder(oid)
            bases[holder] = None
        if not new.links:
            return next(iter(bases))
        self._is_resumed = repository.remotes.notes.is_pushing(self._remote)
        if not self._is_resumed:
            with repository.transaction:
                repository.remotes.notes.note_push(self._remote, is_under_way=True)
        yield from self._take_all(new)
        yield from on_thread(partial(self._finish, head, list(bases)))
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
        beyond = Beyond(store, reads_blobs=True, remote=self._remote)
        for count, (oid, links) in enumerate(new.links.items()):
            parents = [new.links_at(each) for each in links.parents]
            yield from self._take(RemoteObject(Kind.COMMIT, oid, store.read(oid, Kind.COMMIT)))
            for found in beyond.of(links, parents):
                if isinstance(found, Turn):
                    yield found
                else:
                    yield from self._take(found)
            yield Progress(count, len(new.links), "commits", self.object_count)
        self.commit_count = len(new.links)
        yield from self._hand_over()

    def _take(self, found: RemoteObject) -> Steps[None]:
        self._taken.append(found)
        self._taken_bytes += len(found.data)
        self.object_count += 1
        if self._taken_bytes >= _GATHERED_BYTES or len(self._taken) >= _GATHERED_COUNT:
            yield from self._hand_over()
        yield TURN

    def _hand_over(self) -> Steps[None]:
        taken, self._taken, self._taken_bytes = self._taken, [], 0
        yield from on_thread(partial(self._encode, taken))

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
        return is_stored_small and self._in_pack_bytes <= _SMALL_DECODED_BYTES

    def _send_pack(self, pack: PackWriter) -> None:
        if pack is self._contents:
            self._in_pack, self._in_pack_bytes = [], 0
        finished = pack.finish()
        self._create(pack_key(finished.name.digest), finished.data)
        self._packs.add(finished, holds_trees=pack is self._overflow)

    def _create_index(self, digest: bytes, data: bytes) -> None:
        self._create(index_key(digest), data)

    def _finish(self, head: CommitId, bases: list[CommitId]) -> None:
        """Send the last packs, and then the trees, which name all packs; on a thread."""
        if self._is_small():
            for found in self._in_pack:
                self._trees.add(found)
        elif not self._contents.is_empty:
            self._send_pack(self._contents)
        if not self._overflow.is_empty:
            self._send_pack(self._overflow)
        self._create(trees_key(head), self._trees.finish(bases, self._packs))

    def _create(self, key: str, data: bytes) -> None:
        """Create an object, unless it is there: by its name it is as good as ours."""
        # Asked only after a push that was cut short: another one has no request to spare.
        if self._is_resumed and any(each.key == key for each in self._bucket.list(key)):
            return
        try:
            self._bucket.create(key, data)
        except Changed:
            return
        self.sent_bytes += len(data)
