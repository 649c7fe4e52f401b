"""`fsck`: whether everything in the store is sound."""

from __future__ import annotations

import json

from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.errors import CorruptObject
from heliosfs.repo.check import CheckResult, check_store
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps

_LISTED_COUNT = 20


def fsck(request: Request, options: Options) -> Steps[str]:
    """Read everything; raise CorruptObject with a list of the problems, if there are any."""
    options.at_most(0)
    if "repair" in options:
        raise options.misuse("only the command line makes another store, of an unmounted workspace")
    checked = yield from check_store(request.repository)
    return told(request.repository, checked, as_json="json" in options)


def told(repository: Repository, checked: CheckResult, *, as_json: bool) -> str:
    """Return the reply about a sound store; raise CorruptObject with a list of the problems."""
    if checked.problems:
        # A refusal is one line, by which a client that wants JSON knows it.
        text = json.dumps(_document(checked)) if as_json else _problems(checked)
        left = repository.remotes.notes.without_places()
        if left and not as_json:
            text += (
                f"\ncontents that were at {', '.join(left)} were left out of a backup: 'helios "
                "fetch --contents --all' in what is restored brings them"
            )
        raise CorruptObject(text)
    return json_reply(_document(checked)) if as_json else f"{_read(checked)}: {_sound(checked)}\n"


def _read(checked: CheckResult) -> str:
    return f"{checked.commits} commits, {checked.operations} operations, {checked.objects} objects"


def _sound(checked: CheckResult) -> str:
    told = "all sound"
    if checked.promised:
        # They are not missing, and what is wrong with them is known only once they are here.
        told += (
            f", and {checked.promised} contents are still at a remote "
            "('helios fetch --contents' brings them)"
        )
    if checked.shallow:
        told += (
            f", and the history is shallow: it ends at {checked.shallow} commits "
            "('helios fetch --unshallow' brings the rest)"
        )
    return told


def _problems(checked: CheckResult) -> str:
    lines = [f"{_read(checked)}: {_count(checked)}"]
    lines += [f"  {place}: {text}" for place, text in checked.problems[:_LISTED_COUNT]]
    if len(checked.problems) > _LISTED_COUNT:
        lines.append(f"  and {len(checked.problems) - _LISTED_COUNT} more")
    return "\n".join(lines)


def _count(checked: CheckResult) -> str:
    count = len(checked.problems)
    return f"{count} {'problem' if count == 1 else 'problems'}"


def _document(checked: CheckResult) -> dict[str, object]:
    return {
        **({"error": _count(checked)} if checked.problems else {}),
        "commit_count": checked.commits,
        "operation_count": checked.operations,
        "object_count": checked.objects,
        "promised_count": checked.promised,
        "shallow_count": checked.shallow,
        "problems": [problem._asdict() for problem in checked.problems],
    }
