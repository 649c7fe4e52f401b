"""An operation and its bytes, without what its commit already says.

    id of the commit after it (zeros: none) | flags 1 | time 8
    | five numbers, unless ORDINARY | verb, unless COMMIT | text, unless SUBJECT
    | state before, unless COMMIT | state after, unless COMMIT

The store keeps the id, which comes first, as the number of an object.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from heliosfs.errors import CorruptObject, StoreError
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.objects.tree import NO_OID, encode_entry
from heliosfs.repo.history import History
from heliosfs.repo.working_state import State, decode_heads, decode_state
from heliosfs.store.encoding.codecs import read_varint, varint

TEXT_MAX = 500
"""Longest text in characters; the rest is cut off."""

COMMIT = 1
"""Flag: a commit, whose states follow from the commit."""
SUBJECT = 2
"""Flag: the text is the subject of the commit after it."""
ORDINARY = 4
"""Flag: undo reverts this operation next, and before it the one before."""
AT_HEAD_BEFORE = 8
"""Flag: the tree before was that of the commit before."""
AT_HEAD_AFTER = 16
FORMAT_1 = 255
"""Value of the flags if the rest is as in a store of format 1."""

_FIXED = struct.Struct("<32sBq")
_FORMAT_1 = struct.Struct("<qQQQQQHH")
_NUMBERS = 5
_COMMIT_VERB = "commit"


@dataclass(frozen=True, slots=True)
class Operation:
    """One step in the life of a workspace."""

    sequence: int
    """Number from 1 on, within the workspace."""
    time_ns: int
    verb: str
    text: str
    """Description for people."""
    before: State
    """State before, including its uncommitted changes."""
    after: State
    undoes: int
    """Operation that `undo` reverts while this one is the last; 0 for none."""
    redoes: int
    """Undo that `redo` reverts while this one is the last; 0 for none."""
    prior_undoes: int
    prior_redoes: int
    reverted: int
    """Operation that an undo has reverted."""


class OperationPlace(NamedTuple):
    """The part of an operation that is readable without its commit."""

    sequence: int
    time_ns: int
    undoes: int
    redoes: int


def encode_operation(operation: Operation, slot: int, history: History) -> bytes:
    """Return the bytes of an operation in the log of a slot: 41 for a commit."""
    after = operation.after
    head = after.head
    old_head = operation.before.head
    commit = _read(history, head)
    numbers = (
        operation.undoes,
        operation.redoes,
        operation.prior_undoes,
        operation.prior_redoes,
        operation.reverted,
    )
    flags = ORDINARY if numbers == _ordinary(operation.sequence) else 0
    if commit is not None:
        if operation.text == commit.subject[:TEXT_MAX]:
            flags |= SUBJECT
        if operation.verb == _COMMIT_VERB and _states_of(commit, slot, head) == (
            operation.before,
            after,
        ):
            flags |= COMMIT
    parts: list[bytes] = []
    if not flags & ORDINARY:
        parts += map(varint, numbers)
    if not flags & COMMIT:
        parts.append(_encode_text(operation.verb))
    if not flags & SUBJECT:
        parts.append(_encode_text(operation.text))
    if not flags & COMMIT:
        old = commit if old_head == head else _read(history, old_head)
        if old is not None and old.root == operation.before.root:
            flags |= AT_HEAD_BEFORE
        if commit is not None and commit.root == after.root:
            flags |= AT_HEAD_AFTER
        parts.append(_encode_state(operation.before, is_at_head=bool(flags & AT_HEAD_BEFORE)))
        parts.append(_encode_state(after, is_at_head=bool(flags & AT_HEAD_AFTER)))
    return _FIXED.pack(head or NO_OID, flags, operation.time_ns) + b"".join(parts)


def encode_said_operation(head: CommitId, time_ns: int) -> bytes:
    """Return what `encode_operation` does for an operation of which its commit says all.

    It is that of a commit of everything in the workspace, outside of a pick, after an operation
    that was not undone.
    """
    return _FIXED.pack(head, ORDINARY | SUBJECT | COMMIT, time_ns)


def decode_operation(sequence: int, data: bytes, slot: int, history: History) -> Operation:
    """Read an operation; CorruptObject, or MissingObject if its commit is missing."""
    try:
        if data[OID_BYTES] == FORMAT_1:
            return _decode_format_1(sequence, data[OID_BYTES + 1 :])
        oid, flags, time_ns = _FIXED.unpack_from(data)
        return _decode(sequence, data, CommitId(Oid(oid)), flags, time_ns, slot, history)
    except (struct.error, IndexError, ValueError) as error:
        raise CorruptObject(f"operation {sequence} cannot be read: {error}") from error


def decode_place(sequence: int, data: bytes) -> OperationPlace:
    """Read when an operation was, and what undo and redo revert while it is the last one.

    Raise CorruptObject.
    """
    try:
        if data[OID_BYTES] == FORMAT_1:
            time_ns, undoes, redoes, *_ = _FORMAT_1.unpack_from(data, OID_BYTES + 1)
        else:
            _, flags, time_ns = _FIXED.unpack_from(data)
            numbers = _ordinary(sequence) if flags & ORDINARY else _decode_numbers(data)[0]
            undoes, redoes, *_ = numbers
    except (struct.error, IndexError, ValueError) as error:
        raise CorruptObject(f"operation {sequence} cannot be read: {error}") from error
    return OperationPlace(sequence, time_ns, undoes, redoes)


def _decode_numbers(data: bytes) -> tuple[tuple[int, ...], int]:
    """Return the numbers of an operation that is not ordinary, and where they end."""
    at = _FIXED.size
    found = []
    for _ in range(_NUMBERS):
        number, at = read_varint(data, at)
        found.append(number)
    return tuple(found), at


def _decode(
    sequence: int,
    data: bytes,
    head: CommitId,
    flags: int,
    time_ns: int,
    slot: int,
    history: History,
) -> Operation:
    numbers, at = _ordinary(sequence), _FIXED.size
    if not flags & ORDINARY:
        numbers, at = _decode_numbers(data)
    verb = _COMMIT_VERB
    if not flags & COMMIT:
        verb, at = _decode_text(data, at)
    if flags & SUBJECT:
        text = history.read(head).subject[:TEXT_MAX]
    else:
        text, at = _decode_text(data, at)
    if flags & COMMIT:
        before, after = _states_of(history.read(head), slot, head)
    else:
        before, at = _decode_state(data, at, history, is_at_head=bool(flags & AT_HEAD_BEFORE))
        after, at = _decode_state(data, at, history, is_at_head=bool(flags & AT_HEAD_AFTER))
    return Operation(sequence, time_ns, verb, text, before, after, *numbers)


def _ordinary(sequence: int) -> tuple[int, ...]:
    """Return the numbers of an operation that comes after one that was not undone."""
    return sequence, 0, sequence - 1, 0, 0


def _states_of(commit: Commit, slot: int, head: CommitId | None) -> tuple[State, State]:
    """Return the states before and after a commit of everything in the workspace."""
    old, merging = (*commit.parents, None, None)[:2]
    return State(slot, old, commit.root, merging), State(slot, head, commit.root)


def _read(history: History, head: CommitId | None) -> Commit | None:
    """Return the commit; None if there is none, or it cannot be read."""
    if head is None:
        return None
    try:
        return history.read(head)
    except StoreError:
        return None


def _encode_text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return varint(len(data)) + data


def _decode_text(data: bytes, at: int) -> tuple[str, int]:
    length, at = read_varint(data, at)
    if at + length > len(data):
        raise IndexError("a text ends behind the bytes")
    return data[at : at + length].decode("utf-8", "surrogateescape"), at + length


def _encode_state(state: State, *, is_at_head: bool) -> bytes:
    return state.encode_with(b"" if is_at_head else encode_entry(state.root))


def _decode_state(data: bytes, at: int, history: History, *, is_at_head: bool) -> tuple[State, int]:
    if not is_at_head:
        return decode_state(data, at)
    slot, head, merging, at = decode_heads(data, at)
    if head is None:
        raise ValueError("a state without a commit is said to be that of a commit")
    return State(slot, head, history.read(head).root, merging), at


def _decode_format_1(sequence: int, data: bytes) -> Operation:
    time_ns, *numbers, verb_bytes, text_bytes = _FORMAT_1.unpack_from(data)
    at = _FORMAT_1.size
    verb = data[at : at + verb_bytes].decode()
    at += verb_bytes
    text = data[at : at + text_bytes].decode("utf-8", "surrogateescape")
    before, at = decode_state(data, at + text_bytes)
    after, _ = decode_state(data, at)
    return Operation(sequence, time_ns, verb, text, before, after, *numbers)
