"""Roots of a garbage collection: everything from which a program can reach objects."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import islice

from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.objects.references import Reference, entry_references
from heliosfs.objects.tree import decode_entry
from heliosfs.repo import keys
from heliosfs.repo.operation_log import OperationLog, logged_slots
from heliosfs.repo.repository import Repository
from heliosfs.repo.saves import Saves
from heliosfs.repo.stash import stashed
from heliosfs.repo.working_state import DETACHED, State, decode_state
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.nodes import FileNode

_NODE_SLICE = 4_096


def commit_roots(repository: Repository) -> Iterator[CommitId]:
    """Yield the commits that refs, those of remotes, the stash and open snapshots name."""
    for branch in repository.refs:
        if branch.head is not None:
            yield branch.head
    yield from repository.refs.tags.values()
    yield from repository.remotes.commits()
    yield from (entry.oid for entry in stashed(repository.store))
    yield from repository.open_snapshots


def saved_states(repository: Repository) -> Iterator[State]:
    """Yield the working states as last saved, without those of deleted branches."""
    for _, value in repository.store.scan(keys.WORK):
        state, _ = decode_state(value)
        if is_alive(repository, state.slot):
            yield state


def staged_roots(repository: Repository) -> Iterator[Reference]:
    """Yield the trees that are staged."""
    for _, value in repository.store.scan(keys.STAGE):
        yield from entry_references(decode_entry(value)[0])


def staged_before(repository: Repository) -> Iterator[tuple[int, int, list[Reference]]]:
    """Yield slot, sequence and staged tree of the time before an operation, for its undo."""
    for key, value in repository.store.scan(keys.STAGE_BEFORE):
        slot, sequence = keys.operation_in(keys.STAGE_BEFORE, key)
        yield slot, sequence, list(entry_references(decode_entry(value)[0]))


def kept_for_undo(repository: Repository, slot: int, end: int) -> list[tuple[int, bytes]]:
    """Return what serves only the undo of operations before `end`: their sequences, and keys.

    Few operations have such state, so it is looked for once, and not for each of them.
    """
    found = []
    for prefix in (keys.STAGE_BEFORE, keys.STASH_CHANGE):
        for key, _ in repository.store.scan(keys.of_operations(prefix, slot)):
            _, sequence = keys.operation_in(prefix, key)
            if sequence < end:
                found.append((sequence, key))
    return sorted(found)


def slots(repository: Repository) -> list[int]:
    """Return every slot whose working state and operation log are in use."""
    return [DETACHED, *(branch.slot for branch in repository.refs)]


def changed_slots(repository: Repository, known: Container[int]) -> list[int]:
    """Return the slots that are not known, or have changed since the collection began.

    There may be thousands of others, of which each takes 40 us to look at.
    """
    changed = repository.history.changed_slots
    assert changed is not None
    shown = {view.slot for view in repository.views()}
    return [
        slot for slot in slots(repository) if slot in changed or slot in shown or slot not in known
    ]


def dead_slots(repository: Repository) -> list[int]:
    """Return the slots of deleted branches that have left some state."""
    store = repository.store
    saved = (keys.slot_in(keys.WORK, key) for key, _ in store.scan(keys.WORK))
    found = sorted({*saved, *logged_slots(store)})
    return [slot for slot in found if not is_alive(repository, slot)]


def is_alive(repository: Repository, slot: int) -> bool:
    """Return True if a slot is that of a branch, or of the detached HEAD."""
    return slot == DETACHED or repository.refs.of_slot(slot) is not None


def log_of(repository: Repository, slot: int) -> OperationLog:
    """Return the operation log of a slot, from its view if one is open."""
    for view in repository.views():
        if view.slot == slot:
            # It has its last operation in memory: only a change through it is seen by the view.
            return view.log
    return OperationLog(repository.store, repository.history, slot)


def saves_of(repository: Repository, slot: int) -> Saves:
    """Return the saves of a slot, from its view if one is open."""
    for view in repository.views():
        if view.slot == slot:
            return view.saves
    return Saves(repository.store, slot)


def heads(states: Iterable[State]) -> Iterator[CommitId]:
    """Yield the commits that working states name."""
    for state in states:
        yield from (oid for oid in (state.head, state.merging) if oid is not None)


def state_references(state: State) -> Iterator[Reference]:
    """Yield the objects that a working state names."""
    yield from entry_references(state.root)
    for oid in heads((state,)):
        yield Kind.COMMIT, oid


def nameless_files(repository: Repository) -> Iterator[list[Reference]]:
    """Yield the contents of open files that have no name any more, some nodes at a time."""
    nodes = repository.inodes.nodes
    inodes = iter(list(nodes))
    while chunk := list(islice(inodes, _NODE_SLICE)):
        found: list[Reference] = []
        for ino in chunk:
            node = nodes.get(ino)
            # A file with a name is in a tree, and marked with that.
            if isinstance(node, FileNode) and node.parent is None:
                found += _content(node)
        yield found


def _content(node: FileNode) -> Iterator[Reference]:
    if node.oid is not None and node.file_size:
        yield (Kind.BLOB if node.file_size <= WHOLE_MAX else Kind.PARTS), node.oid
    if isinstance(node.content, LargeFile):
        for part in node.content.stored.ids.values():
            yield Kind.BLOB, part
