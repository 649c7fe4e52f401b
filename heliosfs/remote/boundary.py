"""The boundary of deletion in a bucket: which objects are condemned, and how far a collection is.

Nothing in a bucket but this one object says what may be deleted.  A collection *condemns* what no
ref reaches: it writes a list of keys and versions, and then the boundary, which names the list.  At
least a day later another one begins its *sweep*: it says so in the boundary, looks again at what
refs reach, deletes the rest of the list, and leaves the boundary idle.  A number counts these
stages, so that whoever knows one can tell whether anything has happened since.

Pushers rely on objects that they did not write just now, such as the trees of the branch that
theirs begins at.  They look here before and after they move a ref, and note what they need of a
list (`Reliance`): as they replace the object that the sweep has to replace first, either it sees
the note, or they see the sweep.  `docs/explanation/fleet.md` has the whole argument.
"""

from __future__ import annotations

import json
import secrets
import struct
import time
from collections.abc import Iterable
from typing import NamedTuple

from blake3 import blake3

from heliosfs.errors import Busy, CorruptObject
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.remote.layout import commit_of
from heliosfs.repo.foreign_fields import commit_in, digits_in, number_in
from heliosfs.store.encoding.codecs import Codec, DecodeError, decode, encode

COLLECTIONS = "gc/"
BOUNDARY_KEY = f"{COLLECTIONS}boundary"
IDLE, CONDEMNED, SWEEPING = range(3)
"""Stages of a collection, modulo 3."""
CONDEMNED_MAX = 250_000
"""Largest number of objects that one collection condemns: pushers of new branches read the list."""
_BOUNDARY_MAX = 16 * 1024 * 1024
_LIST_HEAD = b"helios-condemned 1\n"
_LIST_SIZES = struct.Struct("<BQ")
_LIST_MAX = 512 * 1024 * 1024
_STAGE_MAX = 2**62
"""Largest stage that is read: no run ever comes to where the next one could not be written."""
UNDER_WAY = (
    "a collection of the remote is deleting what this needs, or has died while it did: try again "
    "in a minute, and if that does not help, 'helios remote gc' ends it"
)
_LOOK_AGAIN_SECONDS = 1_800.0
"""Time after which a push looks again before it moves the ref: less than any collection waits."""
_TRIES = 50
"""Attempts to note something, in each of which another pusher may be quicker."""


