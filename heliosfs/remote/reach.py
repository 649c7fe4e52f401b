"""Reach: the objects of a bucket that its refs need, found by reading all trees that they name.

Where something cannot be read, nobody knows what it needs: then nothing may be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.layout import (
    REF_BYTES_MAX,
    REFS,
    decode_ref,
    index_key,
    pack_key,
    ref_of,
    scored_branch,
    trees_key,
)
from heliosfs.remote.reading import READERS
from heliosfs.remote.threads import mapped
from heliosfs.remote.treesfile import TREES_MAX, PushedTrees, read_trees
from heliosfs.steps import Progress, Steps, read_far

_AT_ONCE = 4 * READERS
_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{%d}(?![0-9a-f])" % (2 * OID_BYTES))


class Roots(NamedTuple):
    """Names in the refs of a bucket."""

    refs: dict[CommitId, str]
    """Commits after which trees are named, and the key of a ref that names each."""
    keys: set[str]
    """Keys of objects that refs of a later version may name."""

    def possible(self) -> list[CommitId]:
        """Return the commits of trees that refs of a later version may name."""
        ids = {key.partition("/")[2] for key in self.keys}
        return [CommitId(Oid(bytes.fromhex(each))) for each in sorted(ids)]


def read_roots(bucket: Bucket) -> Roots:
    """Read the refs of all kinds; on a thread.  CorruptObject for one that may name anything.

    Of kinds that are not known here, everything that looks like the name of an object is one.
    """
    # Scores need no object.
    listed = [each.key for each in bucket.list(REFS) if scored_branch(each.key) is None]

    def read(key: str) -> bytes | None:
        try:
            return bucket.get(key, 0, REF_BYTES_MAX + 1).data
        except NoObject:
            # It was deleted since, or the listing was late.
            return None

    records = mapped(read, listed, READERS)
    roots = Roots({}, set())
    for key, data in zip(listed, records, strict=True):
        if data is None:
            continue
        if ref_of(key) is not None:
            roots.refs.setdefault(decode_ref(key, data).trees, key)
            continue
        ids = [each.decode() for each in _ID.findall(data)]
        if not ids or len(data) > REF_BYTES_MAX:
            raise CorruptObject(
                f"the remote's {key} is of a kind that is not known here: a newer heliosfs may "
                "know what it needs"
            )
        for each in ids:
            digest = bytes.fromhex(each)
            commit = CommitId(Oid(digest))
            roots.keys.update((trees_key(commit), pack_key(digest), index_key(digest)))
    return roots


class Reach:
    """The objects that were reached so far."""

    def __init__(self, bucket: Bucket) -> None:
        self.keys: set[str] = set()
        self._bucket = bucket

    def walk(self, roots: Roots, others: Iterable[CommitId]) -> Steps[None]:
        """Take all that is needed by refs, and by trees that others name.

        Of these, trees may be missing or damaged: nobody reads them.  MissingObject, CorruptObject.
        """
        yield from self._take(dict(roots.refs))
        yield from self._take(dict.fromkeys([*roots.possible(), *others], ""))
        self.keys |= roots.keys

    def _take(self, owners: dict[CommitId, str]) -> Steps[None]:
        """Take the trees of some commits with their bases; each is named by a ref, or by none."""
        pending = [each for each in owners if trees_key(each) not in self.keys or owners[each]]
        while pending:
            batch, pending = pending[-_AT_ONCE:], pending[:-_AT_ONCE]
            found = yield from read_far(partial(self._read, batch, owners))
            for commit, trees in zip(batch, found, strict=True):
                if trees is None:
                    continue
                self.keys.add(trees_key(commit))
                self.keys.update(needed_keys(trees))
                for base in trees.bases:
                    if base not in owners and trees_key(base) not in self.keys:
                        owners[base] = owners[commit]
                        pending.append(base)
            yield Progress(len(owners) - len(pending), len(owners), "trees")

    def _read(
        self, commits: Sequence[CommitId], owners: dict[CommitId, str]
    ) -> list[PushedTrees | None]:
        def read(commit: CommitId) -> PushedTrees | None:
            try:
                # Without the frames, of which many would fill the memory.
                return read_all(self._bucket, commit)._replace(data=b"")
            except (MissingObject, CorruptObject) as error:
                if not owners[commit]:
                    return None
                raise type(error)(f"{owners[commit]} is damaged: {error}") from error

        return mapped(read, commits, READERS)


def needed_by(bucket: Bucket, commit: CommitId) -> set[str] | None:
    """Return the keys of the trees that are named after a commit, and of all that they need.

    None if some of it is not there.  On a thread.
    """
    keys: set[str] = set()

    def look(commit: CommitId) -> PushedTrees:
        trees = read_all(bucket, commit)
        for key in needed_keys(trees):
            bucket.get(key, 0, 1)
        return trees

    seen, pending = {commit}, [commit]
    while pending:
        try:
            found = mapped(look, pending, READERS)
        except (MissingObject, CorruptObject, NoObject):
            return None
        keys.update(map(trees_key, pending))
        keys.update(key for trees in found for key in needed_keys(trees))
        bases = dict.fromkeys(base for trees in found for base in trees.bases)
        pending = [base for base in bases if base not in seen]
        seen.update(pending)
    return keys


def read_all(bucket: Bucket, commit: CommitId) -> PushedTrees:
    """Return an object with trees.  MissingObject, CorruptObject."""
    key = trees_key(commit)
    try:
        data = bucket.get(key, 0, TREES_MAX + 1).data
    except NoObject:
        raise MissingObject(f"the remote has no {key}") from None
    return read_trees(f"trees/{commit.hex()[:12]}", data)


def needed_keys(trees: PushedTrees) -> list[str]:
    """Return the keys of the packs and indexes that an object with trees names."""
    packs = [pack_key(each.name.digest) for each in trees.packs]
    return packs + [index_key(each.digest) for each in trees.table.indexes]
