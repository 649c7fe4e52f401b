"""The file systems that stand side by side, and how each is mounted over a directory."""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.daemons import await_mount, ending
from benchmarks.measure import Plan, run
from benchmarks.worlds import serving

_PASSTHROUGH = Path("/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c")
_MEMORY = Path("/dev/shm")


Mounter = Callable[[Plan, Path], AbstractContextManager[Path]]


class Missing(Exception):
    """This machine lacks the file system; the text says what would bring it."""


@dataclass(frozen=True)
class FileSystem:
    """One that can show the files of a source directory."""

    name: str
    mount: Mounter
    """Mount it over a source directory, and yield the place where it shows the files; unmounted in
    the end, while what was written stays in the source.  Missing; RuntimeError when it fails."""
    note: str = ""
    is_in_memory: bool = False
    """True if its source lies in memory, and not on the disk that is measured."""

    @contextmanager
    def source(self, plan: Plan) -> Iterator[Path]:
        """A new directory to mount it over, which is removed in the end.  Missing."""
        if not self.is_in_memory:
            source = plan.directory("source")
        elif _MEMORY.is_dir() and run("stat", "-f", "-c", "%T", str(_MEMORY)).strip() == "tmpfs":
            source = Path(tempfile.mkdtemp(prefix="heliosfs-benchmarks-", dir=_MEMORY))
        else:
            raise Missing(f"{self.name} not measured: {_MEMORY} is none")
        try:
            yield source
        finally:
            shutil.rmtree(source)


@contextmanager
def _ours(plan: Plan, source: Path) -> Iterator[Path]:
    with serving(plan, source) as mount:
        yield mount.path


@contextmanager
def _without_stale_mark(_plan: Plan, source: Path) -> Iterator[Path]:
    yield source


def _served(find: Callable[[Plan], str], arguments: Callable[[Plan, Path], list[str]]) -> Mounter:
    """One in C, which a program serves in the foreground at the place given last."""

    @contextmanager
    def mount(plan: Plan, source: Path) -> Iterator[Path]:
        program = find(plan)
        place = plan.directory("mounted")
        command = [program, "-f", *arguments(plan, source), str(place)]
        quiet = subprocess.DEVNULL
        with (
            subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process,
            ending(place, process),
        ):
            _allow_files(process.pid)
            await_mount(place, process)
            yield place
        place.rmdir()

    return mount


def _allow_files(pid: int) -> None:
    """Let it hold a descriptor for each file that the kernel knows, as passthrough_ll does."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


def _compiled(plan: Plan) -> str:
    """Libfuse's example, built once in a run.  Missing."""
    program = plan.scratch / "passthrough_ll"
    if not program.exists():
        if not _PASSTHROUGH.exists():
            raise Missing(f"not measured: no {_PASSTHROUGH} (apt-get install libfuse3-dev)")
        try:
            flags = run("pkg-config", "--cflags", "--libs", "fuse3").split()
            run("gcc", "-O2", "-o", str(program), str(_PASSTHROUGH), *flags)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Missing(f"not measured: passthrough_ll does not compile ({error})") from error
    return str(program)


def _installed(name: str) -> Callable[[Plan], str]:
    """Return a search for the program of that name, whose Debian package is called the same."""

    def find(_plan: Plan) -> str:
        path = shutil.which(name)
        if path is None:
            raise Missing(f"not measured: {name} is not installed (apt-get install {name})")
        return path

    return find


def _overlay(plan: Plan, source: Path) -> list[str]:
    lower, work = plan.directory("lower"), plan.directory("work")
    return ["-o", f"lowerdir={lower},upperdir={source},workdir={work}"]


OURS = FileSystem("heliosfs", _ours)
DISK = FileSystem("the disk", _without_stale_mark)
MEMORY = FileSystem("tmpfs", _without_stale_mark, is_in_memory=True)
IN_C = FileSystem(
    "C passthrough",
    # It caches as much as we do: without it, it would be asked more often.
    _served(_compiled, lambda _plan, source: ["-o", f"source={source},cache=always"]),
    "libfuse's passthrough_ll with cache=always",
)
BINDFS = FileSystem(
    "bindfs",
    _served(_installed("bindfs"), lambda _plan, source: [str(source)]),
    "bindfs lets the kernel cache no names and no attributes, and has no option for it",
)
OVERLAY = FileSystem(
    "fuse-overlayfs",
    _served(_installed("fuse-overlayfs"), _overlay),
    "fuse-overlayfs over an empty lower directory, with its defaults: a writeback cache",
)
ALL = (OURS, DISK, MEMORY, IN_C, BINDFS, OVERLAY)