def awake_and_asleep() -> float:
    """Return seconds of a clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Boundary(NamedTuple):
    """The content of the object: a stage, the list of condemned objects, and what pushers noted."""

    stage: int = IDLE
    """Number of changes of the state, of which three are a collection."""
    condemned: str = ""
    """Hexadecimal digest by which the list is named; empty while nothing is condemned."""
    noted: tuple[CommitId, ...] = ()
    """Commits after which trees are named that somebody needs, whatever refs reach."""

    @property
    def state(self) -> int:
        """`IDLE`, `CONDEMNED` or `SWEEPING`."""
        return self.stage % 3

    @property
    def collection(self) -> int:
        """Number of the collection that has begun last."""
        return (self.stage + 2) // 3

    def encode(self) -> bytes:
        """Return the bytes: JSON, so that people can read it."""
        document = {
            "stage": self.stage,
            "state": ("idle", "condemned", "sweeping")[self.state],
            "condemned": self.condemned,
            "noted": [each.hex() for each in self.noted],
        }
        return json.dumps(document).encode() + b"\n"


def list_key(digest: str) -> str:
    """Return the key of a list of condemned objects."""
    return f"{COLLECTIONS}{digest}"


def read_boundary(bucket: Bucket) -> tuple[Boundary, str | None]:
    """Return the boundary and its version; None as version where there never was a collection.

    One request.  CorruptObject.
    """
    try:
        data, version = bucket.get(BOUNDARY_KEY, 0, _BOUNDARY_MAX)
    except NoObject:
        return Boundary(), None
    try:
        document = json.loads(data)
        stage, digest, noted = document["stage"], document["condemned"], document["noted"]
        condemned = digits_in(digest) if digest != "" else ""
        boundary = Boundary(number_in(stage, _STAGE_MAX), condemned, tuple(map(commit_in, noted)))
        if (boundary.state != IDLE) != bool(boundary.condemned):
            raise ValueError("a list where there is none, or none where there is one")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptObject(f"the remote's {BOUNDARY_KEY} cannot be read: {error}") from error
    return boundary, version


def write_boundary(bucket: Bucket, boundary: Boundary, expected: str | None) -> str:
    """Replace the boundary of a version, or create it; return the new version.  Changed."""
    if expected is None:
        return bucket.create(BOUNDARY_KEY, boundary.encode())
    return bucket.swap(BOUNDARY_KEY, boundary.encode(), expected)


class CondemnedObject(NamedTuple):
    """An object that no ref reached, as it was listed."""

    key: str
    version: str
    size: int


def write_list(bucket: Bucket, objects: Iterable[CondemnedObject]) -> str:
    """Store a list of condemned objects; return the digest that names it."""
    # What is drawn lets no two lists have one name: each is deleted by whoever made it.
    lines = [json.dumps(secrets.token_hex(16)), *(json.dumps(list(each)) for each in objects)]
    text = "\n".join(lines).encode()
    codec, body = encode(text, prefer_zstd=True)
    data = _LIST_HEAD + _LIST_SIZES.pack(codec, len(text)) + body
    digest = blake3(data).hexdigest()
    bucket.create(list_key(digest), data)
    return digest


def read_list(bucket: Bucket, digest: str) -> list[CondemnedObject]:
    """Return the objects of a list.  NoObject, CorruptObject."""
    data = bucket.get(list_key(digest), 0, _LIST_MAX).data
    try:
        if blake3(data).hexdigest() != digest or not data.startswith(_LIST_HEAD):
            raise ValueError("it has other bytes than its name says")
        codec, size = _LIST_SIZES.unpack_from(data, len(_LIST_HEAD))
        if codec not in (Codec.RAW, Codec.LZ4, Codec.ZSTD) or size > _LIST_MAX:
            raise ValueError("it has an impossible size")
        text = decode(codec, data[len(_LIST_HEAD) + _LIST_SIZES.size :], size)
        rows = [json.loads(line) for line in text.split(b"\n")[1:]]
        return [CondemnedObject(str(key), str(version), int(size)) for key, version, size in rows]
    except (ValueError, TypeError, struct.error, DecodeError) as error:
        raise CorruptObject(f"the remote's {list_key(digest)} cannot be read: {error}") from error


class LostObjects(NamedTuple):
    """Objects that a look at the boundary could not save."""

    keys: set[str]
    """Keys of objects that are gone, or are being deleted now."""
    is_swept: bool
    """True if some are being deleted now."""


class Reliance:
    """The objects on which a push relies, and its looks at the boundary.

    Methods may be called on any thread, one after another.
    """

    def __init__(self, bucket: Bucket, head: CommitId, since: int) -> None:
        """Begin before the first request of a push of `head`; a look before has seen `since`."""
        self.stage = since
        """Stage of the last look."""
        self.found: set[str] = set()
        """Keys of objects that were there, and that no ref may have reached all the time."""
        self.own: dict[str, str] = {}
        """Versions of the objects that the push has created, by key."""
        self._bucket = bucket
        self._head = head
        self._begun_at = Boundary(since).collection
        self._looked_at = awake_and_asleep()
        self._settled: tuple[int, dict[str, str | None]] | None = None
        """Stage and objects of the last look that found all of them."""

    @property
    def needs_look(self) -> bool:
        """True if the ref should not be moved before another look."""
        is_settled = self._settled is not None and self.found <= self._settled[1].keys()
        is_old = awake_and_asleep() - self._looked_at > _LOOK_AGAIN_SECONDS
        return is_old or (bool(self.found) and not is_settled)

    def forget(self) -> None:
        """Rely on nothing."""
        self.found, self.own, self._settled = set(), {}, None

    def look(self) -> LostObjects:
        """Note in the boundary what is relied on and condemned; return what cannot be saved.

        One request if nothing was collected.  Busy, CorruptObject.
        """
        for _ in range(_TRIES):
            self._looked_at = awake_and_asleep()
            now, version = read_boundary(self._bucket)
            self.stage = now.stage
            relied: dict[str, str | None] = dict.fromkeys(self.found)
            if now.collection > self._begun_at:
                # What was created since an earlier look is on no list that was there then.
                relied |= self.own
            if not relied or (now.stage, relied) == self._settled:
                return LostObjects(set(), is_swept=False)
            condemned = self._condemned(now)
            if condemned is None:
                continue
            at_risk = {
                key
                for key, seen in relied.items()
                if key in condemned and seen in (None, condemned[key])
            }
            is_swept = now.state == SWEEPING and bool(at_risk)
            lost = self._missing(relied.keys() - at_risk if is_swept else relied.keys())
            if is_swept:
                return LostObjects(lost | at_risk, is_swept=True)
            if lost:
                return LostObjects(lost, is_swept=False)
            if not at_risk or self._note(now, version, at_risk):
                self._settled = now.stage, relied
                return LostObjects(set(), is_swept=False)
        raise Busy(f"others change {BOUNDARY_KEY} of the remote all the time: try again")

    def _condemned(self, now: Boundary) -> dict[str, str] | None:
        """Return versions by key of what is condemned; None if the boundary is another one."""
        if now.state == IDLE:
            return {}
        try:
            return {each.key: each.version for each in read_list(self._bucket, now.condemned)}
        except NoObject:
            if read_boundary(self._bucket)[0].stage != now.stage:
                return None
            if now.state == SWEEPING:
                raise Busy(UNDER_WAY) from None
            # Whoever sweeps finds none, either, and deletes nothing.
            return {}

    def _note(self, now: Boundary, version: str | None, keys: set[str]) -> bool:
        """Note the trees that need what is condemned; return False if the boundary has changed."""
        commits = [commit_of(key) for key in keys]
        wanted = {self._head if commit is None else commit for commit in commits}
        lacking = sorted(wanted - set(now.noted))
        if not lacking:
            return True
        try:
            write_boundary(self._bucket, now._replace(noted=(*now.noted, *lacking)), version)
        except Changed:
            return False
        return True

    def _missing(self, keys: Iterable[str]) -> set[str]:
        """Return the objects that are not there; a listing may be late, and a read is not."""
        missing = set()
        for key in sorted(keys):
            try:
                self._bucket.get(key, 0, 1)
            except NoObject:
                missing.add(key)
        return missing
