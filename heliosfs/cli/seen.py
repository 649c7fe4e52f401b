"""Streams of this process that lead to a terminal, and write nothing that a terminal obeys."""

from __future__ import annotations

import sys
from typing import Any, TextIO, cast

from heliosfs.commands.visible import visible


class VisibleStream:
    """Text stream to a terminal that makes control characters visible."""

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream
        """Stream for what we ourselves tell the terminal to do."""

    def write(self, text: str) -> int:
        """Write the text; return its length."""
        self.unfiltered.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


def guard_terminal() -> None:
    """Let `print` and its like, of all verbs, show nothing to a terminal that it obeys.

    What goes into a file or a pipe stays as it is.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream.isatty() and not isinstance(stream, VisibleStream):
            setattr(sys, name, cast("TextIO", VisibleStream(stream)))


def unfiltered(stream: TextIO) -> TextIO:
    """Return the stream for control characters of our own."""
    return stream.unfiltered if isinstance(stream, VisibleStream) else stream
