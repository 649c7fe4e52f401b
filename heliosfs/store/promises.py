"""Promises: contents that the store does not have, and the places where a remote has them.

A fetch without contents keeps, of each pack that it left alone, a row for every content in it: id,
sizes, codec, and offset in the pack.  Only blobs are promised, which refer to nothing, so history,
trees and the marking of a collection never meet a promise.  `find` looks for one, `neighbours` are
those that one request may read along with it, and `drop` forgets those that are not needed any
more.

They lie in files beside the other files of a store (`promisefile`), which are on the disk before
anything is published that needs them.  The newest is looked at first; many of a remote become one.
A crash leaves at most a file that nothing needs, or a promise twice.

An object that is in the store and promised, too, is simply there: whoever reads asks for a promise
only when the store has no such object.  A store that promises anything has a format of its own,
which versions of heliosfs that know no promises refuse.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from heapq import merge
from typing import NamedTuple, Protocol

from heliosfs.errors import CorruptObject, MissingObject, PromisedObject
from heliosfs.objects.ids import Oid
from heliosfs.pace import paced
from heliosfs.store.promisefile import Promise, PromiseFile, PromiseFiles, Row, written_form

_NAME = re.compile(r"promises-(\d+)(\.new)?")
_FILES_MAX = 8
"""Number of files of a remote from which small ones become one."""
_MERGED_ROWS = 500_000
"""Most rows of such a file: they are held in memory meanwhile, 300 bytes each."""


class PackRows(NamedTuple):
    """The contents of a pack that are promised."""

    digest: bytes
    size: int
    """Bytes of the pack."""
    rows: Sequence[tuple[bytes, int, int, int, int]]
    """Id, codec, size, stored size and offset of each."""


class Declare(Protocol):
    """The signature of what marks a store as one that has promises, or has none any more."""

    def __call__(self, *, has_promises: bool) -> None: ...


class Promises:
    """All promises of a store.

    They may be read on any thread, and one thread at a time alters them: whoever looks meanwhile
    sees them as before.
    """

    def __init__(self, files: PromiseFiles, declare: Declare) -> None:
        """Read what is there.

        `declare` makes the store one that has promises, before the first of them, or one that has
        none any more, after the last.  StoreError.
        """
        self.damage: list[str] = []
        """Lines for people about files that cannot be read, and are left alone."""
        self._damaged: list[str] = []
        self._place = files
        self._declare = declare
        self._writing = threading.Lock()
        self._last = 0
        self._leftovers: list[str] = []
        """Files that were not finished."""
        found = []
        for name in files.names():
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            if match[2]:
                self._leftovers.append(name)
                continue
            self._last = max(self._last, int(match[1]))
            try:
                found.append(PromiseFile(name, int(match[1]), files.open(name)))
            except CorruptObject as error:
                self.damage.append(str(error))
                self._damaged.append(name)
        found.sort(key=lambda each: each.number, reverse=True)
        self._files = tuple(found)

    def __len__(self) -> int:
        """Return the number of rows, in which an object may be more than once."""
        return sum(each.count for each in self._files)

    def __contains__(self, oid: Oid) -> bool:
        return any(each.number_of(oid) is not None for each in self._files)

    def __iter__(self) -> Iterator[Promise]:
        """Yield all promises, each remote's by pack and offset; one may come twice."""
        for file in self._files:
            for place in range(file.count):
                yield file.ordered(place)

    def find(self, oid: Oid, remote: str | None = None) -> Promise | None:
        """Return the promise of an object, of one remote if that is given; None if there is none.

        CorruptObject.
        """
        for file in self._files:
            number = file.number_of(oid) if remote in (None, file.remote) else None
            if number is not None:
                return file.promise_at(number)
        return None

    def after(self, promise: Promise) -> Iterator[Promise]:
        """Yield all other promises, by pack and offset: those after this one come first."""
        files = self._files
        found = _order_of(files, promise)
        if found is None:
            return
        file, place, _, _ = found
        at = files.index(file)
        yield from map(file.ordered, range(place + 1, file.count))
        for other in (*files[at + 1 :], *files[:at]):
            yield from map(other.ordered, range(other.count))
        yield from map(file.ordered, range(place))

    def error(self, oid: Oid) -> MissingObject:
        """Return the error for an object that the store does not have."""
        promise = self.find(oid) if self._files else None
        if promise is not None:
            return PromisedObject(oid, promise.remote)
        return MissingObject(f"object {oid.hex()} is not in the store")

    def neighbours(self, promise: Promise, limit_bytes: int) -> list[Promise]:
        """Return promises of the same pack, in order of offset, this one among them.

        They lie in one range of at most `limit_bytes`, or are this one alone: those after it, which
        were found after it in the walk of a directory, then those before it.
        """
        found = _order_of(self._files, promise)
        if found is None:
            return [promise]
        file, place, first, end = found
        taken = [promise]
        start, stop = promise.offset, promise.offset + promise.stored_bytes
        for each in map(file.ordered, range(place + 1, end)):
            stop = max(stop, each.offset + each.stored_bytes)
            if stop - start > limit_bytes:
                break
            taken.append(each)
        before = []
        stop = max(each.offset + each.stored_bytes for each in taken)
        for each in map(file.ordered, range(place - 1, first - 1, -1)):
            if stop - each.offset > limit_bytes:
                break
            before.append(each)
        return before[::-1] + taken

    @property
    def remotes(self) -> list[str]:
        """Names of the remotes that have promised contents, in order."""
        return sorted({each.remote for each in self._files})

    def add(self, remote: str, packs: Sequence[PackRows]) -> str:
        """Promise what is in packs of a remote, from now on and after a power cut; any thread.

        Return a name for `take_back`.  Nothing of it is promised after StoreError.
        """
        with self._writing:
            self._declare(has_promises=True)
            rows: list[Row] = [
                (oid, number, codec, size, stored, offset)
                for number, pack in enumerate(packs)
                for oid, codec, size, stored, offset in paced(pack.rows)
            ]
            rows.sort()
            self._last += 1
            named = [(each.digest, each.size) for each in packs]
            file = self._write(self._last, remote, named, rows)
            self._files = (file, *self._files)
            return file.name

    def take_back(self, names: Collection[str] = (), *, remote: str | None = None) -> None:
        """Forget what was added under some names, or all promises of a remote.  Any thread.

        Nothing was published that needs them, or all of it is here, and on the disk.
        """
        with self._writing:
            gone = [each for each in self._files if each.name in names or each.remote == remote]
            self._files = tuple(each for each in self._files if each not in gone)
            self._place.remove([each.name for each in gone])
            self._note_end()

    def settle(self, remote: str, *, mends: bool = False) -> None:
        """Let small files of a remote become one if there are many.  Any thread.  StoreError.

        With `mends`, delete files that cannot be read: what they had is promised anew.
        """
        with self._writing:
            if mends and self._damaged:
                self._place.remove(self._damaged)
                self._damaged, self.damage = [], []
            files = _files_of(self._files, remote)
            if len(files) > _FILES_MAX:
                for run in _runs(files):
                    self._replace(run, lambda file, number: True)

    def _note_end(self) -> None:
        if not self._files and not self.damage:
            self._declare(has_promises=False)

    def marks(self) -> PromiseMarks:
        """Return marks of the promises that there are now, of which none is marked yet."""
        return PromiseMarks(self._files)

    def drop(self, marks: PromiseMarks) -> int:
        """Forget the promises that are not marked; return their number.  Any thread.  StoreError.

        Those that were made since the marks were stay.  What made the others needless is on the
        disk: nothing may refer to them after a power cut.
        """
        with self._writing:
            before = len(self)
            for file in self._files:
                if marks.covers(file) and not marks.has_all(file):
                    self._replace([file], marks.has)
            if before:
                self._note_end()
            return before - len(self)

    def problems(self) -> list[str]:
        """Return what is wrong with the files, after reading all of them: 1 GB/s.  Any thread."""
        found = (each.problem() for each in self._files)
        return [*self.damage, *(each for each in found if each is not None)]

    def _replace(
        self, old: list[PromiseFile], is_needed: Callable[[PromiseFile, int], bool]
    ) -> None:
        """Write what is needed of some files, the newest first, into one; then delete the rest.

        It gets the name of the newest, so that those which are newer still come before it.
        """
        named: dict[tuple[bytes, int], int] = {}
        for file in old:
            for number in range(file.pack_count):
                named.setdefault(file.pack_at(number)[:2], len(named))

        def rows_of(file: PromiseFile, age: int) -> Iterator[tuple[bytes, int, Row]]:
            for number in paced(range(file.count)):
                if is_needed(file, number):
                    oid, pack, codec, size, stored, at = file.row_at(number)
                    yield oid, age, (oid, named[file.pack_at(pack)[:2]], codec, size, stored, at)

        rows: list[Row] = []
        for oid, _, row in merge(*(rows_of(file, age) for age, file in enumerate(old))):
            # Of a promise that several files have, that of the newest one.
            if not rows or rows[-1][0] != oid:
                rows.append(row)
        gone, new = [each.name for each in old], []
        if rows:
            used = sorted({row[1] for row in rows})
            places = {number: place for place, number in enumerate(used)}
            rows = [(oid, places[pack], *rest) for oid, pack, *rest in rows]  # type: ignore[misc]
            packs = list(named)
            remote, number = old[0].remote, old[0].number
            new.append(self._write(number, remote, [packs[each] for each in used], rows))
            gone.remove(old[0].name)
        # Deleted only now: until then a crash leaves a promise twice, and none is lost.
        kept = [*(each for each in self._files if each not in old), *new]
        self._files = tuple(sorted(kept, key=lambda each: each.number, reverse=True))
        self._place.remove(gone)

    def _write(
        self, number: int, remote: str, packs: Sequence[tuple[bytes, int]], rows: Sequence[Row]
    ) -> PromiseFile:
        if self._leftovers:
            self._place.remove(self._leftovers)
            self._leftovers = []
        name = f"promises-{number}"
        self._place.write(name, written_form(remote, packs, rows))
        return PromiseFile(name, number, self._place.open(name))


