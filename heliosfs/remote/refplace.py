"""The ref of a remote that a push writes: created, or swapped if it still is what was last seen."""

from __future__ import annotations

import time

from heliosfs.errors import CorruptObject, Stale
from heliosfs.remote.bucket import Bucket, Changed, NoObject
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.layout import REF_BYTES_MAX, RefRecord, decode_ref, ref_key
from heliosfs.repo.remotes import TrackedRef


class NotFastForward(Stale):
    """The ref of the remote has commits that the pushed one lacks, or may have."""


class DeletedThere(NotFastForward):
    """The ref was deleted in the remote since it was seen."""


class TreesMoved(Exception):
    """The ref names the same commit, and other trees: those of a merge in the remote."""

    def __init__(self, found: TrackedRef) -> None:
        super().__init__(found)
        self.found = found


class RefPlace:
    """A ref of a remote that is to be written."""

    def __init__(self, bucket: Bucket, remote: str, kind: str, name: str) -> None:
        self._bucket = bucket
        self._name = f"{remote}/{name}"
        self._fetch = f"'helios fetch {remote}'"
        self._key = ref_key(kind, name)

    def write(self, record: RefRecord, seen: TrackedRef | None) -> TrackedRef:
        """Create or swap the ref; return what the remote has.

        NotFastForward, TreesMoved, Unreachable.
        """
        if seen is None or seen.commit != record.commit:
            try:
                return self._put(record, seen.version if seen is not None else None)
            except Changed:
                pass
        found, version = self._look()
        if seen is not None and found.commit == seen.commit != record.commit:
            if found.trees != seen.trees:
                place = found.commit, found.trees, found.generation, version
                raise TreesMoved(TrackedRef(*place))
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
        """Return what the remote has, and the version.

        NotFastForward if it has none; DamagedRemote.
        """
        try:
            data, version = self._bucket.get(self._key, 0, REF_BYTES_MAX)
        except NoObject:
            raise DeletedThere(
                f"{self._name} was deleted there: {self._fetch} with --prune, then push"
            ) from None
        try:
            return decode_ref(self._name, data), version
        except CorruptObject as error:
            raise DamagedRemote(
                f"{error}: remove {self._key} there, {self._fetch} with --prune, then push"
            ) from error
