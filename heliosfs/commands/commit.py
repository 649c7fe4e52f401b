"""`commit`, as a verb and as the text of a control file."""

from __future__ import annotations

import re

from heliosfs.commands.message import (
    NEWLINES,
    check_message,
    check_utf8,
    checked_message,
    made_line,
    merge_message,
)
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import chosen, is_magic
from heliosfs.commands.picked import CommitDetails
from heliosfs.commands.picked import conclude as conclude_pick
from heliosfs.commands.render import (
    below,
    bytes_of,
    commit_document,
    json_reply,
    text_of,
)
from heliosfs.commands.status.unmerged import check_markers
from heliosfs.commands.verb import Request
from heliosfs.errors import Busy, NotFound, Stale, UsageError
from heliosfs.objects.commit import Signature
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.objects.tree import Entry
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.repo.view_merge import open_verb
from heliosfs.steps import at_once
from heliosfs.trees.graft import graft
from heliosfs.trees.stored import trees_differ

_DEFAULT_MESSAGE = "snapshot"
_AUTHOR = re.compile(r"([^<>\x00-\x1f]*)<([^<>\x00-\x20]*)>")
_TRAILER = re.compile(r"[A-Za-z0-9-]+: ")
_ID = re.compile(r"[0-9a-f]+")


def commit(request: Request, options: Options) -> str:
    """Make a commit; the reply is git's line about it."""
    repository, view = request.repository, request.view
    if "file" in options:
        raise options.misuse("only the command line reads files (-F): here, give the text with -m")
    if "dry-run" in options:
        return _dry_run(request, options)
    if view.merging is not None and "allow-markers" not in options:
        check_markers(view)
    first = view.head is None
    given = options.values("message")
    content, kept = _content(request, options)
    details: CommitDetails = {
        "expect": _expected(options.value("expect"), view),
        "author": _author(options.value("author"), request),
        "metadata": _metadata(request, options),
        "content": content,
        "kept": kept,
    }
    if "amend" in options:
        oid = view.amend(_message(request, options, given) if given else None, **details)
    elif view.merging is not None and view.pick is not None:
        message = _message(request, options, given)
        return conclude_pick(request, options, message, details)
    else:
        message = _message(request, options, given)
        oid = view.commit(message, allow_empty="allow-empty" in options, **details)
    if "json" in options:
        made = repository.history.read(oid)
        return json_reply({"branch": view.branch} | commit_document(oid, made))
    return "" if "quiet" in options else made_line(request, oid, is_first=first)


def conclude(request: Request, options: Options, verb: str) -> str:
    """Commit what an interrupted verb has prepared: `merge --continue` and the like.

    Raise NotFound.
    """
    options.at_most(0)
    there = open_verb(request.view)
    if there != verb:
        raise NotFound(f"no {verb} is open" + f", but a {there}" * bool(there))
    keys = ("message", "json", "quiet", "allow-markers", "allow-empty")
    given = {key: options.values(key) for key in keys if key in options}
    return commit(request, Options("commit", given, [], None))


def commit_message(repository: Repository, view: View, text: bytes) -> str:
    """Commit with the whole text as the message; the reply is the new id in hex.

    Raise UsageError when the text is blank, not UTF-8, or has a NUL byte; TooLarge; and the errors
    of `View.commit`, to which this adds less than 5 us.
    """
    try:
        message = text.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"usage: the message is not UTF-8: {error.reason}") from error
    message = check_message(message.rstrip(NEWLINES))
    if view.merging is not None:
        check_markers(view)
        if view.pick is not None:
            from heliosfs.repo import view_pick

            return f"{view_pick.conclude(view, message.encode()).made[0].hex()}\n"
    return f"{view.commit(message, metadata=repository.prompts.open_at(view.slot)).hex()}\n"


def _dry_run(request: Request, options: Options) -> str:
    """Return the status or, for the editor of the command line, the message to begin with."""
    if "message-only" not in options:
        from heliosfs.commands.status.status import long_status

        return at_once(long_status(request.view, request.cwd))
    return "" if request.view.merging is None else f"{_message(request, options, [])}\n"


