"""The progress of long work, on one line that is overwritten."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from heliosfs.cli.seen import unfiltered
from heliosfs.commands.visible import visible

if TYPE_CHECKING:
    from heliosfs.steps import Progress

_SHOW_SECONDS = 0.1
_BAR_WIDTH = 24


class ProgressLine:
    """Line on the standard error output, shown if that is a terminal."""

    def __init__(self) -> None:
        self._is_seen = sys.stderr.isatty()
        self._stream = unfiltered(sys.stderr)
        self._begin = time.monotonic()
        self._next = 0.0
        self._used = False

    def tell(self, progress: Progress) -> None:
        """Show a bar, the rate and the time left."""
        now = time.monotonic()
        if self._is_seen and now >= self._next:
            self._next = now + _SHOW_SECONDS
            self.show(describe(progress, now - self._begin))

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._is_seen:
            self._stream.write(f"\r{visible(text)}\x1b[K")
            self._stream.flush()
            self._used = True

    def end(self) -> None:
        """Leave an empty line behind."""
        if self._used:
            self._stream.write("\r\x1b[K")


def describe(progress: Progress, seconds: float) -> str:
    """Return the text of the line after `seconds` of work.

    >>> from heliosfs.steps import Progress
    >>> describe(Progress(50, 200, "commits", 900), 3.0)
    '[######..................]  25 %  50 of 200 commits, 900 objects, 300/s, 9 s left'
    >>> describe(Progress(7, 0, "files"), 2.0)
    '7 files, 4/s'
    """
    done, total, unit, objects = progress
    counted = objects or done
    rate = f"{counted / seconds:,.0f}/s" if seconds > 0 else ""
    parts = [f"{objects:,} objects"] if objects else []
    if rate:
        parts.append(rate)
    if not total:
        return ", ".join([f"{done:,} {unit}", *parts])
    if done:
        parts.append(f"{seconds * (total - done) / done:.0f} s left")
    bar = ("#" * (_BAR_WIDTH * done // total)).ljust(_BAR_WIDTH, ".")
    return ", ".join([f"[{bar}] {100 * done // total:3} %  {done:,} of {total:,} {unit}", *parts])
