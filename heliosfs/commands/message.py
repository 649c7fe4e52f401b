"""Messages of commits: which texts may be one, and the lines about a commit that was made.

`commit`, `merge`, `cherry-pick` and `tag` share them, and none of these has to import another.
"""

from __future__ import annotations

from heliosfs.commands.render import short
from heliosfs.commands.verb import Request
from heliosfs.errors import TooLarge, UsageError
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View

MESSAGE_MAX_BYTES = 64 * 1024
NEWLINES = "\r\n"
_MAIN_BRANCHES = ("main", "master")


def checked_message(paragraphs: list[str]) -> str:
    """Return the message of several `-m`, each of them a paragraph.

    Raise UsageError or TooLarge.
    """
    message = "\n\n".join(text.rstrip(NEWLINES) for text in paragraphs)
    check_utf8(message, "the message")
    return check_message(message)


def check_message(message: str) -> str:
    """Return the message if a commit may have it.  Raise UsageError or TooLarge."""
    if not message or message.isspace():
        raise UsageError("usage: empty message")
    if "\0" in message:
        raise UsageError("usage: the message has a NUL byte")
    if len(message) * 4 > MESSAGE_MAX_BYTES and len(message.encode()) > MESSAGE_MAX_BYTES:
        raise TooLarge(f"the message is longer than {MESSAGE_MAX_BYTES // 1024} KiB")
    return message


def check_utf8(text: str, what: str) -> None:
    """Check that a text can be stored as UTF-8.  UsageError calls it `what`."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"usage: {what} is not UTF-8") from error


def merge_message(repository: Repository, view: View, theirs: CommitId, name: str = "") -> str:
    """Return the message of a merge commit, in git's words.

    `name` is what the merge was asked for by; without one, a branch that names the commit.
    """
    if not name:
        name = next((each.name for each in repository.refs if each.head == theirs), theirs.hex())
    if name in repository.refs:
        what = f"branch {name!r}"
    elif name in repository.refs.tags:
        what = f"tag {name!r}"
    elif repository.remotes.find(name) is not None:
        what = f"remote-tracking branch {name!r}"
    else:
        what = f"commit {name!r}"
    into = f" into {view.branch}" if view.branch and view.branch not in _MAIN_BRANCHES else ""
    return f"Merge {what}{into}"


def made_line(request: Request, oid: CommitId, *, is_first: bool = False) -> str:
    """Return git's line about a commit that was made."""
    subject = request.repository.history.read(oid).subject
    place = request.view.branch or "detached HEAD"
    return f"[{place}{' (first)' if is_first else ''} {short(oid)}] {subject}\n"
