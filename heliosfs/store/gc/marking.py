"""Marking: what a collection has reached of L2, and of what is not in L2 yet."""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

from heliosfs.emptying import empty_later
from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.commit import CommitLinks
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.outline import links_in, outline, references_in
from heliosfs.objects.references import Reference, cut_references, references
from heliosfs.pace import Pace, paced
from heliosfs.store.encoding.codecs import DecodeError
from heliosfs.store.gc.chains import Chains
from heliosfs.store.gc.listing import Listing
from heliosfs.store.gc.survey import FURTHER, PARTIAL, REFERS, Survey
from heliosfs.store.gc.surveyors import SHARED_FROM, Surveyors, program_count
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.marks import Marks
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.pending import Pending, bytes_of
from heliosfs.store.promises import PromiseMarks

_T = TypeVar("_T")
_COMMIT = Kind.COMMIT
_SURVEY_SHARE = 16
"""The whole index is read for a survey, so at least one in so many objects must be new."""


class Marking:
    """A walk from objects to those that they refer to, in L2 and among the pending ones.

    One thread at a time calls it, within `snapshot`.
    """

    def __init__(
        self,
        database: ObjectDatabase,
        pending: Mapping[Oid, Pending],
        marks: Marks,
        promises: PromiseMarks,
        shallow: Container[Oid],
    ) -> None:
        """Prepare the walk.  The commits in `shallow` have no parents, whatever their bytes say."""
        self._database = database
        self._pending = pending
        self._marks = marks
        self._promises = promises
        self._shallow = shallow
        self._chains = Chains()
        self._listing: Listing | None = None
        self._surveyors: Surveyors | None = None
        self._survey: Survey | None = None
        self._stack: list[int] = []
        """Surveyed objects that were reached, and whose references were not followed."""
        self._partial: list[int] = []
        """Trees that need their base to be reached, too, by index."""
        self._unread: set[int] = set()
        """Objects that were reached and could not be read."""
        self.entered: dict[Oid, Kind] = {}
        """Pending objects that were marked."""
        self.promised_count = 0
        """Number of contents that were reached, and are not here."""

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Open the snapshot that is read until the end of the context."""
        with self._database.browsing() as self._snapshot:
            yield self._snapshot

    def survey(self, *, reads_blobs: bool = False) -> bool:
        """Do as `Reaching.survey` says."""
        if self._survey is not None:
            self._survey.advance(self._snapshot)
            if self._survey.is_done:
                self._survey.cut(self._shallow)
            return not self._survey.is_done
        if self._surveyors is not None:
            if not self._surveyors.advance():
                self._survey = self._surveyors.survey()
                self._survey.cut(self._shallow)
                self._surveyors.close()
            return self._survey is None
        totals, first = self._database.totals, self._marks.first
        if self._listing is None:
            if (totals.next_number - first) * _SURVEY_SHARE < totals.objects:
                return False
            self._listing = Listing(totals.next_number)
        if not self._listing.advance(self._snapshot):
            self._begin_survey(first, self._listing.is_sole[first:], reads_blobs=reads_blobs)
            self._listing.is_sole = bytearray()
        return True

    def _begin_survey(self, first: int, is_sole: bytearray, *, reads_blobs: bool) -> None:
        if len(is_sole) >= SHARED_FROM and program_count():
            # If they cannot be started, for whatever reason, this thread can do it, too.
            with suppress(OSError):
                self._surveyors = Surveyors(self._database, first, is_sole, reads_blobs=reads_blobs)
                return
        self._survey = Survey(first, is_sole, reads_blobs=reads_blobs)

    def close(self) -> None:
        """End what was begun.  Idempotent."""
        if self._surveyors is not None:
            self._surveyors.close()
        if self._survey is not None:
            empty_later(*self._survey.containers())
            self._survey = None
        empty_later(*self._chains.containers(), self._unread, self.entered)

    def links_of(self, oid: Oid) -> CommitLinks | None:
        """Do as `Reaching.links_of` says."""
        return self._survey.commits.pop(oid, None) if self._survey else None

    def commits_by_number(self) -> dict[int, Oid]:
        """Return the ids of the surveyed commits, by number."""
        numbers = self._survey.numbers if self._survey else {}
        return {number: oid for oid, number in paced(numbers.items())}

    def read(self, oid: Oid, kind: Kind) -> bytes:
        """Do as `Reaching.read` says."""
        pending = self._pending.get(oid)
        if pending is not None:
            found, data = pending.kind, bytes_of(self._database.packs, pending, self.read)
        else:
            loaded = self._look(lambda snapshot: self._chains.load(snapshot, oid))
            if loaded is None:
                raise _missing(oid)
            found, data = loaded
        return _of_kind(oid, kind, found, data)

    def mark(self, oid: Oid) -> bool:
        """Do as `Reaching.mark` says."""
        return self._mark(oid, Snapshot.numbers_of) is not None

    def enter(self, kind: Kind, oid: Oid, *, reads_blob: bool = False) -> list[Reference] | None:
        """Do as `Reaching.enter` says."""
        survey = self._survey
        if kind is _COMMIT and survey is not None and survey.is_done:
            number = survey.numbers.get(oid)
            if number is not None:
                if not self._marks.reach(number):
                    return None
                self._stack.append(number)
                return []
        if kind is Kind.BLOB and not reads_blob:
            # I61: what is taken for a blob is not read, so it must be one.
            return None if self._mark(oid, _blobs_of, is_blob=True) is None else []
        numbers = self._mark(oid, Snapshot.numbers_of, is_blob=kind is Kind.BLOB)
        if numbers is None:
            return None
        try:
            return self._read_references(kind, oid, numbers)
        except (MissingObject, CorruptObject):
            # I61: it was reached, but not what it refers to.
            self._unread.update(numbers)
            raise

    def _read_references(self, kind: Kind, oid: Oid, numbers: list[int]) -> list[Reference]:
        """Return what an object refers to, without what was entered with an earlier version."""
        found = self._chains.find(self._snapshot, oid, numbers)
        data = (
            self.read(oid, kind) if found is None else _of_kind(oid, kind, found.kind, found.data)
        )
        try:
            if kind is not Kind.TREE:
                return cut_references(oid, references(kind, data), self._shallow)
            shape = outline(data) if found is None else self._chains.unknown(found)
            for blob in links_in(data, shape):
                self._mark_link(blob)
            result = references_in(data, shape)
        except (ValueError, IndexError, struct.error) as error:
            name = kind.name.lower()
            raise CorruptObject(f"{name} {oid.hex()} cannot be read: {error}") from error
        if found is not None:
            # Only now: what a later version shares with this tree is not looked at again.
            found.ends = shape.ends
        return result

    def enter_surveyed(self, commits: Iterable[Oid]) -> list[Oid]:
        """Do as `Reaching.enter_surveyed` says."""
        numbers = self._survey.numbers if self._survey is not None else {}
        reach, further = self._marks.reach, []
        for oid in paced(commits):
            number = numbers.get(oid)
            if number is None:
                further.append(oid)
            elif reach(number):
                self._stack.append(number)
        return further

    def follow(self, limit: int) -> tuple[int, list[Reference]] | None:
        """Do as `Reaching.follow` says."""
        survey, stack = self._survey, self._stack
        if survey is None or not (stack or self._partial):
            return None
        reach, flags, first = self._marks.reach, survey.flags, survey.first
        edges, starts = survey.edges, survey.starts
        further: list[Reference] = []
        count, pace = 0, Pace()
        while stack and count < limit and not further:
            pace()
            at = stack.pop() - first
            for number in edges[starts[at] : starts[at + 1]]:
                if reach(number):
                    count += 1
                    if flags[number - first] & REFERS:
                        stack.append(number)
            flag = flags[at]
            if flag & PARTIAL:
                self._partial.append(at)
            if flag & FURTHER:
                further = survey.further.get(at, further)
                for blob in survey.targets.get(at, ()):
                    self._mark_link(blob)
        if not stack and not further:
            further = self._complete(survey)
        return count, further

    def _complete(self, survey: Survey) -> list[Reference]:
        """Return what trees share with bases that were not reached."""
        further: list[Reference] = []
        for at in paced(self._partial):
            base = survey.bases[at]
            # I61: the rest of what the tree refers to was entered with its base.
            if self._marks.is_reached(base) and base not in self._unread:
                continue
            try:
                data = self._chains.decode(self._snapshot, survey.first + at).data
                shape = outline(data)
                further += references_in(data, shape)
                targets = links_in(data, shape)
            except (DecodeError, ValueError, IndexError, struct.error) as error:
                number = survey.first + at
                raise CorruptObject(f"object {number} cannot be read again: {error}") from error
            for blob in targets:
                self._mark_link(blob)
        self._partial = []
        return further

    def _mark(
        self, oid: Oid, numbers_of: Callable[[Snapshot, Oid], list[int]], *, is_blob: bool = False
    ) -> list[int] | None:
        """Mark an object; return its numbers in the snapshot.

        None if it was marked before, and for a content that is not here, and promised.
        """
        # First in L2: a batch that has the object once more may never be published.
        numbers = numbers_of(self._snapshot, oid)
        if not numbers and oid in self._pending:
            is_new = oid not in self.entered
            self.entered[oid] = self._pending[oid].kind
            # I68: a power cut may take it, so its promise stays.
            self._promises.mark(oid)
            return [] if is_new else None
        found = numbers or self._look(lambda snapshot: numbers_of(snapshot, oid))
        if not found:
            is_first = self._promises.mark(oid) if is_blob else None
            if is_first is None:
                raise _missing(oid)
            self.promised_count += is_first
            return None
        is_new = False
        for number in found:
            is_new |= self._marks.reach(number)
        return numbers if is_new else None

    def _mark_link(self, blob: Oid) -> None:
        try:
            # I61: most links were not imported, and another object may have such a short id.
            self._mark(blob, Snapshot.copies_of, is_blob=True)
        except MissingObject:
            return

    def _look(self, ask: Callable[[Snapshot], _T | None]) -> _T | None:
        """Ask the snapshot, then a newer one: an object pending a moment ago may be drained now."""
        found = ask(self._snapshot)
        if not found:
            with self._database.reading() as newer:
                found = ask(newer)
        return found

    def is_marked(self, oid: Oid) -> bool:
        """Do as `Reaching.is_marked` says."""
        # It is in a batch that is or will be published, and whose drain claims it.
        if oid in self._pending:
            return True
        if any(map(self._marks.keeps, self._snapshot.numbers_of(oid))):
            return True
        return self._promises.is_marked(oid)


def _of_kind(oid: Oid, kind: Kind, found: Kind, data: bytes) -> bytes:
    if found is not kind:
        raise CorruptObject(
            f"object {oid.hex()} is a {found.name.lower()}, not a {kind.name.lower()}"
        )
    return data


def _missing(oid: Oid) -> MissingObject:
    return MissingObject(f"object {oid.hex()} is not in the store")


def _blobs_of(snapshot: Snapshot, oid: Oid) -> list[int]:
    """Return the numbers of a blob, or of a single candidate, unless that is no blob: 3 us."""
    found = snapshot.candidates(oid)
    if len(found) == 1:
        try:
            if snapshot.payload(found[0]).kind is Kind.BLOB:
                return found
        except DecodeError:
            # A damaged file is kept, as long as nobody has to read it.
            return found
    return snapshot.copies_of(oid)
