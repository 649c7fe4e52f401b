r"""Translation of POSIX regular expressions, basic and extended, for the engine (regex(7)).

GNU's additions are known: `\+ \? \|` in basic ones, `\w \W \s \S \b \B \< \>` in both.
"""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.errors import UsageError

_CLASSES = frozenset(
    b"alnum alpha blank cntrl digit graph lower print punct space upper xdigit".split()
)
_SPECIAL = frozenset(rb"\.+*?()|[]{}^$")
_KNOWN_ESCAPES = {
    ord("w"): rb"\w",
    ord("W"): rb"\W",
    ord("s"): rb"\s",
    ord("S"): rb"\S",
    ord("b"): rb"\b",
    ord("B"): rb"\B",
    ord("<"): rb"\b",
    ord(">"): rb"\b",
    ord("`"): b"^",
    ord("'"): b"$",
}
_REPEAT_MAX = 1000
_NESTED_MAX = 100


def quote(literal: bytes) -> bytes:
    """Return an expression that matches these bytes and nothing else."""
    return b"".join(
        b"\\" + bytes((each,)) if each in _SPECIAL else bytes((each,)) for each in literal
    )


def translate(pattern: bytes, *, is_extended: bool) -> bytes:
    r"""Return the engine's expression for a POSIX one.  Raise UsageError.

    >>> translate(rb"a\(b\|c\)*+[]x]", is_extended=False)
    b'a(?:(?:b|c))*\\+[\\]x]'
    >>> translate(rb"a(b|c)*+[^[:digit:]]", is_extended=True)
    b'a(?:(?:(?:b|c))*)+[^[:digit:]]'
    """
    return _Translation(pattern, is_extended=is_extended).run()


