"""Commit in the form that the caller spells out: `--format` (git-log(1), pretty formats)."""

from __future__ import annotations

import re
from collections.abc import Callable

from heliosfs.commands.colours import MARK, PLAIN, SGR, Paint, Role
from heliosfs.commands.moments import show_moment
from heliosfs.commands.render import short, text_of
from heliosfs.objects.commit import Commit, Signature, split_message
from heliosfs.objects.ids import CommitId

_PLACEHOLDER = re.compile(
    r"%(?P<name>[HhTtPpsfbBnDd%]|[ac][nNeEdDriIts]|x[0-9a-fA-F]{2}"
    r"|C(?:\([^)]{0,80}\)|red|green|blue|reset)|m)"
)
_DATES = {"D": "rfc", "r": "relative", "i": "iso", "I": "iso-strict", "t": "unix", "s": "short"}
_DOTS = re.compile(r"\.+")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]+")

Field = Callable[[CommitId, Commit, str], str]


class Format:
    """Format that the caller spells out."""

    def __init__(self, template: str, date: str, now_seconds: int, paint: Paint = PLAIN) -> None:
        """Prepare a template; text between its placeholders stays as it is written."""
        self._paint = paint
        self._template = template
        self._date = date
        self._now_seconds = now_seconds

    def show(self, oid: CommitId, commit: Commit, names: str) -> str:
        """Return the commit in this form; `names` are its refs, with a blank and parentheses."""
        plain = SGR.sub("", names) if self._paint.is_on else names
        is_auto = False

        def fill(found: re.Match[str]) -> str:
            nonlocal is_auto
            name = found["name"]
            if name[0] == "C" and len(name) > 1:
                is_auto = name == "C(auto)"
                if is_auto and self._paint.is_on:
                    return f"{MARK}[m" if found.start() else ""
            if is_auto and name in "Hhd":
                shown = self._field(name, oid, commit, names)
                return shown if name == "d" else self._paint(Role.COMMIT, shown)
            return self._field(name, oid, commit, plain)

        return _PLACEHOLDER.sub(fill, self._template)

    def _field(self, name: str, oid: CommitId, commit: Commit, names: str) -> str:
        if name[0] in "ac" and len(name) == 2:
            return self._signed(commit.author if name[0] == "a" else commit.committer, name[1])
        if name[0] == "x":
            # An escape character that the caller spells out is meant.
            return MARK if name[1:].lower() == "1b" else chr(int(name[1:], 16))
        if name[0] == "C":
            return self._paint.named(name[1:].strip("()")) if len(name) > 1 else ""
        if name[0] == "m":
            return ">"
        return _FIELDS[name](oid, commit, names)

    def _signed(self, who: Signature, part: str) -> str:
        if part in "nN":
            return text_of(who.name)
        if part in "eE":
            return text_of(who.email)
        return show_moment(who, _DATES.get(part, self._date), self._now_seconds)


def _body(commit: Commit) -> str:
    """Return the message after its first paragraph.

    A commit of git has it unchanged, one of ours in the form in which git would keep it.
    """
    body = text_of(commit.body)
    return body if commit.git or not body else body.rstrip("\n") + "\n"


def _slug(commit: Commit) -> str:
    lines, _ = split_message(commit.message)
    line = _UNSAFE.sub("-", text_of(lines[0])) if lines else ""
    return _DOTS.sub(".", line).lstrip("-").rstrip("-.")


_FIELDS: dict[str, Field] = {
    "H": lambda oid, commit, names: oid.hex(),
    "h": lambda oid, commit, names: short(oid),
    "T": lambda oid, commit, names: commit.tree.hex(),
    "t": lambda oid, commit, names: short(commit.tree),
    "P": lambda oid, commit, names: " ".join(parent.hex() for parent in commit.parents),
    "p": lambda oid, commit, names: " ".join(map(short, commit.parents)),
    "s": lambda oid, commit, names: commit.subject,
    "f": lambda oid, commit, names: _slug(commit),
    "b": lambda oid, commit, names: _body(commit),
    "B": lambda oid, commit, names: text_of(commit.message),
    "d": lambda oid, commit, names: names,
    "D": lambda oid, commit, names: names[2:-1],
    "n": lambda oid, commit, names: "\n",
    "%": lambda oid, commit, names: "%",
}
