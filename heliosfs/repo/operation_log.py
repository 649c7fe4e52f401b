"""The operation log: the states before and after each verb, along which undo and redo move.

The log is append-only.  An operation of a verb is reverted by the next undo.  The undo itself is
recorded as an operation, too, which says what the next undo and the next redo revert.
"""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.errors import CorruptObject, NotFound, StoreError
from heliosfs.objects.commit import Commit
from heliosfs.repo import keys
from heliosfs.repo.history import History
from heliosfs.repo.inverses import Inverses
from heliosfs.repo.operation import (
    TEXT_MAX,
    Operation,
    OperationPlace,
    decode_operation,
    decode_place,
    encode_operation,
    encode_said_operation,
)
from heliosfs.repo.working_state import State
from heliosfs.store.base import StateMap

NONE = 0


class OperationLog:
    """The log of one working state.  Changes go into the store's batch, to be published."""

    def __init__(
        self, store: StateMap, history: History, slot: int, inverses: Inverses | None = None
    ) -> None:
        self._store = store
        self._inverses = Inverses() if inverses is None else inverses
        self._history = history
        self._slot = slot
        self._prefix, self._last_key, self._first_key = keys.of_log(slot)
        self._last: OperationPlace | None = None
        if known := store.get(self._last_key):
            # Not all of it, which takes its commit: a damaged one must not keep a branch closed.
            (sequence,) = keys.NUMBER.unpack(known)
            data = store.get(self._prefix + known)
            if data is None:
                raise _missing(sequence)
            self._last = decode_place(sequence, data)

    @property
    def last(self) -> OperationPlace | None:
        """Place of the newest operation, or None."""
        return self._last

    @property
    def first(self) -> int:
        """Sequence of the oldest operation that was not dropped."""
        known = self._store.get(self._first_key)
        return int(keys.NUMBER.unpack(known)[0]) if known else 1

    def read(self, sequence: int) -> Operation:
        """Return an operation; CorruptObject if it is missing or cannot be read."""
        data = self._store.get(self._prefix + keys.NUMBER.pack(sequence))
        if data is None:
            raise _missing(sequence)
        return decode_operation(sequence, data, self._slot, self._history)

    def operations(self) -> Iterator[Operation]:
        """Yield all operations, the newest first."""
        sequence = self._last.sequence if self._last else 0
        first = self.first
        while sequence >= first:
            yield self.read(sequence)
            sequence -= 1

    def listed(self, after: int = 0) -> Iterator[tuple[int, Operation | StoreError]]:
        """Yield the number of each operation, the newest first, and it or why it cannot be read.

        Those up to the number `after` are left out.
        """
        sequence = self._last.sequence if self._last else 0
        first = max(self.first, after + 1)
        while sequence >= first:
            try:
                yield sequence, self.read(sequence)
            except StoreError as error:
                yield sequence, error
            sequence -= 1

    def record(self, time_ns: int, verb: str, text: str, before: State, after: State) -> None:
        """Append an operation of a verb."""
        last = self._last
        sequence = last.sequence + 1 if last else 1
        self._append(
            Operation(
                sequence,
                time_ns,
                verb,
                text[:TEXT_MAX],
                before,
                after,
                undoes=sequence,
                redoes=NONE,
                prior_undoes=last.undoes if last else NONE,
                prior_redoes=NONE,
                reverted=NONE,
            )
        )

    def record_said(self, time_ns: int, commit: Commit, before: State, after: State) -> None:
        """Append the operation of a commit of which the commit itself says all: 2 us.

        It is one of everything in the workspace, without an open pick.
        """
        last = self._last
        if last is None or after.head is None or last.undoes != last.sequence:
            self.record(time_ns, "commit", commit.subject, before, after)
            return
        sequence = last.sequence + 1
        # What OperationPlace() does, without its call.
        place = tuple.__new__(OperationPlace, (sequence, time_ns, sequence, NONE))
        self._put(place, encode_said_operation(after.head, time_ns))

    def note(self, time_ns: int, verb: str, text: str, state: State) -> None:
        """Append that something was done which changed no state of this log.

        Undo and redo pass over it: they revert what they would without it.
        """
        last = self._last
        self._append(
            Operation(
                last.sequence + 1 if last else 1,
                time_ns,
                verb,
                text[:TEXT_MAX],
                state,
                state,
                undoes=last.undoes if last else NONE,
                redoes=last.redoes if last else NONE,
                prior_undoes=last.undoes if last else NONE,
                prior_redoes=last.redoes if last else NONE,
                reverted=NONE,
            )
        )

    def undo_target(self) -> Operation:
        """Return the operation that undo reverts now.  NotFound."""
        return self._target(self._last.undoes if self._last else NONE, "undo")

    def redo_target(self) -> Operation:
        """Return the undo that redo reverts now.  NotFound."""
        return self._target(self._last.redoes if self._last else NONE, "redo")

    def _target(self, sequence: int, verb: str) -> Operation:
        if not sequence:
            raise NotFound(f"nothing to {verb}")
        if sequence < self.first:
            raise NotFound(f"nothing to {verb}: a garbage collection dropped what came before")
        return self.read(sequence)

    def drop_before(self, sequence: int, limit: int) -> int:
        """Drop at most `limit` operations that come before `sequence`, the oldest first.

        Return the number of dropped ones.  If none is left, the log begins anew.  The caller
        publishes.
        """
        if self._last is None:
            return 0
        first, last = self.first, self._last.sequence
        end = min(first + limit, sequence, last + 1)
        for each in range(first, end):
            self._store.put(self._prefix + keys.NUMBER.pack(each), None)
        if end > last:
            self._last = None
            self._store.put(self._last_key, None)
            self._store.put(self._first_key, None)
        elif end > first:
            self._store.put(self._first_key, keys.NUMBER.pack(end))
        return max(0, end - first)

    def record_undo(self, time_ns: int, target: Operation, before: State, after: State) -> None:
        """Append that `target` was undone, from the state `before`.

        `after` is the state before the target, with the ignored files of now.
        """
        last = self._last
        assert last is not None
        sequence = last.sequence + 1
        text = target.text if target.verb == "redo" else f"{target.verb}: {target.text}"
        self._append(
            Operation(
                sequence,
                time_ns,
                "undo",
                text[:TEXT_MAX],
                before,
                after,
                undoes=target.prior_undoes,
                redoes=sequence,
                prior_undoes=last.undoes,
                prior_redoes=last.redoes,
                reverted=target.sequence,
            )
        )

    def record_redo(self, time_ns: int, target: Operation, before: State, after: State) -> None:
        """Append that the undo `target` was reverted.

        The next undo reverts this redo, and not the operation that it restored: edits between the
        undo and the redo are in its own `before`.
        """
        last = self._last
        assert last is not None
        sequence = last.sequence + 1
        self._append(
            Operation(
                sequence,
                time_ns,
                "redo",
                target.text,
                before,
                after,
                undoes=sequence,
                redoes=target.prior_redoes,
                prior_undoes=last.undoes,
                prior_redoes=last.redoes,
                reverted=target.sequence,
            )
        )

    def _append(self, operation: Operation) -> None:
        # I26: numbers follow on each other; the last one is known by its key.
        assert operation.sequence == (self._last.sequence + 1 if self._last else 1)
        # What OperationPlace() does, without its call.
        fields = (operation.sequence, operation.time_ns, operation.undoes, operation.redoes)
        data = encode_operation(operation, self._slot, self._history)
        self._put(tuple.__new__(OperationPlace, fields), data)

    def _put(self, place: OperationPlace, data: bytes) -> None:
        key = keys.NUMBER.pack(place.sequence)
        self._store.put(self._prefix + key, data)
        self._store.put(self._last_key, key)
        self._inverses.append((setattr, (self, "_last", self._last)))
        self._last = place
        if self._history.changed_slots is not None:
            self._history.changed_slots.add(self._slot)


def _missing(sequence: int) -> CorruptObject:
    return CorruptObject(f"operation {sequence} is missing in the operation log")


def logged_slots(store: StateMap) -> list[int]:
    """Return the slots that have an operation log."""
    return [keys.number_in(keys.LAST_OPERATION, key) for key, _ in store.scan(keys.LAST_OPERATION)]