class PromiseMarks:
    """Marks on the promises that a store had at some moment: a byte for each."""

    def __init__(self, files: Sequence[PromiseFile]) -> None:
        """Keep files, the newest first."""
        self.keeps_all = False
        """True if promises that are not marked may be needed, too."""
        self._marks = {file: bytearray(file.count) for file in files}

    def mark(self, oid: Oid) -> bool | None:
        """Mark the promises of an object; return True if they were not; None if there are none."""
        is_new = None
        for file, marks in self._marks.items():
            number = file.number_of(oid)
            if number is not None:
                is_new = bool(is_new) or not marks[number]
                marks[number] = 1
        return is_new

    def is_marked(self, oid: Oid) -> bool:
        """Return True if the promises of an object stay."""
        for file, marks in self._marks.items():
            number = file.number_of(oid)
            if number is not None and (self.keeps_all or marks[number]):
                return True
        return False

    def marked(self) -> set[Oid]:
        """Return the ids of the objects that are marked."""
        return {
            file.oid_at(number)
            for file, marks in self._marks.items()
            for number, mark in enumerate(paced(marks))
            if mark
        }

    def unmarked(self) -> Iterator[Oid]:
        """Yield the ids of the promises that are not marked."""
        for file, marks in self._marks.items():
            for number, mark in enumerate(marks):
                if not mark:
                    yield file.oid_at(number)

    def covers(self, file: PromiseFile) -> bool:
        """Return True for a file that was there when the marks were made."""
        return file in self._marks

    def has(self, file: PromiseFile, number: int) -> bool:
        """Return True if a row of a file is marked."""
        return bool(self._marks[file][number])

    def has_all(self, file: PromiseFile) -> bool:
        """Return True if all rows of a file stay."""
        return self.keeps_all or 0 not in self._marks[file]


