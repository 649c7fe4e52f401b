"""`undo`, `redo` and `oplog`: the way back, the way forward, and the list of both."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from heliosfs.commands.options import Options
from heliosfs.commands.render import head_line, iso_time, json_reply, short
from heliosfs.commands.verb import Request
from heliosfs.repo.oprecord import Operation
from heliosfs.repo.state import State

_BILLION = 1_000_000_000


def undo(request: Request, options: Options) -> str:
    """Take back the last operation that was not taken back."""
    return _step(request, options, "undo")


def redo(request: Request, options: Options) -> str:
    """Take back the last undo that was not taken back."""
    return _step(request, options, "redo")


def oplog(request: Request, options: Options) -> str:
    """The operations of the view, the newest first."""
    options.at_most(0)
    operations = islice(request.view.log.operations(), options.number("max-count"))
    if "json" in options:
        return json_reply([_document(operation) for operation in operations])
    return operation_lines(operations)


def operation_lines(operations: Iterable[Operation]) -> str:
    """A line for each operation."""
    return "".join(
        f"{each.sequence:>4} {iso_time(each.time_ns // _BILLION)} {each.verb:<8} "
        f"{_head(each.before)} -> {_head(each.after)} {_line(each.text)}".rstrip()
        + "\n"
        for each in operations
    )


def _step(request: Request, options: Options, verb: str) -> str:
    options.at_most(0)
    repository, view = request.repository, request.view
    was_root = view.is_root
    operation = view.undo() if verb == "undo" else view.redo()
    if was_root:
        view = repository.root
    if "json" in options:
        return json_reply(
            {
                verb: _document(operation),
                "branch": view.branch,
                "head": view.head.hex() if view.head else None,
            }
        )
    if verb == "undo":
        did = f"undid {operation.verb}: {_line(operation.text)}"
    else:
        did = f"redid {_line(operation.text)}"
    return f"{did}\n{head_line(repository, view)}"


def _document(operation: Operation) -> dict[str, object]:
    seconds, rest = divmod(operation.time_ns, _BILLION)
    return {
        "sequence": operation.sequence,
        "time": iso_time(seconds),
        "seconds": seconds + rest / _BILLION,
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
    """What fits on a line of a list."""
    return "".join(mark if mark.isprintable() else "?" for mark in text)
