"""`helios import` and `helios export`: paths made absolute, progress shown, a workspace begun."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliosfs.cli.client import (
    current_directory,
    plain_screen,
    print_bytes,
    refuse_dead,
    run,
    with_repository,
)
from heliosfs.cli.locate import Location, find_repository, find_view
from heliosfs.cli.progress import ProgressLine
from heliosfs.commands.visible import visible
from heliosfs.errors import UsageError
from heliosfs.mounttable import mount_over

if TYPE_CHECKING:
    from heliosfs.commands.options import Options
    from heliosfs.commands.verb import Request
    from heliosfs.repo.repository import Repository
    from heliosfs.steps import Steps

_PATHS = ("from-git", "from-dir", "verify", "to-git")


def import_(argv: Sequence[str], options: Options) -> int:
    """Run `import` in the current directory, and return the exit code.  Raise HeliosError.

    If the directory is in no workspace, it becomes one.
    """
    return _with_progress("import", argv, options)


def export(argv: Sequence[str], options: Options) -> int:
    """Run `export` in the current directory, and return the exit code.  Raise HeliosError."""
    return _with_progress("export", argv, options)


def _with_progress(name: str, argv: Sequence[str], options: Options) -> int:
    where = current_directory()
    line = ProgressLine()
    try:
        return _transfer(name, argv, options, where, line)
    finally:
        line.end()


def _transfer(
    name: str, argv: Sequence[str], options: Options, where: str, line: ProgressLine
) -> int:
    if find_view(where) is not None:
        return run(_absolute(argv), line.tell, screen=plain_screen())
    refuse_dead(where)
    paths = {key: _resolved(options.value(key)) for key in _PATHS}
    place = find_repository(where)
    if place is None:
        over = mount_over(where)
        begins = name == "import" and (paths["from-git"] or paths["from-dir"])
        if not begins or (over is not None and over.is_ours):
            return run(argv)
        place = _begin(where, paths["from-git"], options)
    # Much is allocated and nothing of it is cyclic: the collector would only walk it.
    gc.disable()
    reply = with_repository(
        place, lambda repository: _run_here(repository, place, name, options, paths, line)
    )
    print_bytes(os.fsencode(visible(reply) if os.isatty(1) else reply))
    return 0


def _run_here(
    repository: Repository,
    place: Location,
    name: str,
    options: Options,
    paths: dict[str, str | None],
    line: ProgressLine,
) -> str:
    from heliosfs.commands.verb import Request
    from heliosfs.remote.repetition import repeated
    from heliosfs.repo.beneath import Beneath
    from heliosfs.steps import run_to_end

    def attempt() -> str:
        request = Request(repository, repository.root, place.below)
        steps = _steps(request, place, name, options, paths, line)
        return run_to_end(steps, repository.store, line.tell)

    fd = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    repository.beneath = Beneath(fd, place.root)
    try:
        return repeated(repository, attempt, line.tell)
    finally:
        repository.beneath = None
        os.close(fd)


def _steps(
    request: Request,
    place: Location,
    name: str,
    options: Options,
    paths: dict[str, str | None],
    line: ProgressLine,
) -> Steps[str]:
    if name == "export":
        from heliosfs.commands.exchange.exporting import export_steps

        return export_steps(request, options, paths["to-git"])
    from heliosfs.commands.exchange.importing import import_steps

    if paths["from-git"]:
        _take_in(request.repository, place, line)
    return import_steps(request, options, paths)


def _begin(where: str, git_path: str | None, options: Options) -> Location:
    """Make a repository in the current directory, once there is something to import."""
    from heliosfs.cli.mount import init

    if git_path:
        from heliosfs.commands.exchange.importing import survey

        survey(git_path, options)
    init([where])
    return Location(where, "")


def _take_in(repository: Repository, place: Location, line: ProgressLine) -> None:
    """Take in the files of the directory, as the first mount would, and then not again."""
    from heliosfs.cli.daemon import take_in

    fd = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        take_in(repository, fd, line.show)
    finally:
        os.close(fd)


def _absolute(argv: Sequence[str]) -> list[str]:
    """Return the words with absolute paths: the daemon has another current directory."""
    names = {f"--{key}" for key in _PATHS}
    words: list[str] = []
    for word in argv:
        name, equals, value = word.partition("=")
        if words and words[-1] in names:
            words.append(os.path.abspath(word))
        elif equals and name in names:
            words.append(f"{name}={os.path.abspath(value)}")
        else:
            words.append(word)
    return words


def _resolved(path: str | None) -> str | None:
    if path is None:
        return None
    if not path:
        raise UsageError("an empty path")
    return os.path.realpath(path)
