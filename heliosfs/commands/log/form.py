"""Forms in which a commit is shown: git's named ones, a line, or a template of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from unicodedata import combining, east_asian_width

from heliosfs.clock import SECOND_NS
from heliosfs.commands.agent_trace import trace_of
from heliosfs.commands.colours import PLAIN, Paint, Role, paint_of
from heliosfs.commands.log.placeholders import Format
from heliosfs.commands.moments import iso_words, show_moment
from heliosfs.commands.options import Options
from heliosfs.commands.render import SHORT_DIGITS, person, short, text_of
from heliosfs.commands.verb import Request
from heliosfs.objects.commit import Commit, Signature, split_message
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View

_NAMED = ("short", "medium", "full", "fuller")


class CommitPrinter:
    """Printer of commits, which joins them with their changes."""

    def __init__(
        self,
        show: Callable[[CommitId, Commit, str], str],
        names: dict[CommitId, str],
        *,
        is_dense: bool = False,
        is_line: bool = False,
        before_changes: str = "",
        between: str = "",
    ) -> None:
        self._show = show
        self._names = names
        self.is_dense = is_dense
        """True if each commit is one line, without a blank line around it."""
        self.is_line = is_line
        """True if the line of a commit is its id and subject."""
        self._before_changes = before_changes
        self._between = between

    def show(self, oid: CommitId, commit: Commit) -> str:
        """Return the text of a commit, without its changes."""
        return self._show(oid, commit, self._names.get(oid, ""))

    def join(self, entries: Iterable[tuple[str, str | None]]) -> str:
        """Join commits and their changes; None stands for no change at all."""
        return self._between.join(
            head if changes is None else head + self._before_changes + changes
            for head, changes in entries
        )


def form_of(request: Request, options: Options, paint: Paint | None = None) -> CommitPrinter:
    """Return the form that the options ask for.  Raise UsageError."""
    now_seconds = request.repository.clock.now_ns() // SECOND_NS
    date = options.value("date") or "default"
    try:
        show_moment(Signature(b"", b"", 0, 0), date, now_seconds)
    except ValueError:
        raise options.misuse(
            f"--date is default, iso, iso-strict, short, rfc, relative, unix or raw, not {date!r}"
        ) from None
    template = "oneline" if "oneline" in options else options.value("format")
    if template is None and "agent" in options:
        return CommitPrinter(_with_agent, {}, is_dense=True, before_changes="\n", between="")
    if template is None:
        template = "medium"
    names: dict[CommitId, str] = {}
    paint = paint_of(request, options) if paint is None else paint
    if _is_decorated(request, options) or "%d" in template or "%D" in template:
        names = decorations(request.repository, request.view, paint)
    if template == "oneline":
        # As --oneline of git, its --format=oneline has full ids.
        is_short = "oneline" in options and "no-abbrev-commit" not in options
        digits = SHORT_DIGITS if is_short or "abbrev-commit" in options else None
        return CommitPrinter(
            partial(line, paint=paint, digits=digits), names, is_dense=True, is_line=True
        )
    if not template:
        return CommitPrinter(lambda oid, commit, names: "", names, is_dense=True)
    if template in _NAMED:
        kind = _Named(template, date, now_seconds, paint, is_short="abbrev-commit" in options)
        return CommitPrinter(kind.show, names, before_changes="\n", between="\n")
    word, colon, rest = template.partition(":")
    if colon and word in ("format", "tformat"):
        form = Format(rest, date, now_seconds, paint)
        if word == "format":
            return CommitPrinter(form.show, names, is_dense=True, before_changes="\n", between="\n")
    elif "%" in template:
        form = Format(template, date, now_seconds, paint)
    else:
        raise options.misuse(
            f"--format is oneline, {', '.join(_NAMED)}, or has placeholders such as %H and %s, "
            f"not {template[:80]!r}"
        )
    return CommitPrinter(
        lambda oid, commit, names: form.show(oid, commit, names) + "\n",
        names,
        is_dense=True,
        before_changes="\n",
    )


class _Named:
    """Format of git that has a name."""

    def __init__(
        self, name: str, date: str, now_seconds: int, paint: Paint, *, is_short: bool = False
    ) -> None:
        self._name = name
        self._is_short = is_short
        self._paint = paint
        self._date = date
        self._now_seconds = now_seconds

    def show(self, oid: CommitId, commit: Commit, names: str) -> str:
        """Return a commit as `git log` shows it, with its metadata after the date."""
        shown_id = short(oid) if self._is_short else oid.hex()
        lines = [self._paint(Role.COMMIT, f"commit {shown_id}") + names]
        if len(commit.parents) > 1:
            lines.append(f"Merge: {' '.join(map(short, commit.parents))}")
        lines += self._people(commit)
        if self._name != "short":
            lines += [f"Meta:   {key}={value}" for key, value in commit.metadata.items()]
        shown, _ = split_message(commit.message)
        if shown and self._name != "short":
            # Unlike a subject, with every blank line between paragraphs, and with blanks for tabs.
            rest = commit.message.rstrip().split(b"\n")
            while not rest[0].strip():
                del rest[0]
            shown = [_without_tabs(line.rstrip(b" \t\r")) for line in rest]
        if shown:
            lines += ["", *(f"    {text_of(line)}" for line in shown)]
        return "\n".join(lines) + "\n"

    def _people(self, commit: Commit) -> list[str]:
        author, committer = commit.author, commit.committer
        if self._name == "fuller":
            return [
                f"Author:     {person(author)}",
                f"AuthorDate: {self._moment(author)}",
                f"Commit:     {person(committer)}",
                f"CommitDate: {self._moment(committer)}",
            ]
        lines = [f"Author: {person(author)}"]
        if self._name == "full":
            lines.append(f"Commit: {person(committer)}")
        elif self._name == "medium":
            lines.append(f"Date:   {self._moment(author)}")
        return lines

    def _moment(self, who: Signature) -> str:
        return show_moment(who, self._date, self._now_seconds)


def _without_tabs(line: bytes) -> bytes:
    """Return a line with blanks up to the next multiple of eight columns for each tab.

    As git does it (strbuf_add_tabexpand), which stops where a line is no UTF-8.
    """
    shown, column = b"", 0
    *cells, last = line.split(b"\t")
    for at, cell in enumerate(cells):
        try:
            column += _width(cell.decode())
        except UnicodeDecodeError:
            return shown + b"\t".join((*cells[at:], last))
        shown += cell + b" " * (8 - column % 8)
        column += 8 - column % 8
    return shown + last


def _width(text: str) -> int:
    """Return about how many columns a text takes on a terminal."""
    if text.isascii():
        return len(text)
    wide = sum(east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(combining(character) != 0 for character in text)


def line(
    oid: CommitId,
    commit: Commit,
    names: str = "",
    *,
    paint: Paint = PLAIN,
    digits: int | None = SHORT_DIGITS,
) -> str:
    """Return id and subject of a commit, in one line."""
    shown_id = paint(Role.COMMIT, oid.hex()[:digits])
    return f"{shown_id}{names} {commit.subject}".rstrip(" ") + "\n"


def _with_agent(oid: CommitId, commit: Commit, names: str) -> str:
    """Return id, time, agent, subject and prompt of a commit that a hook made, in one line."""
    trace = trace_of(commit)
    by = trace.who if trace is not None else text_of(commit.author.name)
    author = commit.author
    time = iso_words(author.seconds, author.offset_minutes)[:16]
    cause = f"  <- {trace.cause}" if trace is not None and trace.cause else ""
    return f"{short(oid)} {time}  {by:<16}  {commit.subject}{cause}\n"


def _is_decorated(request: Request, options: Options) -> bool:
    """Return True if the names of commits are shown; on a terminal they are, as in git."""
    if "no-decorate" in options:
        return False
    how = options.value("decorate")
    if how is None or how == "auto":
        return request.screen.columns > 0
    return how != "no"


def decorations(repository: Repository, view: View, paint: Paint = PLAIN) -> dict[CommitId, str]:
    """Return names for commits, in parentheses, as `git log --decorate` shows them."""
    names: dict[CommitId, list[str]] = {}
    if view.head is not None:
        head = paint(Role.HEAD, "HEAD -> " if view.branch else "HEAD")
        names[view.head] = [head + paint(Role.BRANCH, view.branch or "")]
    # In git's order: the last of the refs first, tags before branches.
    for tag, oid in sorted(repository.refs.tags.items(), reverse=True):
        names.setdefault(oid, []).append(paint(Role.TAG, f"tag: {tag}"))
    for name, oid in sorted(repository.remotes.branches(), reverse=True):
        names.setdefault(oid, []).append(paint(Role.REMOTE, name))
    for branch in sorted(repository.refs, key=lambda branch: branch.name, reverse=True):
        if branch.head is not None and branch.slot != view.slot:
            names.setdefault(branch.head, []).append(paint(Role.BRANCH, branch.name))
    begin, between, end = (paint(Role.COMMIT, mark) for mark in (" (", ", ", ")"))
    return {oid: begin + between.join(each) + end for oid, each in names.items()}
