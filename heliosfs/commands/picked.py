"""The end of a pick: the commit that concludes it, and the reply about all that were made.

`commit` concludes an open pick, and `cherry-pick --continue` is a commit: both come here.
"""

from __future__ import annotations

from typing import TypedDict

from heliosfs.commands.message import made_line
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, short
from heliosfs.commands.status.conflicts import conflict_lines, conflicts_document
from heliosfs.commands.verb import Request
from heliosfs.errors import Stale
from heliosfs.objects.commit import Signature
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.repo import view_pick


class CommitDetails(TypedDict):
    """Arguments that `View.commit`, `View.amend` and the conclusion of a pick share."""

    expect: CommitId | None
    author: Signature | None
    metadata: dict[str, str]
    content: Entry | None
    kept: Entry | None


def conclude(request: Request, options: Options, message: str, details: CommitDetails) -> str:
    """Commit the open pick, and continue with the commits after it."""
    view = request.view
    note = view.pick
    assert note is not None
    expect = details["expect"]
    if expect is not None and expect != view.head:
        raise Stale(f"HEAD is not {expect.hex()}")
    picked = view_pick.conclude(
        view,
        message.encode("utf-8", "surrogateescape"),
        content=details["content"],
        author=details["author"],
        metadata=details["metadata"],
        allow_empty="allow-empty" in options,
    )
    return picked_reply(request, options, note.options.verb, picked)


def picked_reply(
    request: Request, options: Options, verb: str, picked: view_pick.PickResult
) -> str:
    """Return the reply about what a pick has made, dropped and left open."""
    if "json" in options:
        head = request.view.head
        return json_reply(
            {
                "branch": request.view.branch,
                "head": head.hex() if head else None,
                "made": [oid.hex() for oid in picked.made],
                "dropped": [oid.hex() for oid in picked.dropped],
                "open": picked.open.hex() if picked.open else None,
                "conflicts": conflicts_document(list(picked.conflicts)),
            }
        )
    if "quiet" in options:
        return ""
    lines = [made_line(request, oid) for oid in picked.made]
    lines += [f"Left out {short(oid)}: it changes nothing here.\n" for oid in picked.dropped]
    if picked.open is not None:
        lines.append(conflict_lines(list(picked.conflicts)))
        lines.append(
            f"The {verb} of {short(picked.open)} is open. Edit these files and\n"
            f"'{verb} --continue'; '{verb} --skip' leaves it out; '{verb} --abort' goes back to\n"
            "the state before.\n"
        )
    return "".join(lines)
