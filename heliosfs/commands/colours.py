"""Colours of the parts of a reply on a terminal, as git has them; no other module names one.

A verb paints while it makes its text, because only it knows what a piece of the text is: a
line that begins with `+` may be one of a diff or one of a message.
"""

from __future__ import annotations

import os
import re
from enum import Enum, auto
from typing import TYPE_CHECKING

from heliosfs.commands.verb import answer, exit_code_of
from heliosfs.commands.visible import visible

if TYPE_CHECKING:
    from heliosfs.commands.options import Options
    from heliosfs.commands.verb import Request

WHEN = ("always", "never", "auto")


class Role(Enum):
    """A part of a reply that has a colour of its own."""

    META = auto()
    """Header lines of a diff."""
    HUNK = auto()
    REMOVED = auto()
    ADDED = auto()
    WRONG_SPACE = auto()
    """Invisible spaces in an added line: at its end, or before a tab."""
    COMMIT = auto()
    """Id of a commit, and the punctuation around the names of refs beside it."""
    HEAD = auto()
    BRANCH = auto()
    TAG = auto()
    REMOTE = auto()
    """Branch of a remote."""
    CURRENT = auto()
    """The branch that the caller is on, in a list of branches."""
    STAGED = auto()
    UNSTAGED = auto()
    FILE_NAME = auto()
    LINE_NUMBER = auto()
    SEPARATOR = auto()
    MATCH = auto()


_CODES = {
    Role.META: "1",
    Role.HUNK: "36",
    Role.REMOVED: "31",
    Role.ADDED: "32",
    Role.WRONG_SPACE: "41",
    Role.COMMIT: "33",
    Role.HEAD: "1;36",
    Role.BRANCH: "1;32",
    Role.TAG: "1;33",
    Role.REMOTE: "1;31",
    Role.CURRENT: "32",
    Role.STAGED: "32",
    Role.UNSTAGED: "31",
    Role.FILE_NAME: "35",
    Role.LINE_NUMBER: "32",
    Role.SEPARATOR: "36",
    Role.MATCH: "1;31",
}
"""Parameters of SGR (ECMA-48, 8.3.117): the defaults of git's color.diff, .decorate, .grep …"""

_NAMES = {
    name: number
    for number, name in enumerate(
        ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
    )
}
_ATTRIBUTES = {
    "bold": "1",
    "dim": "2",
    "italic": "3",
    "ul": "4",
    "blink": "5",
    "reverse": "7",
    "strike": "9",
}
_ESCAPE = "\033"
_MARK = b"\xff" + os.urandom(8).hex().encode() + b"\xff"
"""Bytes that stand for the escape character of our codes until the reply is complete.  No content
has them: it was written before they were drawn.  So what is painted and what a message says differ
until then, and only the latter is made visible."""
MARK = _MARK.decode("utf-8", "surrogateescape")
_RESET = f"{MARK}[m"
_RAW_RESET = _MARK + b"[m"
SGR = re.compile(re.escape(MARK) + r"\[[0-9;]*m")
"""Match an SGR code of those that are written here."""
_INDENT = re.compile(rb"[ \t]*\t")
_BLANKS = b" \t\r\v\f\n"