COMMIT_TEXT = ("message", "file", "no-edit", "json", "dry-run")
"""Options that make a message from an editor unnecessary."""


def _signed(request: Request, message: str) -> str:
    """Return the message with a line that says who signs it off."""
    identity = request.repository.identity
    line = f"Signed-off-by: {text_of(identity.name)} <{text_of(identity.email)}>"
    if message.endswith(line):
        return message
    last = message.rpartition("\n\n")[2] if "\n\n" in message else ""
    has_trailers = bool(last) and all(_TRAILER.match(each) for each in last.split("\n"))
    between = "\n" if has_trailers else "\n\n"
    return f"{message}{between}{line}"


def _message(request: Request, options: Options, paragraphs: list[str]) -> str:
    message = checked_message(paragraphs) if paragraphs else _default_message(request)
    return _signed(request, message) if "signoff" in options else message


def _default_message(request: Request) -> str:
    theirs = request.view.merging
    if theirs is None:
        return _DEFAULT_MESSAGE
    pick = request.view.pick
    if pick is not None:
        return pick.message.decode("utf-8", "surrogateescape")
    return merge_message(request.repository, request.view, theirs)


def _content(request: Request, options: Options) -> tuple[Entry | None, Entry | None]:
    """Return the tree to commit, None for the usual one, and what stays staged.

    If paths are named, only these are committed.  An absolute one, and the root of the view,
    mean everything: the caller found the view by it.  Raise NotFound or UsageError.
    """
    view = request.view
    words = [*options.words, *(options.paths or [])]
    is_everything = any(word.startswith("/") or _is_root(request, word) for word in words)
    if is_everything or not words:
        is_all = bool(words) or "work" in options or "all" in options
        return (view.selected() if is_all and view.stage.root else None), None
    if view.merging is not None:
        raise Busy(f"a {open_verb(view)} is open: its commit takes everything, not single paths")
    store = request.repository.store
    head, source, staged = view.head_root() or view.bare_root(), view.selected(), view.stage.root
    paths = chosen(request, words, (head, source), "to commit")
    now = request.repository.clock.now_ns()
    content = graft(store, head, source, paths, now).root
    if staged is None:
        return content, None
    kept = graft(store, staged, source, paths, now).root
    return content, kept if trees_differ(store, content, kept) else None


def _is_root(request: Request, word: str) -> bool:
    return not is_magic(word) and not below(request.cwd, word)


def _expected(text: str | None, view: View) -> CommitId | None:
    if text is None:
        return None
    if not _ID.fullmatch(text) or len(text) != 2 * OID_BYTES:
        raise UsageError(f"usage: --expect takes a full commit id, not {text[:80]!r}")
    if view.head is None:
        raise Stale(f"nothing was committed yet: HEAD is not {text}")
    return CommitId(Oid(bytes.fromhex(text)))


def _author(text: str | None, request: Request) -> Signature | None:
    if text is None:
        return None
    found = _AUTHOR.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"usage: an author is 'Name <email>', not {text[:80]!r}")
    now = request.repository.identity.sign(request.repository.clock)
    return Signature(
        bytes_of(found[1].strip()), bytes_of(found[2]), now.seconds, now.offset_minutes
    )


def _metadata(request: Request, options: Options) -> dict[str, str]:
    """Return the metadata that is given, and that of the prompt on which an agent works here."""
    metadata: dict[str, str] = {}
    if "amend" not in options:
        metadata |= request.repository.prompts.open_at(request.view.slot)
    for pair in options.values("meta"):
        key, equals, value = pair.partition("=")
        if not equals or not key.isprintable() or not key.strip() or "\0" in value:
            raise options.misuse(f"metadata is KEY=VALUE, not {pair[:80]!r}")
        check_utf8(pair, "the metadata")
        metadata[key] = value
    return metadata
