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
from heliosfs.errors import Busy, CorruptObject, NotFound, Stale
from heliosfs.objects.ids import CommitId
from heliosfs.remote.boundary import UNDER_WAY, LostObjects, Reliance
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.remote.damage import DamagedRemote, told_as_local
from heliosfs.remote.keeping import bring_before_loss
from heliosfs.remote.layout import (
    REF_BYTES_MAX,
    RefRecord,
    commit_of,
    ref_key,
    trees_key,
)
from heliosfs.remote.refplace import NotFastForward, RefPlace, TreesMoved
from heliosfs.remote.upload import Upload
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.edge import UNSHALLOW
from heliosfs.repo.remotes import HEADS, TAGS, TrackedRef, check_same
from heliosfs.repo.repository import Repository
from heliosfs.repo.tag_notes import annotation
from heliosfs.steps import Steps, on_thread, read_far, send_far

_TRIES = 5
"""Number of times that objects are sent again which a collection deletes meanwhile."""
_SWEPT_WAITS = 120
_SWEPT_SECONDS = 1.0
pause = time.sleep
"""Function by which a push waits for the end of a sweep."""


class OutOfDate(Stale):
    """The refs of the remote were last seen before a garbage collection there."""


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
    has_moved_beside: bool = False
    """True if the branch that was to move beside it has."""


class BesideRef(NamedTuple):
    """A branch that is to move beside the ref of a push, whose commit reaches that of the branch.

    It needs nothing that the push has not sent, and so one request.
    """

    name: str
    head: CommitId


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
    beside: BesideRef | None = None,
) -> Steps[PushResult]:
    """Let a ref of a remote name a commit, and send what it needs.

    For a tag, `note_of` is its name here.  `with_lease` lets the ref lose commits, if it still is
    what was last seen of it.  NotFastForward says what to do; Unreachable, and nothing here has
    changed.  A branch `beside` it that is another one than was last seen stays as it is.
    """
    url = repository.remotes.url(remote)
    while True:
        ref = kind, name, head
        steps = _push_once(repository, bucket, remote, ref, with_lease, note_of, beside)
        try:
            return (yield from steps)
        except TreesMoved as moved:
            with repository.transaction:
                check_same(repository.remotes, remote, url)
                now_ns = repository.clock.now_ns()
                repository.remotes.track(remote, kind, name, moved.found, now_ns)


def _push_once(
    repository: Repository,
    bucket: Bucket,
    remote: str,
    ref: tuple[str, str, CommitId],
    with_lease: bool,
    note_of: str,
    beside: BesideRef | None,
) -> Steps[PushResult]:
    """See `push`.  TreesMoved, and nothing has changed."""
    kind, name, head = ref
    url, seen = repository.remotes.url(remote), repository.remotes.tracked(remote, kind, name)
    is_forced = False
    if seen is not None and seen.commit != head:
        is_forced = not (yield from descends(repository, kind, head, seen.commit))
    if is_forced:
        if not with_lease:
            raise NotFastForward(refused_text(remote, name) + _edge_hint(repository))
        yield from bring_before_loss(repository, bucket, remote, (kind, name), head)
    sending = _Sending(repository, bucket, remote, head, seen)
    with told_as_local():
        trees = yield from sending.send()
    record = RefRecord(
        head,
        trees,
        seen.generation + 1 if seen is not None else 1,
        _signed(repository),
        repository.clock.now_ns() // SECOND_NS,
        annotation(repository.store, note_of or name) if kind == TAGS else None,
    )
    place = RefPlace(bucket, remote, kind, name)
    # I66: whoever sees the ref from here on sees all that it needs.
    now = yield from send_far(partial(place.write, record, seen))
    also = None
    if beside is not None:
        # The ref that was just written reaches all of it, and what settles one settles both.
        before = repository.remotes.tracked(remote, HEADS, beside.name)
        write = partial(_write_beside, bucket, remote, beside, record, before)
        also = yield from send_far(write)
    # I72: nor does a collection take it away, however long this has slept.
    yield from sending.settle()
    # Not after ALONE: it belongs to no branch and no view, and says what is so in the remote.
    with repository.transaction:
        check_same(repository.remotes, remote, url)
        repository.remotes.track(remote, kind, name, now, repository.clock.now_ns())
        if beside is not None and also is not None:
            repository.remotes.track(remote, HEADS, beside.name, also, repository.clock.now_ns())
        repository.remotes.notes.note_pushed(remote, sending.stage)
    commit = seen.commit if seen is not None else None
    return PushResult(commit, is_forced, *sending.counts, also is not None)


def _edge_hint(repository: Repository) -> str:
    """Return what to do if history that is not here may show that no commit is lost."""
    hint = f"; or what shows that it has them is not here: {UNSHALLOW}"
    return hint if repository.history.edge else ""


def _write_beside(
    bucket: Bucket,
    remote: str,
    beside: BesideRef,
    record: RefRecord,
    seen: TrackedRef | None,
) -> TrackedRef | None:
    """Let a branch name a commit with the trees of a record; None if it has moved meanwhile."""
    own = record._replace(
        commit=beside.head, generation=seen.generation + 1 if seen is not None else 1, note=None
    )
    try:
        return RefPlace(bucket, remote, HEADS, beside.name).write(own, seen)
    except (NotFastForward, TreesMoved):
        return None


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
    yield from bring_before_loss(repository, bucket, remote, (kind, name))
    try:
        # Not left alone: where a bucket deletes without a condition, it would do so whenever.
        yield from on_thread(partial(bucket.delete, ref_key(kind, name), seen.version))
    except Changed:
        raise NotFastForward(
            f"{remote}/{name} has moved since it was seen: 'helios fetch {remote}', and look"
        ) from None
    with repository.transaction:
        check_same(remotes, remote, url)
        remotes.track(remote, kind, name, None, repository.clock.now_ns())
    return PushResult(seen.commit, is_forced=False)


