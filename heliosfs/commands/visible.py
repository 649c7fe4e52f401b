"""Text for a terminal in which every character can be seen, as less(1) shows it.

A terminal obeys control characters, whoever wrote them: those of a commit message that was
imported could set the title of its window, or hide what was changed.  So what a person reads has
none but tabs and newlines; what goes into a file or to a program stays as it is.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    # C0 without tab and newline, DEL and C1 (ECMA-48); what turns the direction of writing (UAX 9);
    # separators that some terminals take for newlines; bytes that are no UTF-8 (PEP 383), which a
    # terminal for another encoding takes for C1.
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udcff]"
)


def visible(text: str) -> str:
    r"""Return the text with what a terminal would obey made visible.

    >>> print(visible("a\033[2Jb c\r\x9b1m\u202e\udce9"))
    a^[[2Jb c^M<U+009B>1m<U+202E><E9>
    """
    return _UNSEEN.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x80:
        return f"^{chr(number ^ 0x40)}"
    return f"<{number - 0xDC00:02X}>" if number >= 0xDC80 else f"<U+{number:04X}>"
