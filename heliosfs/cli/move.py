"""`helios mv`: rename(2) in the mounted workspace, and both paths staged after it."""

from __future__ import annotations

import os
from typing import NamedTuple

from heliosfs.cli.client import ask, current_directory
from heliosfs.cli.locate import REPOSITORY, Location, find_view
from heliosfs.commands.options import Options
from heliosfs.commands.render import quote_path
from heliosfs.errors import AlreadyExists, HeliosError, NotFound, NotPermitted


class _Move(NamedTuple):
    source: str
    target: str


def mv(argv: list[str], options: Options) -> int:
    """Rename the named paths, and return the exit code.

    Raise NotFound, AlreadyExists or OSError.
    """
    if len(options.words) < 2:
        raise options.misuse("mv SOURCE TARGET, or mv SOURCE... DIRECTORY")
    view = find_view(current_directory())
    if view is None:
        raise NotFound("mv works in a mounted workspace: mount it (helios mount), or use mv(1)")
    *sources, last = options.words
    is_into = os.path.isdir(last) and not os.path.islink(last)
    if len(sources) > 1 and not is_into:
        raise NotFound(f"{last!r} is not a directory")
    moves = []
    for source in sources:
        name = os.path.basename(source.rstrip("/"))
        each = _Move(source, os.path.join(last, name) if is_into else last)
        try:
            _check(view, each, options)
        except HeliosError:
            if "k" not in options:
                raise
            continue
        moves.append(each)
    for each in moves:
        if "verbose" in options or "dry-run" in options:
            source, target = (quote_path(os.fsencode(path)) for path in each)
            print(f"Renaming {source} to {target}")
        if "dry-run" not in options:
            os.rename(each.source, each.target)
            ask(view, ["add", "--", each.source.rstrip("/"), each.target.rstrip("/")])
    return 0


def _check(view: Location, each: _Move, options: Options) -> None:
    """Refuse what git refuses, before anything is renamed."""
    if not os.path.lexists(each.source):
        raise NotFound(f"no file {each.source!r}")
    for path in each:
        parent = os.path.realpath(os.path.dirname(path.rstrip("/")) or ".")
        below = os.path.relpath(os.path.join(parent, os.path.basename(path.rstrip("/"))), view.root)
        if below.startswith("../") or below.split("/")[0] == REPOSITORY:
            raise NotPermitted(f"{path!r} is not a file of this workspace")
    tracked = ask(view, ["ls-files", "--", each.source.rstrip("/")])
    if not tracked:
        raise NotFound(f"{each.source!r} is in no commit and not staged: use mv(1)")
    if os.path.lexists(each.target) and "force" not in options:
        raise AlreadyExists(f"{each.target!r} exists already: -f replaces it")
