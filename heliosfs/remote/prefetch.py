"""The promised contents of a tree, in the order in which they are worth to be read ahead.

First come the files that say what is ignored and how files are treated, without which neither a
status nor a commit can be made; then small files, which are sources and manifests, and then larger
ones.  What lies together in a pack is read together.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from enum import IntEnum

from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import Kind, Oid, TreeId
from heliosfs.objects.tree import Entry, decode_entry, is_index, split_leaf
from heliosfs.remote.closure import referred
from heliosfs.remote.hydration import Hydration
from heliosfs.remote.packfile import RemoteObject
from heliosfs.remote.repetition import arrival
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps
from heliosfs.store.base import Store
from heliosfs.store.promisefile import Promise
from heliosfs.trees.attributes import ATTRIBUTES_NAME
from heliosfs.trees.files import read_parts
from heliosfs.trees.ignore import GIT_IGNORE_NAME, IGNORE_NAME
from heliosfs.trees.stored import EMPTY_TREE, read_tree, walk_changes

SMALL_MAX_BYTES = 64 * 1024
_RULES = (IGNORE_NAME, GIT_IGNORE_NAME, ATTRIBUTES_NAME)
_TOGETHER_BYTES = 1024 * 1024
"""Most bytes of a range: it is short, so that nobody waits long behind it."""
_SKIPPED_BYTES = 64 * 1024
"""Most bytes between two contents of a range that are read for nothing."""


class Worth(IntEnum):
    """The classes of contents, in the order in which they are read."""

    RULES = 0
    SMALL = 1
    WHOLE = 2
    LARGE = 3


def missing(
    store: Store, root: Entry, worth: Worth, whole: Entry | None = None
) -> Iterator[Promise | None]:
    """Yield the promises of a class below a root that are not here, and None for all other entries.

    What is the same in the tree `whole`, of which nothing is missing, is not looked at.  Raise
    StoreError.  30 us an entry.
    """
    before = TreeId(whole.oid) if whole is not None else EMPTY_TREE
    for change in walk_changes(store, before, TreeId(root.oid)) if root.is_dir else ():
        entry = change.new
        is_file = entry is not None and entry.size > 0 and stat.S_ISREG(entry.mode)
        if entry is None or not is_file or _worth_of(entry) is not worth:
            yield None
        elif worth is Worth.LARGE:
            for part in read_parts(store, entry.oid)[2].values():
                yield _promise(store, part)
        else:
            yield _promise(store, entry.oid)


def _worth_of(entry: Entry) -> Worth:
    if entry.size > WHOLE_MAX:
        return Worth.LARGE
    if entry.name in _RULES:
        return Worth.RULES
    return Worth.SMALL if entry.size <= SMALL_MAX_BYTES else Worth.WHOLE


def _promise(store: Store, oid: Oid) -> Promise | None:
    promise = store.promises.find(oid)
    return promise if promise is not None and not store.contains(oid) else None


def bring_rules(repository: Repository, hydration: Hydration) -> Steps[None]:
    """Read the rules of the commit that is checked out, while nobody else waits for the store.

    Raise StoreError.
    """
    store, head = repository.store, repository.root.head
    if head is None:
        return
    found: list[Promise] = []
    for trees in _rules_below(store, repository.history.read(head).root):
        found += trees
        yield TURN
    for rows in ranges(found):
        yield from arrival(hydration, hydration.read(rows[0], rows), rows[0].oid)


def _rules_below(store: Store, root: Entry) -> Iterator[list[Promise]]:
    """Yield the promises of rules that are not here: those of one tree below a root after another.

    Raise StoreError.  1 us an entry: only a tree with the name of such a file is decoded.
    """
    pending = [TreeId(root.oid)] if root.is_dir else []
    seen = set(pending)
    while pending:
        tree = pending.pop()
        data = read_tree(store, tree)
        for kind, oid in referred(RemoteObject(Kind.TREE, tree, data)):
            if kind is Kind.TREE and oid not in seen:
                seen.add(TreeId(oid))
                pending.append(TreeId(oid))
        found: list[Promise | None] = []
        if not is_index(data) and any(name in data for name in _RULES):
            entries = (decode_entry(raw)[0] for raw in split_leaf(data))
            found += [_promise(store, each.oid) for each in entries if _is_rule(each)]
        yield [each for each in found if each is not None]


def _is_rule(entry: Entry) -> bool:
    is_file = entry.size > 0 and stat.S_ISREG(entry.mode)
    return is_file and _worth_of(entry) is Worth.RULES


def ranges(found: Sequence[Promise]) -> Iterator[list[Promise]]:
    """Yield promises in ranges of their packs, each of which is one request."""
    rows: list[Promise] = []
    for each in sorted(set(found), key=lambda each: (each.remote, each.pack, each.offset)):
        if rows and not _is_near(rows, each):
            yield rows
            rows = []
        rows.append(each)
    if rows:
        yield rows


def _is_near(rows: list[Promise], each: Promise) -> bool:
    first, last = rows[0], rows[-1]
    if (each.remote, each.pack) != (last.remote, last.pack):
        return False
    gap = each.offset - last.offset - last.stored_bytes
    length = each.offset + each.stored_bytes - first.offset
    return gap <= _SKIPPED_BYTES and length <= _TOGETHER_BYTES
