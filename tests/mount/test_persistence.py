"""Persistence of a workspace after its daemon ended, however it ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.programs import SECONDS, errno_of, put, run

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted

STDLIB = Path(os.__file__).parent


def fill(mounted: Mounted) -> None:
    """Commits, branches, and uncommitted changes in three places."""
    put(mounted.path / "d/file", "one\n")
    (mounted.path / "link").symlink_to("d/file")
    mounted.commit("one")
    put(mounted.path / "d/file", "two\n")
    mounted.commit("two")
    mounted.control("branch", "idea HEAD~1\n")
    mounted.control("branch", "feature/x\n")
    put(mounted.path / ".helios/branches/idea/on-idea", "idea, uncommitted\n")
    put(mounted.path / ".helios/branches/feature/x/on-x", "x, uncommitted\n")
    put(mounted.path / "uncommitted", "uncommitted\n")
    os.link(mounted.path / "uncommitted", mounted.path / "hard")
    (mounted.path / "d/file").chmod(0o600)
    os.utime(mounted.path / "d", ns=(0, 7))


def describe(mounted: Mounted) -> dict[str, object]:
    """All that must be there again."""
    dot = mounted.path / ".helios"
    found: dict[str, object] = {
        name: (dot / name).read_text() for name in ("HEAD", "branch", "log", "oplog", "status")
    }
    for name in ("", ".helios/branches/idea", ".helios/branches/feature/x"):
        found[name] = run(
            "ls", "-lRA", "--time-style=+%s%N", "-I", ".helios", ".", cwd=mounted.path / name
        ).stdout
    found["branches"] = mounted.control("branch", "-v\n")
    found["snapshots"] = sorted(os.listdir(dot / "snapshots"))
    found["texts"] = [
        (mounted.path / name).read_text()
        for name in ("d/file", "hard", "link", ".helios/branches/idea/on-idea")
        if (mounted.path / name).exists()
    ]
    return found


@pytest.mark.parametrize("how", ["unmount", "SIGTERM"])
def test_a_clean_end_keeps_everything(mounted: Mounted, how: str) -> None:
    fill(mounted)
    before = describe(mounted)
    if how == "unmount":
        mounted.unmount()
    else:
        mounted.terminate()
    mounted.mount()
    assert describe(mounted) == before


def test_a_detached_head_comes_back_detached(mounted: Mounted) -> None:
    fill(mounted)
    mounted.control("checkout", "HEAD~1\n")
    put(mounted.path / "detached", "uncommitted\n")
    before = describe(mounted)
    assert before["branch"] == "(detached)\n"
    mounted.remount()
    assert describe(mounted) == before
    mounted.control("undo", "\n")
    assert (mounted.path / ".helios/branch").read_text() == "main\n"
    assert (mounted.path / "uncommitted").read_text() == "uncommitted\n"


def test_undo_and_redo_reach_over_a_remount(mounted: Mounted) -> None:
    put(mounted.path / "file", "one\n")
    mounted.commit("one")
    put(mounted.path / "file", "uncommitted\n")
    mounted.control("reset", "--hard\n")
    mounted.remount()
    mounted.control("undo", "\n")
    assert (mounted.path / "file").read_text() == "uncommitted\n"
    mounted.remount()
    mounted.control("redo", "\n")
    assert (mounted.path / "file").read_text() == "one\n"


def test_sigterm_while_files_are_open(mounted: Mounted) -> None:
    fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"written")
    mounted.terminate()
    assert errno_of(lambda: os.write(fd, b"more")) in ("ENOTCONN", "ECONNABORTED")
    os.close(fd)
    mounted.mount()
    assert (mounted.path / "file").read_bytes() == b"written"


def test_acknowledged_commits_outlive_a_killed_daemon(mounted: Mounted) -> None:
    ids = []
    for number in range(50):
        put(mounted.path / "file", f"{number}\n")
        ids.append(mounted.commit(f"{number}"))
        if number % 10 == 9:
            mounted.kill9()
            mounted.mount()
            assert mounted.helios("rev-parse", "HEAD").strip() == ids[-1]
            assert (mounted.path / "file").read_text() == f"{number}\n"
    assert sorted(os.listdir(mounted.path / ".helios/snapshots")) == sorted(ids)
    for number in range(50):
        snapshot = mounted.path / f".helios/snapshots/{ids[number]}"
        assert (snapshot / "file").read_text() == f"{number}\n"


def test_acknowledged_verbs_outlive_a_killed_daemon(mounted: Mounted) -> None:
    fill(mounted)
    mounted.control("reset", "--hard HEAD~1\n")
    mounted.control("branch", "-m idea renamed\n")
    mounted.control("branch", "late\n")
    mounted.kill9()
    mounted.mount()
    assert (mounted.path / "d/file").read_text() == "one\n"
    branches = mounted.control("branch", "\n")
    assert branches == "  feature/x\n  late\n* main\n  renamed\n"
    mounted.control("undo", "\n")
    assert (mounted.path / "uncommitted").read_text() == "uncommitted\n"
    assert (mounted.path / "d/file").read_text() == "two\n"


def test_what_was_added_outlives_a_killed_daemon(mounted: Mounted) -> None:
    put(mounted.path / ".heliosignore", "*.o\n")
    put(mounted.path / "file", "one\n")
    mounted.commit("one")
    put(mounted.path / "file", "two\n")
    put(mounted.path / "object.o", "object\n")
    mounted.control("add", "file\n")
    put(mounted.path / "file", "three\n")
    fd = os.open(mounted.path / "file", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    mounted.kill9()
    mounted.mount()
    assert mounted.control("status", "-s --ignored\n").startswith("M")
    mounted.commit("what was added")
    assert (mounted.path / ".helios/snapshots/HEAD/file").read_text() == "two\n"
    assert not (mounted.path / ".helios/snapshots/HEAD/object.o").exists()


def test_uncommitted_changes_outlive_a_killed_daemon_after_a_checkpoint(mounted: Mounted) -> None:
    fill(mounted)
    before = describe(mounted)
    wait_for_checkpoint(mounted)
    put(mounted.path / "too-late", "this one may be lost\n")
    mounted.kill9()
    mounted.mount()
    (mounted.path / "too-late").unlink(missing_ok=True)
    after = describe(mounted)
    root = (before.pop(""), after.pop(""))
    assert after == before
    assert root[0].splitlines()[2:] == root[1].splitlines()[2:]  # type: ignore[attr-defined]


def test_little_edits_of_a_large_file_outlive_a_killed_daemon(mounted: Mounted) -> None:
    file = mounted.path / "large"
    data = bytearray(os.urandom(3 << 20))
    file.write_bytes(data)
    mounted.commit("all of it")
    fd = os.open(file, os.O_RDWR)
    commits = {}
    for number in range(30):
        at = number * 97_003 % len(data)
        data[at : at + 5] = b"edit!"
        os.pwrite(fd, b"edit!", at)
        if number % 3:
            commits[mounted.commit(f"{number}")] = bytes(data)
        else:
            os.fsync(fd)
    os.close(fd)
    mounted.kill9()
    mounted.mount()
    assert file.read_bytes() == data
    for oid, then in commits.items():
        assert (mounted.path / f".helios/snapshots/{oid}/large").read_bytes() == then


def wait_for_checkpoint(mounted: Mounted) -> None:
    """Wait until what was changed so far is saved: 1.5 s is what a checkpoint may take."""
    time.sleep(1.5)


def test_what_was_fsynced_outlives_a_killed_daemon(mounted: Mounted) -> None:
    for number in range(3):
        with open(mounted.path / f"file{number}", "wb", buffering=0) as file:
            file.write(b"synced")
            os.fsync(file.fileno())
            file.write(b", and this may be lost")
        mounted.kill9()
        mounted.mount()
        assert (mounted.path / f"file{number}").read_bytes().startswith(b"synced")


def test_killed_in_the_middle_of_a_copy(mounted: Mounted) -> None:
    """The state afterwards is one that was: no file has bytes that it never had."""
    source = STDLIB / "encodings"
    copy = subprocess.Popen(
        ["sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9; do cp -a {source} $i || exit; done"],
        cwd=mounted.path,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not (mounted.path / "3").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.5)
        mounted.kill9()
    finally:
        copy.wait(SECONDS)
    mounted.mount()
    for directory, _, files in os.walk(mounted.path):
        if ".helios" in Path(directory).parts:
            continue
        for name in files:
            path = Path(directory, name)
            relative = path.relative_to(mounted.path).parts[1:]
            expected = source.joinpath(*relative).read_bytes()
            assert expected.startswith(path.read_bytes().rstrip(b"\0")), path
    shutil.rmtree(mounted.path / "1", ignore_errors=True)
    run("cp", "-a", source, "again", cwd=mounted.path)
    run("diff", "-r", source, "again", cwd=mounted.path)
    mounted.commit("after")


def test_a_dead_mount_answers_nothing_and_the_next_mount_cleans_it_up(mounted: Mounted) -> None:
    put(mounted.path / "file", "text\n")
    mounted.commit("one")
    mounted.kill9()
    with pytest.raises(OSError, match="not connected"):
        (mounted.path / "file").read_text()
    assert mounted.is_mounted
    mounted.mount()
    assert (mounted.path / "file").read_text() == "text\n"


def test_a_mount_that_only_looks_changes_nothing(mounted: Mounted) -> None:
    fill(mounted)
    mounted.unmount()
    before = stored(mounted)
    mounted.mount()
    run("find", ".", cwd=mounted.path)
    (mounted.path / "d/file").read_text()
    mounted.unmount()
    assert stored(mounted) == before
    mounted.mount()


def stored(mounted: Mounted) -> int:
    """Bytes that the repository takes beneath the mount."""
    return sum(path.stat().st_size for path in (mounted.path / ".helios").rglob("*"))
