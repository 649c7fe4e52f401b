"""Backups of a mounted workspace: one moment, while others write, whoever is killed."""

from __future__ import annotations

import json
import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.mount.conftest import SECONDS, Mounted, Mounter
from tests.mount.programs import errno_of

ROUNDS = 3
REST_SECONDS = 0.01
"""Rest of the writer in each round: each backup is verified and restored, which takes longer."""


class Writer(threading.Thread):
    """Commits and tags, one after the other; the file always says which commit comes next."""

    def __init__(self, mounted: Mounted) -> None:
        super().__init__()
        self.mounted = mounted
        self.stopped = threading.Event()
        self.count = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                number = self.count + 1
                (self.mounted.path / "number").write_text(f"{number}\n")
                (self.mounted.path / f"file{number % 5}").write_bytes(os.urandom(3000))
                self.mounted.commit(f"{number}")
                self.mounted.control("tag", f"t{number}\n")
                self.count = number
                time.sleep(REST_SECONDS)
        except Exception as error:  # noqa: BLE001 (raised by the test)
            self.error = error

    def end(self) -> None:
        self.stopped.set()
        self.join(SECONDS)
        if self.error is not None:
            raise self.error


def restored(mounted: Mounted, backup: Path, name: str) -> Path:
    new = mounted.path.parent / name
    mounted.helios("backup", "--restore", str(backup), str(new), cwd=Path("/"))
    assert mounted.helios("fsck", cwd=new).endswith("all sound\n")
    return new


