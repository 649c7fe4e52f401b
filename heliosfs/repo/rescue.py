"""Rescue: a new store with the readable parts of a damaged one (`helios fsck --repair NEW`).

Objects come from their payloads, wherever these lie; the index is made anew.  State is taken as it
is where it can be read and what it names is there.  A branch whose commit is lost goes back to the
newest commit that its operation log knows; a working state whose tree is lost, to the last sound
save, or to HEAD.  Whatever is not as it was is told of.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress

from heliosfs.errors import CorruptObject, HeliosError, StoreError
from heliosfs.objects.blob import EMPTY_BLOB
from heliosfs.objects.commit import commit_links
from heliosfs.objects.ids import OID_BYTES, CommitId, Kind, Oid
from heliosfs.objects.outline import EMPTY_TREE_ID
from heliosfs.repo import keys
from heliosfs.repo.configuration import FILE as CONFIGURATION_FILE
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.history import History
from heliosfs.repo.operation import decode_operation
from heliosfs.repo.working_state import DETACHED, State, decode_state
from heliosfs.steps import perform
from heliosfs.store.base import Store
from heliosfs.store.local import LocalStore
from heliosfs.store.pending import bytes_of
from heliosfs.store.rescue import DamagedStore
from heliosfs.store.sidefile import MemoryFile
from heliosfs.workspace.inodes import FILE as INODES_FILE

_WRITE_BYTES = 16 * 1024 * 1024
_SLOT = struct.Struct("<Q")
_TIME_BYTES = 8
_MAIN = b"main"
_COPIED = (CONFIGURATION_FILE, "id", INODES_FILE)
_DERIVED = (
    keys.MILESTONE,
    keys.MILESTONES,
    keys.REMOTE_REF,
    keys.REMOTE_KEPT,
    keys.REMOTE_SCORES,
    keys.PUSHING,
    keys.REMOTE_STAGE,
)
"""State that is made again when it is missing; what remotes have, by the next fetch."""


class Rescue:
    """The rescue of a damaged store into a new one."""

    def __init__(self, old_fd: int, new_fd: int) -> None:
        """See DamagedStore; the new directory is empty."""
        self.damaged = DamagedStore(old_fd)
        self._new_fd = new_fd
        self._parents: dict[Oid, tuple[Oid, ...]] = {}
        self._oids: set[Oid] = {EMPTY_TREE_ID, EMPTY_BLOB}

    @property
    def lost(self) -> list[str]:
        """Lines for people about lost or altered data."""
        return self.damaged.lost

    @property
    def object_count(self) -> int:
        """Number of objects that were found."""
        return len(self._oids) - 2

    def run(self) -> None:
        """Make the new store.  Raise StoreError."""
        state = self.damaged.state()
        store = LocalStore.open(self._new_fd, create=True)
        try:
            self._copy_objects(store)
            for remote, packs in self.damaged.promises():
                store.promises.add(remote, packs)
            self._mend(state)
            for key, value in state.items():
                store.put(key, value)
            store.publish()
            self._cut_logs(store, state)
            store.publish()
        finally:
            store.close()
        for name in _COPIED:
            data = self.damaged.read_beside(name)
            if data is not None:
                self._copy(name, data)
            elif name == INODES_FILE and keys.NUMBERED in state:
                self.lost.append(f"the file {name} is missing, or cannot be read")

    def _copy(self, name: str, data: bytes) -> None:
        """Copy a file beside the store; under another name if it cannot be used."""
        try:
            _check_beside(name, data)
        except (HeliosError, ValueError) as error:
            self.lost.append(f"{name} cannot be used, and is {name}.damaged now: {error}")
            name += ".damaged"
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._new_fd)
        with os.fdopen(fd, "wb") as file:
            file.write(data)

    def _copy_objects(self, store: LocalStore) -> None:
        bulk = store.bulk()
        based: set[Oid] = set()
        try:
            for item in self.damaged.objects():
                if item.oid in self._oids:
                    continue
                if not isinstance(item.data, bytes):
                    # Its base may be among those that wait.
                    _write(bulk.plan_write)
                try:
                    data = bytes_of(self.damaged.packs, item, store.read)
                except StoreError as error:
                    self.lost.append(str(error))
                    continue
                base = item.base
                # Only commits may share a base.
                if base is not None and item.kind is not Kind.COMMIT:
                    base = None if base in based else base
                    based.add(base or item.oid)
                bulk.add(item.oid, item.kind, data, base)
                self._note(item.oid, item.kind, data)
                if bulk.waiting_bytes >= _WRITE_BYTES:
                    _write(bulk.plan_write)
            _write(bulk.plan_write)
        finally:
            bulk.close()

    def _note(self, oid: Oid, kind: Kind, data: bytes) -> None:
        self._oids.add(oid)
        if kind is Kind.COMMIT:
            self._parents[oid] = tuple(commit_links(data).parents)

    def _mend(self, state: dict[bytes, bytes]) -> None:
        """Remove references to missing objects from all state."""
        for key in [key for key in state if key.startswith(_DERIVED)]:
            del state[key]
        for key in [key for key in state if key.startswith(keys.COMMIT)]:
            if Oid(key[len(keys.COMMIT) :]) not in self._parents:
                del state[key]
                self.lost.append(f"commit {key[len(keys.COMMIT) :].hex()[:12]}")
        self._mend_edge(state)
        heads = _last_heads(state, self._parents)
        self._mend_branches(state, heads)
        self._mend_tags(state)
        self._mend_states(state)
        self._list_all(state, heads)

    def _mend_edge(self, state: dict[bytes, bytes]) -> None:
        """Make the records of commits whose parents are not there, of which the keys are known."""
        lost = [key for key in self.damaged.lost_keys if key.startswith(keys.SHALLOW)]
        for key in [*lost, *(key for key, _ in _under(state, keys.SHALLOW))]:
            parents = self._parents.get(Oid(key[len(keys.SHALLOW) :]))
            if parents is None:
                state.pop(key, None)
            else:
                state[key] = b"".join(parents)

    def _mend_branches(self, state: dict[bytes, bytes], heads: dict[int, Oid]) -> None:
        slots: set[int] = {DETACHED}
        for key, value in _under(state, keys.BRANCH):
            name = keys.name_in(keys.BRANCH, key)
            if len(value) not in (_SLOT.size, _SLOT.size + OID_BYTES):
                del state[key]
                self.lost.append(f"branch {name}")
                continue
            (slot,) = _SLOT.unpack_from(value)
            slots.add(slot)
            head = Oid(value[_SLOT.size :])
            if head and head not in self._parents:
                found = heads.get(slot)
                state[key] = value[: _SLOT.size] + (found or b"")
                at = f"is now at {found.hex()[:12]}" if found else "has no commit now"
                self.lost.append(f"branch {name} was at {head.hex()[:12]}, which is lost: it {at}")
        # A branch whose name or slot is lost: its operation log still says where it was.
        lost = [key for key in self.damaged.lost_keys if key.startswith(keys.BRANCH)]
        free = sorted(set(heads) - slots)
        for slot in free if lost or not slots - {DETACHED} else []:
            name = f"rescued-{slot}"
            if len(lost) == 1 and len(free) == 1:
                name = keys.name_in(keys.BRANCH, lost[0])
            state[keys.of_name(keys.BRANCH, name)] = _SLOT.pack(slot) + heads[slot]
            slots.add(slot)
            self.lost.append(
                f"branch {name} is as its operation log says, {heads[slot].hex()[:12]}"
            )
        self._mend_root(state, slots)

    def _mend_root(self, state: dict[bytes, bytes], slots: set[int]) -> None:
        known = state.get(keys.NEXT_SLOT)
        wanted = max(slots) + 1
        if known is None or len(known) != _SLOT.size or _SLOT.unpack(known)[0] < wanted:
            state[keys.NEXT_SLOT] = _SLOT.pack(wanted)
        if not slots - {DETACHED}:
            state[keys.BRANCH + _MAIN] = _SLOT.pack(wanted)
            state[keys.NEXT_SLOT] = _SLOT.pack(wanted + 1)
            slots.add(wanted)
            self.lost.append("all branches: a new one, main, has no commit")
        root = state.get(keys.ROOT, b"")
        if len(root) != _SLOT.size or _SLOT.unpack(root)[0] not in slots:
            value = state.get(keys.BRANCH + _MAIN) or _under(state, keys.BRANCH)[0][1]
            state[keys.ROOT] = value[: _SLOT.size]
            self.lost.append("what the mount point shows: it is now a branch that is there")

    def _mend_tags(self, state: dict[bytes, bytes]) -> None:
        for key, value in _under(state, keys.TAG):
            if Oid(value) not in self._parents:
                del state[key]
                name = keys.name_in(keys.TAG, key)
                self.lost.append(f"tag {name}, of commit {value.hex()[:12]}")

    def _mend_states(self, state: dict[bytes, bytes]) -> None:
        lost = [key for key in self.damaged.lost_keys if key.startswith(keys.WORK)]
        found = {key: state.pop(key) for key, _ in _under(state, keys.WORK)}
        for key in sorted({*found, *lost}):
            if key in found and self._is_there(found[key], 0):
                state[key] = found[key]
                continue
            slot = keys.slot_in(keys.WORK, key)
            saves = sorted(_under(state, keys.of_slot(keys.SAVE, slot) + b"/"))
            sound = [value for _, value in saves if self._is_there(value, _TIME_BYTES)]
            if sound:
                state[key] = sound[-1][_TIME_BYTES:]
            what = "the last save that can be read" if sound else "its commit"
            self.lost.append(f"the working state of slot {slot} is now that of {what}")
        for key, value in _under(state, keys.SAVE):
            if not self._is_there(value, _TIME_BYTES):
                del state[key]

    def _is_there(self, value: bytes, at: int) -> bool:
        """Return True if a working state and the objects that it names are readable."""
        found: State | None = None
        with suppress(CorruptObject, ValueError):
            found = decode_state(value, at)[0]
        if found is None or found.root.oid not in self._oids:
            return False
        return all(oid is None or oid in self._parents for oid in (found.head, found.merging))

    def _list_all(self, state: dict[bytes, bytes], heads: dict[int, Oid]) -> None:
        """List every commit that a ref or an operation leads to."""
        pending = [*heads.values()]
        pending += [Oid(value[_SLOT.size :]) for _, value in _under(state, keys.BRANCH)]
        pending += [Oid(value) for _, value in _under(state, keys.TAG)]
        pending += [Oid(key[len(keys.COMMIT) :]) for key, _ in _under(state, keys.COMMIT)]
        seen: set[Oid] = set()
        while pending:
            oid = pending.pop()
            if oid in seen or oid not in self._parents:
                continue
            seen.add(oid)
            pending += self._parents[oid]
            state.setdefault(keys.COMMIT + oid, b"")

    def _cut_logs(self, store: Store, state: dict[bytes, bytes]) -> None:
        """Cut each log so that it ends with its newest readable operation and has no gap."""
        logs: dict[int, list[int]] = {}
        for key, _ in _under(state, keys.OPERATION):
            slot, sequence = keys.operation_in(keys.OPERATION, key)
            logs.setdefault(slot, []).append(sequence)
        history = History(store)
        for key, _ in _under(state, keys.LAST_OPERATION):
            logs.setdefault(keys.number_in(keys.LAST_OPERATION, key), [])
        for slot, sequences in logs.items():
            prefix, last_key, first_key = keys.of_log(slot)
            kept: list[int] = []
            for sequence in sorted(sequences, reverse=True):
                key = prefix + keys.NUMBER.pack(sequence)
                is_next = not kept or sequence == kept[-1] - 1
                if is_next and _is_readable(history, slot, sequence, state[key]):
                    kept.append(sequence)
                else:
                    store.put(key, None)
                    self.lost.append(f"operation {sequence} of slot {slot}")
            known = state.get(last_key)
            if known and (not kept or kept[0] < keys.NUMBER.unpack(known)[0]):
                self.lost.append(f"the operations of slot {slot} after {kept[0] if kept else 0}")
            store.put(last_key, keys.NUMBER.pack(kept[0]) if kept else None)
            if kept and kept[-1] > 1:
                store.put(first_key, keys.NUMBER.pack(kept[-1]))


def _check_beside(name: str, data: bytes) -> None:
    """Check that a file beside the store can be read.  Raise HeliosError or ValueError."""
    if name == CONFIGURATION_FILE:
        Configuration(MemoryFile(data))
    if name == INODES_FILE:
        int(data)


def _write(plan: Callable[[], object]) -> None:
    work = plan()
    if work is not None:
        perform(work)  # type: ignore[arg-type]


def _under(state: dict[bytes, bytes], prefix: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, value) for key, value in state.items() if key.startswith(prefix)]


def _last_heads(state: dict[bytes, bytes], commits: dict[Oid, tuple[Oid, ...]]) -> dict[int, Oid]:
    """Return for each slot the commit of the newest operation whose commit exists."""
    newest: dict[int, tuple[int, Oid]] = {}
    for key, value in _under(state, keys.OPERATION):
        slot, sequence = keys.operation_in(keys.OPERATION, key)
        head = Oid(value[:OID_BYTES])
        if head in commits and sequence > newest.get(slot, (0, head))[0]:
            newest[slot] = sequence, head
    return {slot: head for slot, (_, head) in newest.items()}


def _is_readable(history: History, slot: int, sequence: int, value: bytes) -> bool:
    try:
        operation = decode_operation(sequence, value, slot, history)
    except (StoreError, ValueError, AssertionError):
        return False
    heads: list[CommitId | None] = [operation.before.head, operation.after.head]
    return all(head is None or head in history for head in heads)
