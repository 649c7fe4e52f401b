"""`helios import` and `helios export`: paths made absolute, progress shown, a workspace begun."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliosfs.cli.client import current_directory, run, with_repository
from heliosfs.cli.locate import Place, find_repository, find_view, mount_over
from heliosfs.errors import UsageError

if TYPE_CHECKING:
    from heliosfs.commands.options import Options
    from heliosfs.git.importer import Progress
    from heliosfs.repo.repository import Repository

_PATHS = ("from-git", "from-dir", "verify", "to-git")
_SHOW_SECONDS = 0.1


def transfer(name: str, argv: Sequence[str], options: Options) -> int:
    """Run `import` or `export` where the current directory is; gives the exit code.  HeliosError.

    An import outside of every workspace makes one of the current directory.
    """
    where = current_directory()
    if find_view(where) is not None:
        return run(_absolute(argv))
    paths = {key: _resolved(options.value(key)) for key in _PATHS}
    place = find_repository(where)
    if place is None:
        over = mount_over(where)
        begins = name == "import" and (paths["from-git"] or paths["from-dir"])
        if not begins or (over is not None and over.is_ours):
            return run(argv)
        place = _begin(where, paths["from-git"])
    # Much is allocated and nothing of it is cyclic: the collector would only walk it.
    gc.disable()
    reply = with_repository(
        place, lambda repository: _run_here(repository, place, name, options, paths)
    )
    sys.stdout.buffer.write(os.fsencode(reply))
    return 0


def _run_here(
    repository: Repository, place: Place, name: str, options: Options, paths: dict[str, str | None]
) -> str:
    from heliosfs.commands.verb import Request

    request = Request(repository, repository.root, place.below)
    shown = _Line()
    try:
        if name == "export":
            from heliosfs.commands.exporting import run_export

            return run_export(request, options, paths["to-git"])
        from heliosfs.commands.importing import run_import

        if paths["from-git"]:
            _take_in(repository, place, shown)
        sources = {key: paths[key] for key in ("from-git", "from-dir", "verify")}
        return run_import(request, options, sources, shown.progress)
    finally:
        shown.end()


def _begin(where: str, git_path: str | None) -> Place:
    """A repository in the current directory, once it is known that there is something to import."""
    from heliosfs.cli.mount import init

    if git_path:
        from heliosfs.git.process import Git

        Git.find(git_path)
    init([where])
    return Place(where, "")


def _take_in(repository: Repository, place: Place, shown: _Line) -> None:
    """What the first mount would do: after it the files of the directory are not looked at."""
    from heliosfs.cli.daemon import take_in

    fd = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        take_in(repository, fd, shown.show)
    finally:
        os.close(fd)


class _Line:
    """One line on the standard error output that is written over, if somebody looks."""

    def __init__(self) -> None:
        self._is_seen = sys.stderr.isatty()
        self._begin = time.monotonic()
        self._next = 0.0
        self._used = False

    def progress(self, progress: Progress) -> None:
        """How far it is, how fast, how long it will take."""
        now = time.monotonic()
        if not self._is_seen or now < self._next:
            return
        self._next = now + _SHOW_SECONDS
        seconds = max(now - self._begin, 0.001)
        done, count = progress.commits, progress.commit_count
        percent = 100 * done // count if count else 100
        text = f"{percent:3} % of {count} commits"
        if progress.objects:
            text += f", {progress.objects} objects, {progress.objects / seconds:,.0f}/s"
        if done:
            text += f", {seconds * (count - done) / done:.0f} s left"
        self.show(text)

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._is_seen:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            self._used = True

    def end(self) -> None:
        """Leave an empty line behind."""
        if self._used:
            sys.stderr.write("\r\x1b[K")


def _absolute(argv: Sequence[str]) -> list[str]:
    """The words of a request with their paths from the root: the daemon is somewhere else."""
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
