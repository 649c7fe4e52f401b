"""The message of an annotated tag: read from a file, or written in the editor of the user."""

from __future__ import annotations

import os

from heliosfs.commands.options import Options


def tag(argv: list[str], options: Options) -> list[str]:
    """Return the words of a tag with its message, if it is annotated."""
    # Imported here, since most tags need neither.
    if "file" in options:
        from heliosfs.cli.message import with_message

        return with_message(argv, options)
    if "annotate" in options and "message" not in options and options.words and is_terminal():
        from heliosfs.cli.editor import with_edited_tag

        return with_edited_tag(argv)
    return argv


def is_terminal() -> bool:
    """Return True if an editor can be shown to the user."""
    return os.isatty(0) and os.isatty(1)