class Paint:
    """Colours for the parts of a reply; where there is no terminal, text stays as it is."""

    __slots__ = ("is_on",)

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on

    def __call__(self, part: Role, text: str) -> str:
        """Return the text in the colour of a part of a reply; nothing stays nothing."""
        return f"{MARK}[{_CODES[part]}m{text}{_RESET}" if self.is_on and text else text

    def raw(self, part: Role, data: bytes) -> bytes:
        """Return bytes of a reply in the colour of their part."""
        if not self.is_on or not data:
            return data
        return b"%s[%sm%s%s" % (_MARK, _CODES[part].encode(), data, _RAW_RESET)

    def named(self, words: str) -> str:
        """Return the code that begins a colour of git's names: `bold red`, `reset`, `auto,blue`.

        Nothing where there are no colours, or for words that name none.
        """
        if not self.is_on:
            return ""
        styles: list[str] = []
        codes: list[str] = []
        colours = iter(("3", "4"))
        for word in words.replace(",", " ").lower().split():
            if word in _ATTRIBUTES:
                styles.append(_ATTRIBUTES[word])
            elif word in _NAMES or (word.isdigit() and int(word) < 256):
                layer = next(colours, "4")
                number = _NAMES.get(word)
                codes.append(f"{layer}8;5;{word}" if number is None else f"{layer}{number}")
            elif word not in ("auto", "always", "normal", "reset"):
                return ""
        codes = sorted(styles, key=int) + codes
        return f"{MARK}[{';'.join(codes)}m" if codes or "reset" in words else ""

    def header(self, lines: list[str]) -> list[str]:
        """Return header lines of a diff, each in its colour."""
        return [self(Role.META, line) for line in lines] if self.is_on else lines

    def hunk_head(self, spans: str, heading: bytes) -> bytes:
        """Return the line that begins a hunk."""
        head = self.raw(Role.HUNK, f"@@ {spans} @@".encode())
        if self.is_on and heading:
            return head + b" " + _RAW_RESET + heading[1:] + _RAW_RESET + b"\n"
        return head + heading + b"\n"

    def line(self, sign: bytes, line: bytes, *, is_past_end: bool = False) -> bytes:
        """Return a line of a hunk, its newline included if it has one.

        `is_past_end` is True for an added blank line at the end of a file.
        """
        if not self.is_on:
            return sign + line
        text = line.removesuffix(b"\n")
        if sign != b"+":
            text = text.removesuffix(b"\r")
        end = line[len(text) :]
        if sign == b" ":
            return sign + text + _RAW_RESET + end
        if sign == b"-":
            return self.raw(Role.REMOVED, sign + text) + end
        if is_past_end:
            return self.raw(Role.WRONG_SPACE, sign + text) + end
        return self.raw(Role.ADDED, sign) + self._added(text) + end

    def note(self, text: bytes) -> bytes:
        """Return the line that reports a missing newline at the end of a file."""
        return text.removesuffix(b"\n") + _RAW_RESET + b"\n" if self.is_on else text

    def _added(self, text: bytes) -> bytes:
        """Return an added line with the spaces marked that git regards as errors (ws.c)."""
        stop = len(text.rstrip(_BLANKS))
        pieces: list[bytes] = []
        at = 0
        indent = _INDENT.match(text, 0, stop)
        for tab in range(indent.end() if indent else 0):
            if text[tab : tab + 1] == b"\t":
                pieces += [self.raw(Role.WRONG_SPACE, text[at:tab]), b"\t"]
                at = tab + 1
        pieces.append(self.raw(Role.ADDED, text[at:stop]))
        pieces.append(self.raw(Role.WRONG_SPACE, text[max(stop, at) :]))
        return b"".join(pieces)


def finished(reply: str, *, is_for_terminal: bool) -> str:
    """Return a reply with the codes of its colours, and for a terminal with nothing else to obey.

    The exit code that it stands for stays.  A reply without colours, for a program, stays as it is.
    """
    if not is_for_terminal and MARK not in reply:
        return reply
    parts = reply.split(MARK)
    if is_for_terminal:
        parts = list(map(visible, parts))
    return answer(_ESCAPE.join(parts), exit_code_of(reply))


PLAIN = Paint(is_on=False)
COLOURED = Paint(is_on=True)


def paint_of(request: Request, options: Options) -> Paint:
    """Return what paints the reply to a request.  Raise UsageError.

    `--color` and `--no-color` decide; without them, or with `auto`, the caller, who knows
    whether the reply goes to a terminal.  What is for programs has no colours.
    """
    when = options.value("color")
    if when not in (None, "", *WHEN):
        raise options.misuse(f"--color is {', '.join(WHEN)}, not {when[:80]!r}")
    if "json" in options or "no-color" in options or when == "never":
        return PLAIN
    is_on = request.screen.color if when in (None, "auto") else True
    return COLOURED if is_on else PLAIN
