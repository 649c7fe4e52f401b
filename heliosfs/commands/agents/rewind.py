"""`rewind`: back to how everything was before a prompt."""

from __future__ import annotations

from heliosfs.commands.agents.prompted import PromptedChange, matching, prompted_changes
from heliosfs.commands.moments import iso_words
from heliosfs.commands.options import Options
from heliosfs.commands.render import head_line, json_reply
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.steps import ALONE, Steps

_LISTED = 20


def rewind(request: Request, options: Options) -> Steps[str]:
    """List the prompts that changed files, or go back to before one of them.

    Raise NotFound; and the errors of `View.reset`.
    """
    repository, view = request.repository, request.view
    head = view.head
    changes = yield from prompted_changes(repository.history, head)
    if not options.words:
        return _list(changes, options)
    change = _chosen(changes, options)
    if change.before is None:
        raise NotFound(f"nothing was committed before the prompt {change.prompt!r}")
    yield ALONE
    if view.head != head:
        # Another agent committed meanwhile.  Its prompt may be the one that is meant.
        changes = yield from prompted_changes(repository.history, view.head)
        change = _chosen(changes, options)
    assert change.before is not None
    with repository.transaction:
        view.reset(change.before)
    if "json" in options:
        return json_reply({"head": change.before.hex(), "prompt": change.prompt})
    return (
        f"{head_line(repository, view)}"
        f"This is how everything was before {change.prompt!r} ({change.agent} {change.session}).\n"
        "Come back: helios undo\n"
    )


def _chosen(changes: list[PromptedChange], options: Options) -> PromptedChange:
    words = options.words
    if len(words) == 1 and words[0].isdecimal():
        number = int(words[0])
        if not 1 <= number <= len(changes):
            raise NotFound(f"there are {len(changes)} prompts that changed files, no {number}")
        return changes[number - 1]
    found = matching(changes, [word for text in words for word in text.split()])
    if not found:
        raise NotFound(f"no prompt that changed files has the words {' '.join(words)[:80]!r}")
    return found[0]


def _list(changes: list[PromptedChange], options: Options) -> str:
    limit = options.number("max-count")
    if "json" in options:
        chosen = changes[:limit]
        return json_reply([_document(number, each) for number, each in enumerate(chosen, 1)])
    limit = limit or _LISTED
    lines = [
        f"{number:>3}  {iso_words(each.seconds, each.offset_minutes)}  "
        f"{f'{each.agent} {each.session}':<16}  {each.commit_count:>3}  "
        f"{each.prompt or '(a prompt that is not known)'}\n"
        for number, each in enumerate(changes[:limit], 1)
    ]
    if len(changes) > limit:
        lines.append(f"     and {len(changes) - limit} more\n")
    return "".join(lines) or "no agent has changed files on this branch\n"


def _document(number: int, change: PromptedChange) -> dict[str, object]:
    return {
        "number": number,
        "prompt": change.prompt,
        "agent": change.agent,
        "session": change.key[0],
        "turn": change.key[1],
        "newest": change.newest.hex(),
        "before": change.before.hex() if change.before else None,
        "commits": change.commit_count,
    }