def document(mounted: Mounted, backup: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads(mounted.helios("backup", "--json", str(backup)))
    return found


def test_a_backup_is_one_moment_while_others_write(mounted: Mounted, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    writer = Writer(mounted)
    writer.start()
    reached = []
    try:
        for round_ in range(ROUNDS):
            before = writer.count
            document(mounted, backup)
            after = writer.count + 1
            assert mounted.helios("backup", "--verify", str(backup)).endswith("all sound\n")
            new = restored(mounted, backup, f"new{round_}")
            subjects = mounted.helios("log", "--format=%s", cwd=new).splitlines()
            last = int(subjects[0])
            assert subjects == [str(number) for number in range(last, 0, -1)]
            assert before <= last <= after
            tags = set(mounted.helios("tag", cwd=new).split())
            assert {f"t{number}" for number in range(1, last)} <= tags
            assert tags <= {f"t{number}" for number in range(1, last + 1)}
            shown = mounted.helios("materialize", "HEAD", f"{new}-files", cwd=new)
            assert shown and (Path(f"{new}-files") / "number").read_text() == f"{last}\n"
            reached.append(last)
    finally:
        writer.end()
    # They wrote on all the time.
    assert reached == sorted(set(reached))


def test_uncommitted_work_of_every_branch_comes_back(mounter: Mounter, tmp_path: Path) -> None:
    mounted = mounter()
    (mounted.path / "file").write_text("committed\n")
    mounted.commit("first")
    for name in ("side", "other"):
        mounted.control("branch", f"{name}\n")
    live = mounted.path / ".helios/live"
    (live / "side/file").write_text("of side, not committed\n")
    (live / "side/.heliosignore").write_text("ignored\n")
    (live / "side/ignored").write_text("an ignored file\n")
    (live / "other/new").write_bytes(os.urandom(1_500_000))
    # Open, and not synced by anybody.
    with open(mounted.path / "file", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        file.write(b"just now")
        file.flush()
        # A page that the kernel has not written back.
        mapped[:4] = b"Just"
        mounted.helios("backup", str(tmp_path / "backup"))
    wanted = {
        view: {each.name: each.read_bytes() for each in place.iterdir() if each.is_file()}
        for view, place in (("", mounted.path), ("side", live / "side"), ("other", live / "other"))
    }
    assert wanted[""]["file"] == b"Just nowd\n"
    restored(mounted, tmp_path / "backup", "new")
    again = mounter(name="new")
    for view, files in wanted.items():
        place = again.path / ".helios/live" / view if view else again.path
        assert {each.name: each.read_bytes() for each in place.iterdir() if each.is_file()} == files
    assert again.helios("oplog") == mounted.helios("oplog")


@pytest.fixture(scope="module")
def many_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unmounted workspace with objects that take a while to copy."""
    made = Mounted(tmp_path_factory.mktemp("many") / "ws")
    try:
        made.mount()
        numbers = random.Random(1)
        for part in range(8):
            place = made.path / f"d{part}"
            place.mkdir()
            for number in range(1000):
                (place / f"f{number}").write_bytes(numbers.randbytes(600))
        made.commit("many files")
        made.unmount()
    finally:
        made.end()
    return made.path


@pytest.fixture
def filled(many_files: Path, mounter: Mounter) -> Mounted:
    """A copy of that workspace, mounted."""
    copy = mounter(start=False)
    shutil.copytree(many_files, copy.path)
    copy.mount()
    return copy


class Client:
    """A backup that is asked for in a process of its own."""

    def __init__(self, mounted: Mounted, backup: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "heliosfs.cli", "backup", str(backup)],
            cwd=mounted.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + SECONDS
        # Larger than what one transaction writes, so that one was committed.
        while time.monotonic() < end and self.process.poll() is None:
            file = backup / "store.lmdb"
            if file.exists() and file.stat().st_blocks * 512 > 2_500_000:
                return
            time.sleep(0.002)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(SECONDS)


def test_a_daemon_that_is_killed_and_the_next_backup(filled: Mounted, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    client = Client(filled, backup)
    filled.kill9()
    client.end()
    subprocess.run(["fusermount3", "-uz", str(filled.path)], check=True, timeout=SECONDS)
    filled.mount()
    done = document(filled, backup)
    # What was copied before is there.
    assert 0 < done["new_object_count"] < done["object_count"]
    assert filled.helios("backup", "--verify", str(backup)).endswith("all sound\n")
    restored(filled, backup, "new")


def test_a_client_that_is_killed_ends_it(filled: Mounted, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    client = Client(filled, backup)
    client.process.send_signal(signal.SIGKILL)
    client.end()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done = filled.command("backup", "--json", str(backup))
        # Until its store is closed: another long verb, or another process that has it open.
        if done.returncode == 0:
            break
        assert json.loads(done.stdout)["errno"] == "EBUSY", done.stdout
        time.sleep(0.05)
    assert filled.helios("backup", "--verify", str(backup)).endswith("all sound\n")
    (filled.path / "file").write_text("and all goes on")
    filled.commit("after it")


def test_it_ends_with_the_mount(filled: Mounted, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    client = Client(filled, backup)
    filled.terminate()
    client.end()
    filled.mount()
    document(filled, backup)
    assert filled.helios("backup", "--verify", str(backup)).endswith("all sound\n")


def test_a_collection_and_a_backup_exclude_each_other(filled: Mounted, tmp_path: Path) -> None:
    client = Client(filled, tmp_path / "backup")
    try:
        assert errno_of(filled.control, "gc", "\n") in ("EBUSY", "ok")
    finally:
        client.process.wait(SECONDS)
    assert client.process.returncode == 0


def test_refused_in_the_workspace(mounted: Mounted, tmp_path: Path) -> None:
    (mounted.path / "dir").mkdir()
    link = tmp_path / "link"
    link.symlink_to(mounted.path / "dir")
    for place in (mounted.path / "dir/backup", mounted.path / "dir", link / "backup"):
        done = mounted.command("backup", "--json", str(place))
        assert done.returncode == 2
        assert json.loads(done.stdout)["errno"] == "EPERM"
    assert os.listdir(mounted.path / "dir") == []
    assert errno_of(mounted.control, "backup", f"{mounted.path}/dir/backup\n") == "EPERM"
    assert errno_of(mounted.control, "backup", "relative\n") == "EINVAL"
    assert errno_of(mounted.control, "backup", "--verify /tmp\n") == "EINVAL"
    reply = mounted.command("backup", "--restore", "a", str(mounted.path / "dir/new"))
    assert reply.returncode == 2 and "lies in the workspace" in reply.stderr


def test_a_full_disk_of_the_backup_is_told_and_the_mount_goes_on(
    mounted: Mounted, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(small)],
        check=False,
        capture_output=True,
        timeout=SECONDS,
    )
    if done.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        (mounted.path / "small").write_text("fits")
        mounted.commit("small")
        backup = small / "backup"
        document(mounted, backup)
        (mounted.path / "large").write_bytes(os.urandom(6_000_000))
        mounted.commit("large")
        refused = mounted.command("backup", "--json", str(backup))
        assert refused.returncode == 2
        assert json.loads(refused.stdout)["errno"] == "ENOSPC"
        assert str(backup) in json.loads(refused.stdout)["error"]
        assert mounted.helios("backup", "--verify", str(backup)).startswith("1 commit")
        (mounted.path / "more").write_text("and all goes on")
        mounted.commit("more")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True, timeout=SECONDS)