class _Translation:
    """A pass over a pattern.  `_levels` holds the pieces of each open group."""

    def __init__(self, pattern: bytes, *, is_extended: bool) -> None:
        self._pattern = pattern
        self._is_extended = is_extended
        self._at = 0
        self._levels: list[list[bytes]] = [[]]
        self._can_repeat = False
        """True after a piece to which a repetition may apply."""
        self._was_repeated = False
        """True after a repetition; `_repeats` is their number in a row."""
        self._repeats = 0

    def run(self) -> bytes:
        while self._at < len(self._pattern):
            operator, literal = self._next()
            if operator:
                self._apply(operator)
            else:
                self._add(literal)
        if len(self._levels) > 1:
            raise UsageError("a group is not closed: ( or \\( without its counterpart")
        return b"".join(self._levels[0])

    def _next(self) -> tuple[bytes, bytes]:
        """Take the next token: an operator in the extended spelling, or a piece that matches."""
        pattern, at = self._pattern, self._at
        mark = pattern[at : at + 1]
        self._at += 1
        if mark == b"\\":
            return self._escaped()
        if mark == b"[":
            return b"", self._bracket()
        if mark == b".":
            return b"", b"."
        if mark == b"*" and (self._is_extended or not self._is_start()):
            return mark, b""
        if mark == b"^" and (self._is_extended or self._is_start()):
            return mark, b""
        if mark == b"$" and (self._is_extended or self._is_end()):
            return mark, b""
        if self._is_extended and mark in b"+?(|{":
            return mark, b""
        if self._is_extended and mark == b")" and len(self._levels) > 1:
            return mark, b""
        end = at + 1
        # A character of several bytes is one piece: a repetition takes all of it.
        while mark >= b"\xc0" and pattern[end : end + 1] and pattern[end] & 0xC0 == 0x80:
            end += 1
        self._at = end
        return b"", quote(pattern[at:end])

    def _escaped(self) -> tuple[bytes, bytes]:
        mark = self._pattern[self._at : self._at + 1]
        if not mark:
            raise UsageError("it ends in a backslash")
        self._at += 1
        if mark.isdigit() and mark != b"0":
            raise UsageError(f"invalid escape sequence: \\{mark.decode()}")
        # As in grep(1): at the beginning nothing could be repeated, so the character itself is
        # meant.
        if not self._is_extended and mark in b"+?" and self._is_start():
            return b"", quote(mark)
        if not self._is_extended and mark in b"(){|+?":
            return mark, b""
        known = _KNOWN_ESCAPES.get(mark[0])
        return b"", quote(mark) if known is None else known

    def _apply(self, operator: bytes) -> None:
        level = self._levels[-1]
        # The count of repetitions in a row begins anew.
        if operator in b"()^$|":
            self._was_repeated = False
        if operator == b"(":
            if len(self._levels) > _NESTED_MAX:
                raise UsageError(f"groups are nested more than {_NESTED_MAX} deep: use fewer")
            self._levels.append([])
            self._can_repeat = False
        elif operator == b")":
            if len(self._levels) == 1:
                raise UsageError("a closing parenthesis has no opening one")
            inner = b"".join(self._levels.pop())
            self._add(b"(?:%s)" % inner)
        elif operator in b"^$|":
            level.append(operator)
            self._can_repeat = False
        elif operator == b"{":
            self._repeat(self._interval())
        else:
            self._repeat(operator)

    def _add(self, piece: bytes) -> None:
        self._levels[-1].append(piece)
        self._can_repeat = True
        self._was_repeated = False

    def _repeat(self, operator: bytes) -> None:
        level = self._levels[-1]
        if not self._can_repeat:
            raise UsageError(f"there is nothing to repeat before {operator.decode()}")
        self._repeats = self._repeats + 1 if self._was_repeated else 1
        self._was_repeated = True
        if self._repeats > _NESTED_MAX:
            raise UsageError(f"more than {_NESTED_MAX} repetitions of one another")
        # A group of its own: POSIX lets one repetition follow another.
        piece = level[-1]
        is_single = len(piece) == 1 or (len(piece) == 2 and piece[:1] == b"\\")
        level[-1] = (piece if is_single else b"(?:%s)" % piece) + operator

    def _interval(self) -> bytes:
        closing = b"}" if self._is_extended else b"\\}"
        end = self._pattern.find(closing, self._at)
        inner = self._pattern[self._at : end] if end >= 0 else b"?"
        low, comma, high = inner.partition(b",")
        if not all(each.isdigit() or not each for each in (low, high)) or inner in (b"", b","):
            raise UsageError("{ is followed by no numbers: write {2,5}, or \\{ for the character")
        if any(int(each[:9] or b"0") > _REPEAT_MAX for each in (low, high)):
            raise UsageError(f"a repetition count is more than {_REPEAT_MAX}: use a smaller one")
        self._at = end + len(closing)
        return b"{%s%s%s}" % (low or b"0", comma, high)

    def _is_start(self) -> bool:
        level = self._levels[-1]
        return not level or level[-1] == b"|" or (level == [b"^"] or level[-2:] == [b"|", b"^"])

    def _is_end(self) -> bool:
        at = self._at
        return at == len(self._pattern) or self._pattern.startswith((b"\\)", b"\\|"), at)

    def _bracket(self) -> bytes:
        """Translate a bracket expression after its `[`; in POSIX, a backslash in it is literal."""
        pattern = self._pattern
        sign = b"^" if pattern[self._at : self._at + 1] == b"^" else b""
        self._at += len(sign)
        pieces = list(self._members())
        return b"[%s%s]" % (sign, b"".join(pieces))

    def _members(self) -> Iterator[bytes]:
        pattern, start = self._pattern, self._at
        while True:
            mark = pattern[self._at : self._at + 1]
            if not mark:
                raise UsageError("a [ is not closed")
            # In first place a ] is a member of the set (regex(7)).
            if mark == b"]" and self._at > start:
                self._at += 1
                return
            kind = pattern[self._at + 1 : self._at + 2]
            if mark == b"[" and kind in (b":", b".", b"="):
                yield self._named(kind)
                continue
            self._at += 1
            if mark == b"-":
                # Between two characters it is a range, at either end itself.
                is_range = self._at - 1 > start and pattern[self._at : self._at + 1] != b"]"
                yield b"-" if is_range else b"\\-"
            else:
                yield b"\\" + mark if mark in b"\\[]^" else mark

    def _named(self, kind: bytes) -> bytes:
        end = self._pattern.find(kind + b"]", self._at + 2)
        name = self._pattern[self._at + 2 : end] if end >= 0 else b""
        self._at = end + 2
        if kind == b":" and name in _CLASSES:
            return b"[:%s:]" % name
        if kind != b":" and len(name) == 1:
            return b"\\" + name if name in b"\\[]^-" else name
        raise UsageError(f"unknown name in brackets: [{kind.decode()}…{kind.decode()}]")
