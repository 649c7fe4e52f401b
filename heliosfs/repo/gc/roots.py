"""What keeps objects from being collected: everything from which a program can get at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.objects.references import Reference, entry_references
from heliosfs.objects.tree import decode_entry
from heliosfs.repo import keys
from heliosfs.repo.operation_log import OperationLog, logged_slots
from heliosfs.repo.repository import Repository
from heliosfs.repo.saves import Saves
from heliosfs.repo.stash import forget_stashed, stashed
from heliosfs.repo.working_state import DETACHED, State, decode_state
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.nodes import FileNode

_NODE_SLICE = 4_096


def commit_roots(repository: Repository) -> Iterator[CommitId]:
    """The commits that refs and the stash name, and those that someone looks at."""
    for branch in repository.refs:
        if branch.head is not None:
            yield branch.head
    yield from repository.refs.tags.values()
    yield from (entry.oid for entry in stashed(repository.store))
    yield from repository.open_snapshots


def saved_states(repository: Repository) -> Iterator[State]:
    """The working states as they were saved last, those of deleted branches left out."""
    for _, value in repository.store.scan(keys.WORK):
        state, _ = decode_state(value)
        if is_alive(repository, state.slot):
            yield state


def staged_roots(repository: Repository) -> Iterator[Reference]:
    """What is staged for the next commits."""
    for _, value in repository.store.scan(keys.STAGE):
        yield from entry_references(decode_entry(value)[0])


def staged_before(repository: Repository) -> Iterator[tuple[int, int, list[Reference]]]:
    """What was staged before an operation, for its undo: slot, sequence, and the tree."""
    for key, value in repository.store.scan(keys.STAGE_BEFORE):
        slot, sequence = keys.operation_in(keys.STAGE_BEFORE, key)
        yield slot, sequence, list(entry_references(decode_entry(value)[0]))


def forget_staged(repository: Repository, slot: int, sequence: int) -> None:
    """Drop what was staged before an operation; the caller publishes."""
    key = keys.of_operation(keys.STAGE_BEFORE, slot, sequence)
    if repository.store.get(key) is not None:
        repository.store.put(key, None)
    forget_stashed(repository.store, slot, sequence)


def slots(repository: Repository) -> list[int]:
    """Every slot whose working state and operation log can be had."""
    return [DETACHED, *(branch.slot for branch in repository.refs)]


def dead_slots(repository: Repository) -> list[int]:
    """The slots of deleted branches of which something is left."""
    store = repository.store
    saved = (keys.slot_in(keys.WORK, key) for key, _ in store.scan(keys.WORK))
    found = sorted({*saved, *logged_slots(store)})
    return [slot for slot in found if not is_alive(repository, slot)]


def is_alive(repository: Repository, slot: int) -> bool:
    """Whether a slot is that of a branch, or of the detached HEAD."""
    return slot == DETACHED or repository.refs.of_slot(slot) is not None


def log_of(repository: Repository, slot: int) -> OperationLog:
    """The operation log of a slot: that of the view, where one is open."""
    for view in repository.views():
        if view.slot == slot:
            return view.log
    return OperationLog(repository.store, repository.history, slot)


def saves_of(repository: Repository, slot: int) -> Saves:
    """The saves of a slot: those of the view, where one is open."""
    for view in repository.views():
        if view.slot == slot:
            return view.saves
    return Saves(repository.store, slot)


def heads(states: Iterable[State]) -> Iterator[CommitId]:
    """The commits that working states name."""
    for state in states:
        yield from (oid for oid in (state.head, state.merging) if oid is not None)


def state_references(state: State) -> Iterator[Reference]:
    """What a working state names."""
    yield from entry_references(state.root)
    for oid in heads((state,)):
        yield Kind.COMMIT, oid


def nameless_files(repository: Repository) -> Iterator[list[Reference]]:
    """The contents of files that are open and have no name any more, some nodes at a time."""
    nodes = repository.inodes.nodes
    inodes = iter(list(nodes))
    while chunk := list(islice(inodes, _NODE_SLICE)):
        found: list[Reference] = []
        for ino in chunk:
            node = nodes.get(ino)
            if isinstance(node, FileNode) and node.parent is None:
                found += _content(node)
        yield found


def _content(node: FileNode) -> Iterator[Reference]:
    if node.oid is not None and node.file_size:
        yield (Kind.BLOB if node.file_size <= WHOLE_MAX else Kind.PARTS), node.oid
    if isinstance(node.content, LargeFile):
        for part in node.content.ids.values():
            yield Kind.BLOB, part
