"""`helios umount`: it ends its own mount, or names what keeps that from ending."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heliosfs import mounttable
from tests.mount.conftest import SECONDS, Mounted, Mounter

HELIOS = [sys.executable, "-m", "heliosfs.cli"]
PROMPT_SECONDS = 10
"""Half a second on an idle machine; it must not be the two minutes that saving may take."""
UNPRIVILEGED = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts something else")


@contextmanager
def running(*command: str, cwd: Path, shows: str = "ready\n") -> Iterator[subprocess.Popen[str]]:
    """A process that prints a line, and is ended afterwards."""
    process = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == shows
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def inside(ws: Mounted, *before: str) -> tuple[str, ...]:
    """A command in a mount namespace of its own, in which the branch `idea` is shown."""
    return (*before, *HELIOS, "run", "-q", "-b", "idea", "sh", "-c", "echo ready; exec cat")


def umount_again(ws: Mounted) -> subprocess.CompletedProcess[str]:
    return ws.command("umount", str(ws.path), cwd=Path("/"))


def with_commit(mounter: Mounter, name: str) -> Mounted:
    ws = mounter(name=name)
    (ws.path / "file").write_text("text\n")
    ws.commit("one")
    return ws


@pytest.mark.parametrize("before", [(), UNPRIVILEGED], ids=["root", "user"])
def test_a_command_in_one_workspace_holds_no_other(
    mounter: Mounter, before: tuple[str, ...]
) -> None:
    ws, other = with_commit(mounter, "ws"), with_commit(mounter, "other")
    with running(*inside(ws, *before), cwd=ws.path) as process:
        # It ends while the command still runs.
        assert f"pid {process.pid}," not in other.umount()
        began = time.monotonic()
        done = ws.command("umount")
        took = time.monotonic() - began
        assert done.returncode == 1
        name = os.readlink(f"/proc/{process.pid}/ns/mnt")
        assert f"held by cat (pid {process.pid}, mount namespace {name}" in done.stderr
        assert "still saves" not in done.stderr
        assert not ws.is_mounted
        again = ws.command("mount", str(ws.path), cwd=Path("/"))
        assert again.returncode == 1
        assert f"pid {process.pid}, mount namespace {name}" in again.stderr
        assert took < PROMPT_SECONDS
        assert f"pid {process.pid}, mount namespace {name}" in umount_again(ws).stderr
    ws.wait_ended()
    ws.mount()
    assert (ws.path / "file").read_text() == "text\n"


@needs_root
def test_mounts_outside_come_and_go_inside() -> None:
    """An unmount outside reaches a namespace that `run` has made, if mounts are shared."""
    script = """
        set -e
        mount --make-rshared /
        mkdir "$1/t"; mount -t tmpfs none "$1/t"
        "$2" -c 'import sys; from heliosfs.cli.namespace import bind_privately
bind_privately(sys.argv[1], sys.argv[2], [])
print("ready", flush=True); sys.stdin.read()
print(sys.argv[3] in open("/proc/self/mountinfo").read())' "$1/a" "$1/b" "$1/t" <"$3" >"$4" &
        exec 9>"$3"
        until grep -q ready "$4"; do sleep 0.01; done
        umount "$1/t"
        exec 9>&-
        wait
        cat "$4"
    """
    with scratch() as path:
        for name in "ab":
            (path / name).mkdir()
        os.mkfifo(path / "in")
        (path / "out").touch()
        words = [str(path), sys.executable, str(path / "in"), str(path / "out")]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *words],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.stdout == "ready\nFalse\n", done.stderr


@contextmanager
def scratch() -> Iterator[Path]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        yield Path(name)


@needs_root
def test_what_still_has_an_unmounted_workspace_is_named(mounter: Mounter, tmp_path: Path) -> None:
    ws = with_commit(mounter, "ws")
    place = tmp_path / "place"
    place.mkdir()
    subprocess.run(["mount", "--bind", ws.path, place], check=True, timeout=SECONDS)
    try:
        program = "f = open('file'); print('ready', flush=True); input()"
        with running(sys.executable, "-c", program, cwd=place) as process:
            done = ws.command("umount")
            who = f"held by {Path(sys.executable).name[:15]} (pid {process.pid}: current directory)"
            assert who in done.stderr
        done = ws.command("mount", str(ws.path), cwd=Path("/"))
        assert f"held by the mount of it at {place}:" in done.stderr
        with running(
            "sh", "-c", f"exec 5<{place}/file; echo ready; exec cat", cwd=Path("/")
        ) as process:
            subprocess.run(["umount", "--lazy", place], check=True, timeout=SECONDS)
            done = ws.command("mount", str(ws.path), cwd=Path("/"))
            assert f"(pid {process.pid}: has /file open)" in done.stderr
    finally:
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
    ws.wait_ended()


def test_a_mapping_keeps_a_mount(mounted: Mounted) -> None:
    (mounted.path / "file").write_text("text\n")
    library = (
        "import ctypes, os, sys; libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p"
    )
    program = (
        f"{library}\nfd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "libc.mmap(None, 5, 1, 2, fd, 0)\nos.close(fd)\nprint('ready', flush=True)\ninput()"
    )
    path = str(mounted.path / "file")
    with running(sys.executable, "-c", program, path, cwd=Path("/")) as process:
        done = mounted.command("umount")
        assert f"(pid {process.pid}: has {path} mapped)" in done.stderr
    mounted.umount()


@needs_root
def test_it_looks_at_its_own_mount_while_others_come_and_go(
    mounter: Mounter, tmp_path: Path
) -> None:
    ws = with_commit(mounter, "ws")
    places = [tmp_path / f"other-{number}" for number in range(8)]
    for place in places:
        place.mkdir()
    churn = (
        "import subprocess, sys\n"
        "def run(*words): subprocess.run(words, check=False, stderr=subprocess.DEVNULL)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for place in sys.argv[1:]: run('mount', '-t', 'tmpfs', 'none', place)\n"
        "    for place in sys.argv[1:]: run('umount', place)\n"
    )
    try:
        with running(sys.executable, "-c", churn, *map(str, places), cwd=Path("/")):
            for _ in range(3):
                with running("sh", "-c", "echo ready; exec cat", cwd=ws.path) as process:
                    done = ws.command("umount")
                    assert f"is in use by cat (pid {process.pid}" in done.stderr
                    assert ws.is_mounted
                ws.umount()
                ws.mount()
    finally:
        for place in places:
            while mounttable.mount_at(str(place)) is not None:
                subprocess.run(["umount", "--lazy", place], check=True, timeout=SECONDS)


def test_a_workspace_is_forgotten_on_demand(mounted: Mounted) -> None:
    path = str(mounted.path)
    assert mounted.command("umount", "--forget").returncode == 0
    done = mounted.command("umount", "--forget", path, cwd=Path("/"))
    assert "is not a mounted heliosfs workspace" in done.stderr
    mounted.mount()
    mounted.unmount()
    done = mounted.command("umount", "--forget", path, cwd=Path("/"))
    assert done.stdout == f"'helios mount --all' no longer mounts {path}\n"
