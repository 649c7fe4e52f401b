r"""Patterns of names and paths, matched as git's wildmatch does, but in linear time.

Patterns and texts are bytes:

- `?` matches any byte, `[a-z]` a byte of a set, `[!a-z]` and `[^a-z]` any other byte; `\` quotes
  the next byte.  A set may contain classes (`[:alpha:]`), escapes and ranges.  A set without an
  end, or an unknown class, makes a pattern that matches nothing.
- `*` matches any number of bytes.  In a pattern of paths no wildcard matches a slash, except that
  `**` alone between slashes matches any number of directories.

git tries the possibilities one after the other, which takes exponential time for some patterns.
Here all of them are followed at once: the set of positions in the pattern that the text read so
far can lead to is an integer with a bit for each position, and each byte of text updates it with
a few bitwise operations.  Cost: O(text * pattern / bits of a machine word).
"""

from __future__ import annotations

from collections.abc import Callable

Matcher = Callable[[bytes], bool]

_SPECIAL = b"*?[\\"
_SLASH = 47
_ALL = frozenset(range(256))
_LOWER = frozenset(range(97, 123))
_UPPER = frozenset(range(65, 91))
_DIGIT = frozenset(range(48, 58))
_CLASSES: dict[bytes, frozenset[int]] = {
    b"alnum": _LOWER | _UPPER | _DIGIT,
    b"alpha": _LOWER | _UPPER,
    b"blank": frozenset(b" \t"),
    b"cntrl": frozenset(range(32)) | {127},
    b"digit": _DIGIT,
    b"graph": frozenset(range(33, 127)),
    b"lower": _LOWER,
    b"print": frozenset(range(32, 127)),
    b"punct": frozenset(range(33, 127)) - _LOWER - _UPPER - _DIGIT,
    b"space": frozenset(b" \t\n\r"),  # git's own isspace
    b"upper": _UPPER,
    b"xdigit": frozenset(b"0123456789abcdefABCDEF"),
}

Token = frozenset[int] | str
"""Element of a pattern: a set of bytes that match, or one of the strings below."""

STAR = "*"
"""Token for any number of bytes; in a path, none of them is a slash."""
ANY = "**"
"""Token for any number of bytes, slashes included."""
DIRS = "**/"
"""Token for nothing, or any bytes and a slash."""


def is_pattern(text: bytes) -> bool:
    """Return True if a text contains a special byte: `*`, `?`, `[` or a backslash."""
    return literal_length(text) < len(text)


def literal_length(pattern: bytes) -> int:
    """Return the number of bytes in a pattern before the first special one.

    >>> literal_length(b"src/*.c"), literal_length(b"README")
    (4, 6)
    """
    return next((at for at, byte in enumerate(pattern) if byte in _SPECIAL), len(pattern))


def matcher(pattern: bytes, *, ignore_case: bool = False, crosses_slash: bool = True) -> Matcher:
    """Return a test of whole texts; with `crosses_slash`, wildcards match slashes too.

    >>> matcher(b"*.md")(b"docs/a.md"), matcher(b"*.md", crosses_slash=False)(b"docs/a.md")
    (True, False)
    >>> matcher(b"a/**/[!b]", crosses_slash=False)(b"a/x/y/c")
    True
    """
    if not is_pattern(pattern) and not ignore_case:
        return pattern.__eq__
    tokens = tokens_of(pattern, is_path=not crosses_slash, ignore_case=ignore_case)
    if tokens is None:
        return lambda text: False
    fits = Automaton(tokens, is_path=not crosses_slash).fits
    return (lambda text: fits(text.lower())) if ignore_case else fits


