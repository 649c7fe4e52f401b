"""`rev-parse --show-toplevel` and the like: the caller's workspace, and the place in it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from heliosfs.cli.client import ask_in_current_directory, current_directory
from heliosfs.cli.locate import REPOSITORY, Location, find_repository, find_view
from heliosfs.commands.options import Options
from heliosfs.commands.plumbing.rev_parse import OF_THE_CLIENT
from heliosfs.errors import NotFound


def rev_parse(argv: list[str], options: Options) -> int | list[str]:
    """Answer questions about the caller's place; return all other requests as they are."""
    return _whereabouts(argv, options) if _asks_for_place(options) else argv


def _asks_for_place(options: Options) -> bool:
    """Return True if a request is one that only the client can answer."""
    return any(key in options for key in OF_THE_CLIENT)


def _whereabouts(argv: Sequence[str], options: Options) -> int:
    """Print a line for each thing that is asked for, in their order.  Raise NotFound."""
    where = current_directory()
    place = _place(where)
    flags = [word for word in argv[1:] if word.startswith("-") and not _is_place_option(word)]
    for word in argv[1:]:
        if _is_place_option(word):
            print(_place_answer(word.removeprefix("--"), place, where))
        elif not word.startswith("-"):
            print(ask_in_current_directory([argv[0], *flags, word]), end="")
    return 0


def _is_place_option(word: str) -> bool:
    return word.removeprefix("--") in OF_THE_CLIENT


def _place(where: str) -> Location:
    place = find_view(where) or find_repository(where)
    if place is None:
        raise NotFound(f"not inside a heliosfs workspace ({where}, or any directory above it)")
    return place


def _place_answer(key: str, place: Location, where: str) -> str:
    inside = place.below.split("/")[0] == REPOSITORY
    if key == "show-toplevel":
        return place.root
    if key == "show-prefix":
        return place.below + "/" if place.below else ""
    if key == "show-cdup":
        return "../" * len([part for part in place.below.split("/") if part])
    if key in ("git-dir", "git-common-dir"):
        return REPOSITORY if where == place.root else os.path.join(place.root, REPOSITORY)
    if key == "absolute-git-dir":
        return os.path.join(place.root, REPOSITORY)
    if key == "is-bare-repository":
        return "false"
    return "true" if inside == (key == "is-inside-git-dir") else "false"
