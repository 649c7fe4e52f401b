"""Options and errors that several verbs declare in the same words."""

from __future__ import annotations

from heliosfs.commands.options import Option

QUIET = Option(("-q", "--quiet"), "reply with nothing")
NUMBER = Option(("-n", "--max-count"), "at most so many; -5 is short for -n 5", "N", is_number=True)
COLOUR = (
    Option(("--color",), "always, never or auto (default)", "WHEN", is_optional=True),
    Option(("--no-color",), "the same as --color=never"),
)
AT = Option(("--at",), "as it was at a moment, such as '10 min ago', if that is known", "WHEN")

E_USAGE = ("EINVAL", "wrong syntax")
E_REVISION = ("ENOENT", "the revision names no commit")
E_AMBIGUOUS = ("ENOTUNIQ", "more than one commit id begins so")
E_FULL = ("ENOSPC, EIO", "the store is full, or failed")
E_STORE = ("EIO", "the store failed")
