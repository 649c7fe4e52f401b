"""Text of ids, moments, people and paths in replies, as git shows them."""

from __future__ import annotations

import json
import posixpath
import time
from typing import TYPE_CHECKING

from heliosfs.errors import UsageError
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, Oid

if TYPE_CHECKING:
    from heliosfs.repo.repository import Repository
    from heliosfs.repo.view import View

SHORT_DIGITS = 12
_LISTED_COUNT = 20

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}


def short(oid: Oid) -> str:
    """Return the digits of an id that people read."""
    return oid.hex()[:SHORT_DIGITS]


def clock_time(seconds: int, offset_minutes: int) -> tuple[time.struct_time, int]:
    """Return a moment as clocks of its time zone show it, and the offset in minutes.

    A commit of git may name a moment that no calendar reaches: then the epoch, as git shows it.

    >>> clock_time(2**62, 60)[0].tm_year, clock_time(2**62, 60)[1]
    (1970, 0)
    """
    try:
        return time.gmtime(seconds + offset_minutes * 60), offset_minutes
    except (OverflowError, ValueError, OSError):
        return time.gmtime(0), 0


def git_date(seconds: int, offset_minutes: int) -> str:
    """Return a moment as `git log` shows it, in its own time zone and always in English.

    >>> git_date(1_700_000_000, -90)
    'Tue Nov 14 20:43:20 2023 -0130'
    """
    at, offset_minutes = clock_time(seconds, offset_minutes)
    return (
        f"{_DAYS[at.tm_wday]} {_MONTHS[at.tm_mon - 1]} {at.tm_mday} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} {at.tm_year} {zone(offset_minutes)}"
    )


def iso_time(seconds: int, offset_minutes: int = 0) -> str:
    """Return a moment by ISO 8601, in its own time zone.

    >>> iso_time(1_700_000_000, 60)
    '2023-11-14T23:13:20+01:00'
    """
    at, offset_minutes = clock_time(seconds, offset_minutes)
    return (
        f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02}"
        f"T{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}{zone(offset_minutes, ':')}"
    )


def person(signature: Signature) -> str:
    """Return name and address."""
    return f"{text_of(signature.name)} <{text_of(signature.email)}>"


def text_of(data: bytes) -> str:
    """Decode bytes so that `bytes_of` returns the same bytes, UTF-8 or not (PEP 383)."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Encode a text that `text_of` decoded."""
    return text.encode("utf-8", "surrogateescape")


def quote_path(path: bytes, *, around: bytes = b"") -> str:
    r"""Quote a path as git shows it (core.quotePath): in C quotes where needed, all of it in ASCII.

    `around` goes before the path, within the quotes.

    >>> print(quote_path(b"a b"), quote_path(b"tab\there", around=b"a/"), quote_path(b"\xc3\xa4"))
    a b "a/tab\there" "\303\244"
    """
    path = around + path
    if path.isascii():
        text = path.decode("ascii")
        if text.isprintable() and '"' not in text and "\\" not in text:
            return text
    return '"' + "".join(map(_escape, path)) + '"'


def below(cwd: str, path: str) -> bytes:
    """Return a path that a caller in `cwd` means, from the root of the view.

    Raise UsageError when it leads out of the view.

    >>> below("src/lib", "../x.c")
    b'src/x.c'
    """
    if path.startswith("/"):
        raise UsageError(f"{path[:80]!r} is absolute: give a path below the workspace")
    joined = posixpath.normpath(posixpath.join(cwd, path))
    if joined == ".." or joined.startswith("../"):
        raise UsageError(f"{path[:80]!r} is outside of the workspace")
    return b"" if joined == "." else bytes_of(joined)


def relative(cwd: str, path: bytes) -> bytes:
    """Return a path from the root of the view as a caller in `cwd` writes it."""
    return posixpath.relpath(b"/" + path, b"/" + bytes_of(cwd))


def where(view: View) -> str:
    """Return the branch or commit of HEAD in the words of `git status`."""
    if view.branch is not None:
        return f"On branch {view.branch}"
    return f"HEAD detached at {short(view.head)}" if view.head else "HEAD detached"


def head_line(repository: Repository, view: View) -> str:
    """Return a line that tells which commit HEAD is."""
    if view.head is None:
        return "HEAD is now before the first commit\n"
    return f"HEAD is now at {commit_line(repository, view.head)}\n"


def commit_line(repository: Repository, oid: CommitId) -> str:
    """Return id and subject of a commit, in one line."""
    return f"{short(oid)} {repository.history.read(oid).subject}".rstrip()


def listed(names: list[str]) -> str:
    """List names in a line of a reply; of many, the first."""
    more = len(names) - _LISTED_COUNT
    return ", ".join(sorted(names)[:_LISTED_COUNT]) + (f" and {more} more" if more > 0 else "")


def json_reply(document: object) -> str:
    """Return the JSON document of a reply; bytes that are not UTF-8 are lone surrogates in it."""
    return json.dumps(document, indent=2) + "\n"


def commit_document(oid: CommitId, commit: Commit) -> dict[str, object]:
    """Return a commit as a value for JSON."""
    return {
        "id": oid.hex(),
        "tree": commit.tree.hex(),
        "parents": [parent.hex() for parent in commit.parents],
        "author": _signature_document(commit.author),
        "committer": _signature_document(commit.committer),
        "subject": commit.subject,
        "message": text_of(commit.message),
        "metadata": dict(commit.metadata),
    }


def _signature_document(signature: Signature) -> dict[str, object]:
    return {
        "name": text_of(signature.name),
        "email": text_of(signature.email),
        "time": iso_time(signature.seconds, signature.offset_minutes),
        "seconds": signature.seconds,
    }


def zone(offset_minutes: int, separator: str = "") -> str:
    """Return a time zone in digits; more than 99 hours as far as four digits reach.

    >>> zone(-90), zone(150, ":"), zone(99 * 60 + 99)
    ('-0130', '+02:30', '+9999')
    """
    hours, minutes = divmod(abs(offset_minutes), 60)
    if hours == 100 and minutes < 40:
        hours, minutes = 99, minutes + 60
    return f"{'-' if offset_minutes < 0 else '+'}{hours:02}{separator}{minutes:02}"


def _escape(byte: int) -> str:
    if byte in _ESCAPES:
        return "\\" + _ESCAPES[byte]
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