def tokens_of(pattern: bytes, *, is_path: bool, ignore_case: bool = False) -> list[Token] | None:
    """Return the pattern as tokens, or None if it can match nothing.

    With `ignore_case`, the caller converts the text to lower case.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        if byte == 42:
            token, at = _stars(pattern, at, is_path=is_path)
            # `**/**/` matches what `**/` does; one position fewer to follow.
            if not (token == DIRS and tokens[-1:] == [DIRS]):
                tokens.append(token)
            continue
        at += 1
        if byte == 63:
            tokens.append(_ALL - {_SLASH} if is_path else _ALL)
        elif byte == 91:
            found = _bracket(pattern, at, ignore_case=ignore_case)
            if found is None:
                return None
            chosen, at = found
            tokens.append(chosen - {_SLASH} if is_path else chosen)
        elif byte == 92:
            if at == len(pattern):
                return None
            tokens.append(frozenset((pattern[at],)))
            at += 1
        else:
            tokens.append(frozenset(bytes((byte,)).lower() if ignore_case else (byte,)))
    return tokens


def _stars(pattern: bytes, at: int, *, is_path: bool) -> tuple[Token, int]:
    """Read the stars at index `at`; return their token and the index after them."""
    end = at
    while pattern[end : end + 1] == b"*":
        end += 1
    # Without slashes that count, one star and several mean the same.
    if not is_path:
        return ANY, end
    is_alone = at == 0 or pattern[at - 1] == _SLASH
    rest = pattern[end : end + 2]
    if end - at < 2 or not is_alone or not (rest in (b"", b"\\/") or rest[:1] == b"/"):
        return STAR, end
    return (DIRS, end + 1) if rest[:1] == b"/" else (ANY, end)


def _bracket(pattern: bytes, at: int, *, ignore_case: bool) -> tuple[frozenset[int], int] | None:
    """Return the bytes that a `[…]` matches, and the index after it; None if it is malformed.

    `at` is the index after the opening bracket.
    """
    is_negated = pattern[at : at + 1] in (b"!", b"^")
    at += is_negated
    chosen: set[int] = set()
    start, before = at, 0
    while True:
        if at >= len(pattern):
            return None
        byte = pattern[at]
        if byte == 93 and at > start:
            break
        if byte == 91 and pattern[at + 1 : at + 2] == b":":
            end = pattern.find(b"]", at + 2)
            if end < 0:
                return None
            if end > at + 2 and pattern[end - 1] == 58:
                name = pattern[at + 2 : end - 1]
                if name not in _CLASSES:
                    return None
                chosen |= _CLASSES[name]
                if ignore_case and name == b"upper":
                    chosen |= _LOWER
                at, before = end + 1, 0
                continue
        if byte == 45 and before and pattern[at + 1 : at + 2] not in (b"", b"]"):
            found = _escaped(pattern, at + 1)
            if found is None:
                return None
            last, at = found
            chosen |= _range(before, last, ignore_case=ignore_case)
            before = 0
            continue
        found = _escaped(pattern, at)
        if found is None:
            return None
        before, at = found
        chosen.add(before)
    return (_ALL - chosen if is_negated else frozenset(chosen)), at + 1


def _escaped(pattern: bytes, at: int) -> tuple[int, int] | None:
    """Return the byte at `at`, or the one that a backslash there quotes, and the next index.

    None if the pattern ends with that backslash.
    """
    at += pattern[at] == 92
    return (pattern[at], at + 1) if at < len(pattern) else None


def _range(first: int, last: int, *, ignore_case: bool) -> set[int]:
    chosen = set(range(first, last + 1))
    if ignore_case:
        chosen |= set(bytes(chosen & _UPPER).lower())
    return chosen


class Automaton:
    """Compiled pattern: for each byte value an integer whose bits are positions that accept it."""

    __slots__ = ("_accepts", "_end", "_keeps", "_keeps_slash", "_least", "_skips", "_skips_two")

    def __init__(self, tokens: list[Token], *, is_path: bool) -> None:
        # Each bit is the position before a token; DIRS has two: before it, and within its bytes.
        self._accepts = [0] * 256
        self._keeps = 0
        """Positions that a byte other than a slash does not advance."""
        self._keeps_slash = 0
        """Positions that a slash does not advance."""
        self._skips = 0
        """Positions that lead to the next one without consuming a byte."""
        self._skips_two = 0
        self._least = sum(isinstance(token, frozenset) for token in tokens)
        """Length of the shortest text that can match, in bytes."""
        places: dict[frozenset[int], int] = {}
        bit = 1
        for token in tokens:
            if isinstance(token, frozenset):
                places[token] = places.get(token, 0) | bit
                bit <<= 1
                continue
            self._skips |= bit
            if token == DIRS:
                self._skips_two |= bit
                bit <<= 1
                self._accepts[_SLASH] |= bit
            self._keeps |= bit
            if token != STAR or not is_path:
                self._keeps_slash |= bit
            bit <<= 1
        self._end = bit
        for chosen, bits in places.items():
            for byte in chosen:
                self._accepts[byte] |= bits

    def fits(self, text: bytes) -> bool:
        """Return True if the pattern matches all of the text."""
        # Most names are decided here, before any byte is looked at.
        if len(text) < self._least:
            return False
        accepts, keeps, keeps_slash = self._accepts, self._keeps, self._keeps_slash
        skips, skips_two = self._skips, self._skips_two
        places = self._closed(1)
        for byte in text:
            kept = places & (keeps_slash if byte == _SLASH else keeps)
            places = (places & accepts[byte]) << 1 | kept
            if not places:
                return False
            more = (places & skips) << 1 | (places & skips_two) << 2
            while more & ~places:
                places |= more
                more = (places & skips) << 1 | (places & skips_two) << 2
        return bool(places & self._end)

    def _closed(self, places: int) -> int:
        more = places
        while more:
            more = ((places & self._skips) << 1 | (places & self._skips_two) << 2) & ~places
            places |= more
        return places
