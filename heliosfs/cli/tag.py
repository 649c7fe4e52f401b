"""The message of an annotated tag: read from a file, or written in the editor of the user."""

from __future__ import annotations

from heliosfs.commands.options import Options


def tag(argv: list[str], options: Options) -> list[str]:
    """Return the words of a tag with its message, if it is annotated."""
    # Imported here, since most tags need neither.
    if "file" in options:
        from heliosfs.cli.message import with_message

        return with_message(argv, options)
    if "annotate" in options and "message" not in options and options.words:
        from heliosfs.cli.editor import is_terminal, with_edited_tag

        return with_edited_tag(argv) if is_terminal() else argv
    return argv