def _files_of(files: Sequence[PromiseFile], remote: str) -> list[PromiseFile]:
    """Return the files of a remote, the newest first."""
    return [each for each in files if each.remote == remote]


def _runs(files: Sequence[PromiseFile]) -> Iterator[list[PromiseFile]]:
    """Yield files that are next to each other by age, and small in all; two of them, or more."""
    run: list[PromiseFile] = []
    for file in files:
        if sum(each.count for each in run) + file.count > _MERGED_ROWS:
            if len(run) > 1:
                yield run
            run = []
        run.append(file)
    if len(run) > 1:
        yield run


def _order_of(
    files: Sequence[PromiseFile], promise: Promise
) -> tuple[PromiseFile, int, int, int] | None:
    """Return the file of a promise, its place in the order, and those of its pack."""
    for file in files:
        number = file.number_of(promise.oid) if file.remote == promise.remote else None
        if number is None:
            continue
        digest, _, first, count = file.pack_at(file.row_at(number)[1])
        if digest != promise.pack:
            continue
        places = range(first, first + count)
        at = bisect_left(places, promise.offset, key=lambda place: file.ordered(place).offset)
        while at < count and file.ordered(first + at).oid != promise.oid:
            at += 1
        return (file, first + at, first, first + count) if at < count else None
    return None
