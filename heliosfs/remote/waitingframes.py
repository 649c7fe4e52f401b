"""Frames that wait for the objects of their dictionaries, while what comes before them is read.

Objects with trees are read from the newest on, several at once, but a dictionary names objects of
older ones.  So such frames are held, compressed, until what they name has come: most often, the
oldest one wakes all others, one after another.  Of what comes, only what a frame that waits needs
is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from heliosfs.errors import CorruptObject, MissingObject, StoreFull, TooLarge
from heliosfs.objects.ids import Oid
from heliosfs.remote.frames import (
    DICTIONARY_MAX_BYTES,
    Frame,
    NamedObject,
    named_objects,
    objects_of,
)
from heliosfs.remote.packfile import RemoteObject
from heliosfs.remote.treesfile import PushedTrees

_IN_MEMORY_BYTES = 64 * 1024 * 1024
"""Compressed bytes that are held in memory; further ones are in a file."""
_EXPECTED_MAX = 4_000_000
"""Most objects that frames may need before these have come: 700 MB, and a million pushes."""
_KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of objects that are kept for frames which wait."""


class HeldFrame(NamedTuple):
    """A frame that was held."""

    shown: str
    """Name of its object in words."""
    owner: int
    """Number that the holder has given."""
    frame: Frame
    """The frame, without its bytes."""
    at: int
    stored_bytes: int
    found_count: int = 0
    """Number of objects, the first ones, that were here when they were looked for."""


class WaitingFrames:
    """The frames; methods may be called on any thread, one after another.  Close it in the end."""

    def __init__(self) -> None:
        self.count = 0
        """Number of frames that wait."""
        self._file: SpooledTemporaryFile[bytes] | None = None
        """The bodies of frames, one after another; None while there was none."""
        self._end = 0
        self._queue: list[HeldFrame] = []
        """Frames of which nobody knows whether all that they need is here."""
        self._waiting: dict[Oid, list[HeldFrame]] = {}
        """Frames by an object that was not here when it was looked for."""
        self._uses: dict[Oid, int] = {}
        """Number of frames that need an object."""
        self._kept: dict[Oid, bytes] = {}
        self._kept_bytes = 0

    def close(self) -> None:
        """Forget everything."""
        if self._file is not None:
            self._file.close()
        self._queue, self._waiting, self._kept = [], {}, {}

    def expect(self, named: bytes) -> None:
        """Keep what a frame names that is held later.  TooLarge."""
        for _, oid in named_objects(named):
            self._uses[oid] = self._uses.get(oid, 0) + 1
        if len(self._uses) > _EXPECTED_MAX:
            raise TooLarge(
                f"the remote has pushes that need more than {_EXPECTED_MAX} objects of others: "
                "'helios remote gc' merges them"
            )

    @property
    def expects_any(self) -> bool:
        """True if something that comes may be needed."""
        return bool(self._uses)

    def hold(self, shown: str, frame: Frame, owner: int = 0) -> None:
        """Hold a frame of which the needed objects were expected.  StoreFull."""
        if self._file is None:
            self._file = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
        try:
            self._file.seek(self._end)
            self._file.write(frame.body)
        except OSError as error:
            raise StoreFull(f"what is read cannot be put aside: {error}") from error
        size = len(frame.body)
        self._queue.append(HeldFrame(shown, owner, frame._replace(body=b""), self._end, size))
        self._end += size
        self.count += 1

    def sift(self, trees: PushedTrees) -> Iterator[RemoteObject]:
        """Yield the objects of frames without a dictionary; hold the others.  CorruptObject."""
        for frame in self.plain(trees):
            yield from objects_of(trees.shown, frame)

    def plain(self, trees: PushedTrees) -> Iterator[Frame]:
        """Yield the frames without a dictionary, not decoded; hold the others.  CorruptObject."""
        for frame in trees.frames():
            if frame.named:
                self.expect(frame.named)
                self.hold(trees.shown, frame)
            else:
                yield frame

    def arrived(self, found: RemoteObject) -> None:
        """Note an object that has come, and keep it if a frame needs it."""
        oid, size = found.oid, len(found.data)
        if oid not in self._uses:
            return
        is_room = size <= DICTIONARY_MAX_BYTES and self._kept_bytes + size <= _KEPT_BYTES
        if is_room and oid not in self._kept:
            self._kept[oid] = found.data
            self._kept_bytes += size
        self._queue += self._waiting.pop(oid, ())

    def look_again(self) -> None:
        """Let `next` look again for all that was not there."""
        for waiting in self._waiting.values():
            self._queue += waiting
        self._waiting.clear()

    def next(self, is_here: Callable[[NamedObject], bool]) -> HeldFrame | None:
        """Return a frame all of whose objects are kept, or here; it waits no more."""
        while self._queue:
            held = self._queue.pop()
            needed = held.frame.needed
            for number in range(held.found_count, len(needed)):
                _, oid = needed[number]
                if oid not in self._kept and not is_here(needed[number]):
                    left = held._replace(found_count=number)
                    self._waiting.setdefault(oid, []).append(left)
                    break
            else:
                return held
        return None

    def take(
        self, held: HeldFrame, find: Callable[[NamedObject], bytes]
    ) -> tuple[Frame, list[bytes]]:
        """Return a frame, and the objects of its dictionary, of which `find` returns some.

        CorruptObject.
        """
        return self._take(held, held.frame.needed, find)

    def _take(
        self, held: HeldFrame, needed: list[NamedObject], find: Callable[[NamedObject], bytes]
    ) -> tuple[Frame, list[bytes]]:
        self.count -= 1
        assert self._file is not None
        self._file.seek(held.at)
        frame = held.frame._replace(body=self._file.read(held.stored_bytes))
        older = []
        size = 0
        for each in needed:
            kept = self._kept.get(each[1])
            older.append(find(each) if kept is None else kept)
            size += len(older[-1])
            if size > DICTIONARY_MAX_BYTES:
                raise CorruptObject(f"{held.shown} of the remote has too large a dictionary")
        for _, oid in needed:
            self._uses[oid] -= 1
            if not self._uses[oid]:
                del self._uses[oid]
                self._kept_bytes -= len(self._kept.pop(oid, b""))
        return frame, older

    def unfold(self, shown: str, frame: Frame, older: list[bytes]) -> Iterator[RemoteObject]:
        """Yield the objects of a frame, and those of frames that needed nothing but these.

        CorruptObject.
        """
        yield from self._noted(objects_of(shown, frame, older))
        left: list[HeldFrame] = []
        while self._queue:
            held = self._queue.pop()
            needed = held.frame.needed
            if all(oid in self._kept for _, oid in needed):
                frame, older = self._take(held, needed, _not_kept)
                yield from self._noted(objects_of(held.shown, frame, older))
            else:
                left.append(held)
        self._queue = left

    def _noted(self, objects: Iterable[RemoteObject]) -> Iterator[RemoteObject]:
        for found in objects:
            self.arrived(found)
            yield found

    def owners(self) -> set[int]:
        """Return the numbers that the holder gave to frames that wait."""
        return {held.owner for waiting in self._waiting.values() for held in waiting}

    def check_none(self) -> None:
        """Check that no frame waits any more.  MissingObject."""
        for oid, waiting in self._waiting.items():
            raise MissingObject(
                f"{waiting[0].shown} of the remote has a dictionary with object {oid.hex()}, which "
                "nothing before it has"
            )


def _not_kept(named: NamedObject) -> bytes:
    raise AssertionError(f"object {named[1].hex()} is not kept")
