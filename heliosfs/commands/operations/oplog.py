"""`undo`, `redo` and `oplog`: the way back, the way forward, and the lists of both."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypeAlias

from heliosfs.clock import SECOND_NS
from heliosfs.commands.moments import ago
from heliosfs.commands.operations.past import (
    describe_past,
    described,
    kept_saves,
    last_save,
    moment_state,
)
from heliosfs.commands.options import Options
from heliosfs.commands.render import head_line, iso_time, json_reply, quote_path, short, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import StoreError
from heliosfs.repo.operation import Operation
from heliosfs.repo.returning import WALKED_MAX, Past, go_to, lost_edits, state_after
from heliosfs.repo.undoing import take_back
from heliosfs.repo.view import View
from heliosfs.repo.working_state import State
from heliosfs.steps import TURN, Steps

_EDITED_COUNT = 5
_Listed: TypeAlias = "tuple[int, Operation | StoreError]"
"""Number of an operation, and it or why it cannot be read."""


def undo(request: Request, options: Options) -> str:
    """Take back the last operations that were not taken back, or go to a moment."""
    if options.value("at") is not None:
        options.at_most(0)
        return _go_to(request, options, moment_state(request, options))
    return _step(request, options)


def redo(request: Request, options: Options) -> str:
    """Take back the last undos that were not taken back."""
    return _step(request, options)


def oplog(request: Request, options: Options) -> str | Steps[str]:
    """List the operations of the view, the newest first, or its saves; or go to one of them."""
    words = options.words
    if words[:1] == ["restore"]:
        return _go_to(request, options, _chosen_state(request, options))
    for key in ("at", "before"):
        if key in options:
            raise options.misuse(f"--{key} belongs to 'oplog restore'")
    options.at_most(0)
    if "saved" in options:
        return _saves(request, options)
    operations, count_max = request.view.log.listed(), options.number("max-count")
    if "json" in options:
        return _operation_documents(operations, count_max)
    return operation_lines(operations, count_max)


def operation_lines(operations: Iterable[_Listed], count_max: int | None) -> Steps[str]:
    """Return a line for each operation, and for `count_max` at most."""
    lines = []
    for number, each in islice(operations, count_max):
        if isinstance(each, StoreError):
            lines.append(f"{number:>4} (cannot be read: {each})\n")
            continue
        lines.append(
            f"{each.sequence:>4} {iso_time(each.time_ns // SECOND_NS)} {each.verb:<8} "
            f"{_head(each.before)} -> {_head(each.after)} {_line(each.text)}".rstrip()
            + "\n"
        )
        yield TURN
    return "".join(lines)


def _operation_documents(operations: Iterable[_Listed], count_max: int | None) -> Steps[str]:
    documents: list[dict[str, object]] = []
    for number, each in islice(operations, count_max):
        if isinstance(each, StoreError):
            documents.append({"sequence": number, "error": str(each)})
            continue
        documents.append(_document(each))
        yield TURN
    return json_reply(documents)


def _step(request: Request, options: Options) -> str:
    options.at_most(1)
    verb, count = options.verb, _count(options, options.words[0]) if options.words else 1
    repository, view = request.repository, request.view
    was_root, root = view is repository.root, view.state().root
    newest = view.log.last
    last = None
    if newest is not None and (verb == "redo" or newest.undoes != newest.sequence):
        last = view.log.read(newest.sequence)
    done = take_back(repository, view, count, redoes=verb == "redo")
    # Most often it is what is undone first.
    last = last or done[0]
    now = repository.root if was_root else view
    edited = lost_edits(view, last.after.root, root, now.state().root)
    if "json" in options:
        document = {"operation": _document(done[-1]), "count": len(done), **_where(now)}
        return json_reply(document | {"kept": [text_of(path) for path in edited]})
    if verb == "undo":
        lines = [f"undid {each.verb}: {_line(each.text)}\n" for each in done]
    else:
        lines = [f"redid {_line(each.text)}\n" for each in done]
    other = "redo" if verb == "undo" else "undo"
    way = f"and kept for {other!r}"
    if now is not view:
        way = "and kept: 'checkout -', then 'undo'"
    return f"{''.join(lines)}{head_line(repository, now)}{_edits_line(edited, way)}"


def _edits_line(edited: list[bytes], way: str) -> str:
    """Return a line about edits since the last operation that are not in the tree any more."""
    if not edited:
        return ""
    shown = ", ".join(quote_path(path) for path in edited[:_EDITED_COUNT])
    least = "at least " if len(edited) >= WALKED_MAX else ""
    rest = len(edited) - _EDITED_COUNT
    more = f" and {least}{rest} more" if rest > 0 else ""
    return f"changed since the last operation, {way}: {shown}{more}\n"


def _count(options: Options, word: str) -> int:
    if not word.isdecimal() or not int(word[:9]) >= 1:
        raise options.misuse(f"a number of operations is 1 or more, not {word[:80]!r}")
    return int(word[:9])


def _go_to(request: Request, options: Options, past: Past) -> str:
    """Make HEAD and the files those of a state of before."""
    repository, view = request.repository, request.view
    go_to(view, past.state, describe_past(past))
    if "json" in options:
        return json_reply({"time": iso_time(past.time_ns // SECOND_NS), **_where(view)})
    return f"went back to {described(request, past)}\n{head_line(repository, view)}"


def _chosen_state(request: Request, options: Options) -> Past:
    """Return the state that `oplog restore` names."""
    options.at_most(2)
    numbers = options.words[1:]
    if "at" in options:
        options.at_most(1)
        options.only_one("at", "before", "saved")
        return moment_state(request, options)
    if "saved" in options:
        options.at_most(1)
        options.only_one("saved", "before")
        return last_save(request)
    if not numbers:
        raise options.misuse("give the number of an operation: 'oplog' lists them")
    number = _count(options, numbers[0])
    return state_after(request.view, number, before="before" in options)


def _saves(request: Request, options: Options) -> str:
    """List the saves of the view, the newest first."""
    view = request.view
    saves = list(islice(reversed(view.saves.all()), options.number("max-count")))
    if "json" in options:
        rows = [(each.time_ns // SECOND_NS, view.saves.read(each)) for each in saves]
        return json_reply(
            [{"time": iso_time(seconds), **_state_document(state)} for seconds, state in rows]
        )
    now_ns = request.repository.clock.now_ns()
    lines = [
        f"{iso_time(each.time_ns // SECOND_NS)} {ago((now_ns - each.time_ns) // SECOND_NS)}, "
        f"on {_head(view.saves.read(each))}\n"
        for each in saves
    ]
    return "".join(lines) + f"{kept_saves(view)}\n"


def _where(view: View) -> dict[str, object]:
    return {"branch": view.branch, "head": view.head.hex() if view.head else None}


def _document(operation: Operation) -> dict[str, object]:
    seconds, rest = divmod(operation.time_ns, SECOND_NS)
    return {
        "sequence": operation.sequence,
        "time": iso_time(seconds),
        "seconds": seconds + rest / SECOND_NS,
        "verb": operation.verb,
        "text": operation.text,
        "reverted": operation.reverted or None,
        "before": _state_document(operation.before),
        "after": _state_document(operation.after),
    }


def _state_document(state: State) -> dict[str, object]:
    return {"head": state.head.hex() if state.head else None, "tree": state.root.oid.hex()}


def _head(state: State) -> str:
    return short(state.head) if state.head else "(none)"


def _line(text: str) -> str:
    """Return the text without characters that would break a line of a list."""
    return "".join(mark if mark.isprintable() else "?" for mark in text)
