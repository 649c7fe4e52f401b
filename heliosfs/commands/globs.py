"""Patterns of paths as git's pathspecs have them: `*` and `?` match a slash as well."""

from __future__ import annotations

from collections.abc import Callable

Matcher = Callable[[bytes], bool]

_SPECIAL = b"*?[\\"
_CLASSES: dict[bytes, Callable[[int], bool]] = {
    b"alnum": lambda byte: byte < 128 and chr(byte).isalnum(),
    b"alpha": lambda byte: byte < 128 and chr(byte).isalpha(),
    b"blank": lambda byte: byte in b" \t",
    b"cntrl": lambda byte: byte < 32 or byte == 127,
    b"digit": lambda byte: 48 <= byte <= 57,
    b"graph": lambda byte: 33 <= byte <= 126,
    b"lower": lambda byte: 97 <= byte <= 122,
    b"print": lambda byte: 32 <= byte <= 126,
    b"punct": lambda byte: 33 <= byte <= 126 and not chr(byte).isalnum(),
    b"space": lambda byte: byte in b" \t\n\v\f\r",
    b"upper": lambda byte: 65 <= byte <= 90,
    b"xdigit": lambda byte: byte in b"0123456789abcdefABCDEF",
}
_STAR = None
"""In a list of tokens: any number of bytes."""

_Token = frozenset[int] | None


def is_pattern(text: bytes) -> bool:
    """Return True if a text has a character that patterns give a meaning to."""
    return any(byte in _SPECIAL for byte in text)


def literal_length(pattern: bytes) -> int:
    """Return how many bytes of a pattern come before the first one with a meaning."""
    return next((at for at, byte in enumerate(pattern) if byte in _SPECIAL), len(pattern))


def matcher(pattern: bytes, *, ignore_case: bool = False, crosses_slash: bool = True) -> Matcher:
    """Return a test of whole paths.

    Without `crosses_slash` no wildcard but `**` matches a slash, as in `:(glob)`.
    Cost of a test: O(pattern × path), for one star is as good as many.

    >>> matcher(b"*.md")(b"docs/a.md"), matcher(b"*.md", crosses_slash=False)(b"docs/a.md")
    (True, False)
    """
    if not crosses_slash:
        return _by_segments(pattern, ignore_case=ignore_case)
    tokens = _tokens(pattern, ignore_case=ignore_case)
    return lambda path: tokens is not None and _fits(tokens, path)


def _by_segments(pattern: bytes, *, ignore_case: bool) -> Matcher:
    """`:(glob)`: `**` alone between slashes is any number of directories."""
    parts = [
        None if part == b"**" else _tokens(part, ignore_case=ignore_case)
        for part in pattern.split(b"/")
    ]
    ends = [part == b"**" for part in pattern.split(b"/")]

    def fits(path: bytes) -> bool:
        names = path.split(b"/")
        # Which beginnings of the pattern fit the names so far: at most one bit for each part.
        states = {0}
        for name in names:
            states = _closed(states, ends)
            states = {
                at if ends[at] else at + 1
                for at in states
                if at < len(parts) and (ends[at] or _fits_part(parts[at], name))
            }
        last = len(parts)
        return last in states or (last - 1 in states and ends[-1])

    return fits


def _closed(states: set[int], ends: list[bool]) -> set[int]:
    """Add the states in which a `**` stands for no directory at all; the last needs one name."""
    found = set(states)
    for at in sorted(states):
        while at < len(ends) - 1 and ends[at]:
            at += 1
            found.add(at)
    return found


def _fits_part(tokens: list[_Token] | None, name: bytes) -> bool:
    return tokens is not None and _fits(tokens, name)


def _fits(tokens: list[_Token], text: bytes) -> bool:
    """Match greedily: after a later star, an earlier one never has to be tried again."""
    at = place = 0
    star = star_place = -1
    while place < len(text):
        token = tokens[at] if at < len(tokens) else frozenset()
        if token is _STAR:
            star, star_place = at, place
            at += 1
        elif token and text[place] in token:
            at += 1
            place += 1
        elif star >= 0:
            star_place += 1
            at, place = star + 1, star_place
        else:
            return False
    return all(token is _STAR for token in tokens[at:])


def _tokens(pattern: bytes, *, ignore_case: bool) -> list[_Token] | None:
    """The pattern as sets of bytes and stars; None when it can match nothing."""
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        at += 1
        if byte == 42:
            tokens.append(_STAR)
            continue
        if byte == 63:
            tokens.append(frozenset(range(256)))
            continue
        if byte == 91:
            found = _bracket(pattern, at)
            if found is None:
                return None
            chosen, at = found
        else:
            if byte == 92:
                if at >= len(pattern):
                    return None
                byte = pattern[at]
                at += 1
            chosen = frozenset((byte,))
        tokens.append(_both_cases(chosen) if ignore_case else chosen)
    return tokens


def _bracket(pattern: bytes, at: int) -> tuple[frozenset[int], int] | None:
    """The bytes of a `[…]` that begins before `at`, and where it ends; None when it does not."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    chosen: set[int] = set()
    first = True
    while at < len(pattern):
        byte = pattern[at]
        at += 1
        if byte == 93 and not first:
            return frozenset(range(256)) - chosen if negated else frozenset(chosen), at
        first = False
        if byte == 91 and pattern[at : at + 1] == b":":
            end = pattern.find(b":]", at)
            if end < 0 or pattern[at + 1 : end] not in _CLASSES:
                return None
            chosen |= set(filter(_CLASSES[pattern[at + 1 : end]], range(256)))
            at = end + 2
            continue
        if byte == 92 and at < len(pattern):
            byte = pattern[at]
            at += 1
        last = byte
        if pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] not in (b"]", b""):
            at += 1
            if pattern[at] == 92 and at + 1 < len(pattern):
                at += 1
            last = pattern[at]
            at += 1
        chosen |= set(range(byte, last + 1))
    return None


def _both_cases(chosen: frozenset[int]) -> frozenset[int]:
    letters = bytes(chosen)
    return chosen | frozenset(letters.lower()) | frozenset(letters.upper())