def descends(repository: Repository, kind: str, head: CommitId, before: CommitId) -> Steps[bool]:
    """Return True if a ref may move between two commits without losing any."""
    history = repository.history
    if kind != HEADS or before not in history:
        return False
    with told_as_local():
        return (yield from reaches(history, [head], before))


def refused_text(remote: str, name: str) -> str:
    return (
        f"{remote}/{name} has commits that are not in what is pushed: 'helios pull {remote} "
        f"{name}' merges them; --force-with-lease drops them from the remote"
    )


def _signed(repository: Repository) -> str:
    identity = repository.identity
    text = (b"%s <%s>" % (identity.name, identity.email)).decode("utf-8", "replace")
    return "".join(each for each in text if each.isprintable())[:256]


class _Sending:
    """The upload of a push, repeated where a collection of the remote deletes what it needs."""

    def __init__(
        self,
        repository: Repository,
        bucket: Bucket,
        remote: str,
        head: CommitId,
        seen: TrackedRef | None,
    ) -> None:
        self._repository = repository
        self._bucket = bucket
        self._remote = remote
        self._head = head
        self._seen = seen
        self._without: set[CommitId] = set()
        self._reliance = Reliance(bucket, head, repository.remotes.notes.stage(remote))
        self.upload = Upload(repository, bucket, remote, self._reliance)
        """The last upload."""

    @property
    def stage(self) -> int:
        """Stage of the collections of the remote when they were looked at last."""
        return self._reliance.stage

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of commits, objects and bytes that were sent."""
        upload = self.upload
        return upload.commit_count, upload.object_count, upload.sent_bytes

    def send(self) -> Steps[CommitId]:
        """Send what the remote lacks, before the ref is moved.

        Return the commit by which `trees/` names it.  Busy, OutOfDate.
        """
        for _ in range(_TRIES):
            yield from self._plan(is_repair=False)
            trees = yield from self.upload.run(self._head)
            if not self._reliance.needs_look:
                return trees
            lost = yield from self._look()
            if not lost.keys:
                return trees
            self._leave(lost, is_repair=True)
        raise Busy(UNDER_WAY)

    def settle(self) -> Steps[None]:
        """See that everything is there to stay, after the ref was moved.  Busy.

        Only a push that slept for as long as a collection waits has to send something again.
        """
        for _ in range(_TRIES):
            lost = yield from send_far(self._lost_at_last)
            if not lost.keys:
                return
            self._leave(lost, is_repair=True)
            yield from self._plan(is_repair=True)
            yield from self.upload.run(self._head)
        raise Busy(UNDER_WAY)

    def _plan(self, *, is_repair: bool) -> Steps[None]:
        """Find bases that are there and stay.  Busy, OutOfDate."""
        for _ in range(_TRIES):
            yield from self.upload.plan(self._head, self._seen)
            # The ref that is swapped has reached its trees all the time, if the swap succeeds.
            proven = self._seen.trees if self._seen is not None and not is_repair else None
            bases = [trees_key(each) for each in self.upload.bases if each != proven]
            if not bases:
                return
            self._reliance.found.update(bases)
            lost = yield from self._look()
            if not lost.keys:
                return
            if not is_repair:
                yield from read_far(partial(self._check_known, lost))
            self._leave(lost, is_repair=is_repair)
        raise Busy(UNDER_WAY)

    def _look(self) -> Steps[LostObjects]:
        """Look at the boundary before the ref is moved.  Busy if something is being deleted."""
        lost = yield from send_far(self._lost)
        if lost.is_swept:
            raise Busy(UNDER_WAY)
        return lost

    def _lost_at_last(self) -> LostObjects:
        """Wait until nothing is being deleted, and return what is gone then.  Busy.

        What was about to be deleted may have been spared, since others need it.
        """
        for _ in range(_SWEPT_WAITS):
            lost = self._lost()
            if not lost.is_swept:
                return lost
            pause(_SWEPT_SECONDS)
        raise Busy(f"the branch was pushed, but {UNDER_WAY}; then push again")

    def _lost(self) -> LostObjects:
        try:
            return self._reliance.look()
        except CorruptObject as error:
            raise DamagedRemote(f"{self._remote} is damaged: {error}") from error

    def _leave(self, lost: LostObjects, *, is_repair: bool) -> None:
        """Prepare another upload, which relies on nothing that is lost."""
        self._reliance.forget()
        self._without |= {oid for oid in map(commit_of, lost.keys) if oid is not None}
        self.upload = Upload(
            self._repository,
            self._bucket,
            self._remote,
            self._reliance,
            self._without,
            is_repair=is_repair,
        )

    def _check_known(self, lost: LostObjects) -> None:
        """Check that refs which were seen with trees that are gone have not moved.  OutOfDate."""
        for (kind, name), seen in self._repository.remotes.refs(self._remote).items():
            if trees_key(seen.trees) not in lost.keys:
                continue
            try:
                version = self._bucket.get(ref_key(kind, name), 0, REF_BYTES_MAX).version
            except NoObject:
                continue
            if version != seen.version:
                raise OutOfDate(
                    f"{self._remote} was collected since {name} was seen there: "
                    f"'helios fetch {self._remote}', and push again"
                )
