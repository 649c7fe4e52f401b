"""Branches and tags as a clone of this repository sees them, and the objects it asks for.

Every clone gets the same id for a commit: that of an export of the whole history.  It is noted
apart from what exports note, which may be the id of a squashed commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from heliosfs.errors import HeliosError, NotFound, StoreError
from heliosfs.git import raw
from heliosfs.git.conversion import Conversion
from heliosfs.git.encode import Sink
from heliosfs.git.filters import Guard
from heliosfs.git.ids import IdMap
from heliosfs.git.origins import Names, Origin
from heliosfs.git.refs import DETACHED, HEADS, TAGS
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.steps import TURN, Steps

_NO_ORIGIN = Origin(-1, "", "")
"""A clone follows no repository: each branch and tag has its own name in it."""


@dataclass(slots=True)
class ServedRefs:
    """The refs that a clone sees."""

    refs: dict[str, bytes | None] = field(default_factory=dict)
    """Git's id by full name; None for one that is not known, and was not to be found out."""
    peeled: dict[str, bytes] = field(default_factory=dict)
    """Id of the commit by full name of an annotated tag."""
    head: str = ""
    """Full name of the branch that the view shows; `HEAD` if its HEAD is detached."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Reasons, by full name, why git cannot have a ref."""


class _ServedConversion(Conversion):
    """A conversion that relies on no id but that of the whole history of a commit."""

    def git_id_of(self, oid: CommitId) -> bytes | None:
        data = self._repository.history.read(oid).git
        if data:
            return raw.git_id(self._hash_name, b"commit", data)
        return self._ids.served(oid)

    def note_commit(self, oid: CommitId, git_id: bytes) -> None:
        self._ids.note_served(oid, git_id)


class Served:
    """The repository as clones see it.

    `has` and `sink` are those of a clone, to which objects go; without a sink, ids alone are found
    out.
    """

    def __init__(
        self,
        repository: Repository,
        hash_name: str,
        has: Callable[[bytes], bool] | None = None,
        sink: Sink | None = None,
    ) -> None:
        self._repository = repository
        self._ids = IdMap(repository.store)
        self._names = Names(self._ids, repository.refs, _NO_ORIGIN)
        self._id_bytes = hashlib.new(hash_name).digest_size
        guard = Guard(repository.store, lambda data: False, b"", allows=False)
        self._known = _ServedConversion(
            *(repository, self._ids, hash_name, lambda git_id: True, None, guard)
        )
        """Conversion that knows ids, and encodes other commits for their ids alone."""
        self._sent = self._known
        if has is not None:
            self._sent = _ServedConversion(
                *(repository, self._ids, hash_name, has, sink, guard),
            )
        # What once had an id went through the guard then.
        self._asked = _ServedConversion(
            *(repository, self._ids, hash_name, has or (lambda git_id: True), sink, None),
        )

    def known_id(self, oid: CommitId) -> bytes | None:
        """Return git's id of a commit if it is known, without encoding anything."""
        git_id = self._known.git_id_of(oid)
        return git_id if git_id is not None and len(git_id) == self._id_bytes else None

    def id_of_ref(self, ref: str, oid: CommitId) -> Steps[bytes | None]:
        """Return what `list` does for one ref, with `only_known`."""
        found = ServedRefs()
        yield from self._take(found, ref, oid, only_known=True)
        return found.refs.get(ref)

    def list(self, view: View, *, only_known: bool) -> Steps[ServedRefs]:
        """List branches, tags and the HEAD of a view.

        The objects of a ref whose id was not known go to the sink, with all that it reaches and the
        clone lacks; with `only_known`, it gets no id, and nothing is encoded.  Raise StoreError.
        """
        found = ServedRefs()
        refs = self._repository.refs
        heads = {branch.name: branch.head for branch in refs if branch.head is not None}
        tags = dict(refs.tags)
        if view.branch in heads:
            found.head = f"{HEADS}{view.branch}"
        elif view.branch is None and view.head is not None:
            found.head = DETACHED
            yield from self._take(found, DETACHED, view.head, only_known=only_known)
        for name, oid in sorted(heads.items()):
            yield from self._take(found, HEADS + name, oid, only_known=only_known)
        for name, oid in sorted(tags.items()):
            yield from self._take(found, TAGS + name, oid, only_known=only_known)
        for ref, git_id in self._names.commitless():
            if ref not in found.refs and len(git_id) == self._id_bytes:
                found.refs[ref] = git_id
        return found

    def remember(self) -> Steps[None]:
        """Note the ids that were found out, once git has the objects."""
        for each in {id(self._known): self._known, id(self._sent): self._sent}.values():
            yield from each.remember()
        yield from self._asked.remember()

    def send(self, git_ids: Iterable[bytes]) -> Steps[None]:
        """Send objects that were listed, with all that they reach.  Raise NotFound."""
        for git_id in git_ids:
            chain, target = self._asked.unwrap(git_id)
            oid = self._ids.commit(target)
            if oid is not None:
                sent = yield from self._asked.commit(oid)
                if sent != target:
                    raise HeliosError(f"commit {oid.hex()} is {sent.hex()} in git now: try again")
                self._asked.write_tags(chain)
            elif not (yield from self._asked.other_tag(git_id)):
                raise NotFound(f"git object {git_id.hex()} is not there any more: try again")

    def send_ref(self, oid: CommitId, tag: str = "") -> Steps[bytes]:
        """Send what a commit reaches, or a tag of it; return its id in git.

        Raise StoreError, or another HeliosError if git cannot have it.
        """
        # What has an id was looked at when it got it.
        conversion = self._sent if self.known_id(oid) is None else self._asked
        if tag:
            return (yield from conversion.tag(tag, oid, self._names))
        return (yield from conversion.commit(oid))

    def lost_counts(self) -> tuple[int, int]:
        """Return the numbers of empty directories and special files that `send_ref` left out."""
        encoders = self._sent.encoder, self._asked.encoder
        empty_count = sum(each.empty_count for each in encoders)
        return empty_count, sum(each.special_count for each in encoders)

    def _take(self, found: ServedRefs, ref: str, oid: CommitId, *, only_known: bool) -> Steps[None]:
        git_id = self.known_id(oid)
        if git_id is None and only_known:
            found.refs[ref] = None
            return
        conversion = self._known if git_id is not None else self._sent
        try:
            commit = yield from conversion.commit(oid)
            if ref.startswith(TAGS):
                git_id = yield from conversion.tag(ref.removeprefix(TAGS), oid, self._names)
                if git_id != commit:
                    found.peeled[ref] = commit
            else:
                git_id = commit
        except StoreError:
            raise
        except HeliosError as error:
            # One ref that git cannot have must not keep all others from it.
            found.left_out[ref] = str(error)
            return
        # An imported commit, too, is asked for by git's id, which a collection may have dropped.
        if conversion is self._known and self._ids.commit(commit) is None:
            self._ids.note_served(oid, commit)
        found.refs[ref] = git_id
        yield TURN
