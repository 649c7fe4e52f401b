"""The control files as mounts of their own: when they come, when they go, who sees them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from heliosfs import mounttable
from tests.mount.conftest import ASKED, SECONDS, Mounted, Mounter
from tests.mount.programs import errno_of, put

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has mounts inside")
CTL = ".helios/ctl"


@pytest.fixture
def ws(tmp_path: Path, mounter: Mounter) -> Mounted:
    made = mounter()
    if made.are_opens_asked:
        pytest.skip("nothing is mounted inside")
    put(made.path / "file", "text\n")
    made.commit("one")
    return made


def inside(ws: Mounted) -> list[str]:
    """The mounts inside, by their paths below the workspace."""
    return [
        mount.path.removeprefix(f"{ws.path}/")
        for mount in mounttable.control_mounts(str(ws.path))
    ]  # fmt: skip


def wait_for(ws: Mounted, expected: list[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while inside(ws) != expected:
        assert time.monotonic() < deadline, inside(ws)
        time.sleep(0.01)


def test_the_control_files_are_there_when_the_mount_is(ws: Mounted) -> None:
    assert inside(ws) == [CTL]
    assert os.stat(ws.path / CTL).st_dev != os.stat(ws.path).st_dev
    assert os.stat(ws.path / "file").st_dev == os.stat(ws.path).st_dev
    assert os.readlink(ws.path / ".helios/status") == "ctl/reports/status"
    assert "nothing to commit" in (ws.path / ".helios/status").read_text()
    assert (ws.path / ".helios/diff/HEAD..HEAD").read_text() == ""


def test_the_first_look_at_a_live_view_brings_its_own(ws: Mounted) -> None:
    """Programs may look for its control files before they are mounted."""
    ws.control("branch", "idea\n")
    ws.control("branch", "a/b\n")
    for name in ("idea", "a/b"):
        live = f".helios/live/{name}"
        put(ws.path / live / "new", f"{name}\n")
        oid = ws.commit(f"on {name}", view=live)
        assert (ws.path / live / ".helios/HEAD").read_text() == f"{oid}\n"
    assert inside(ws) == [CTL, ".helios/live/idea/.helios/ctl", ".helios/live/a/b/.helios/ctl"]
    assert not (ws.path / "new").exists()


def test_eight_that_come_at_once_to_what_is_not_mounted_yet(ws: Mounted) -> None:
    for number in range(8):
        ws.control("branch", f"b{number}\n")
    script = (
        "for n in 0 1 2 3 4 5 6 7; do cat .helios/live/b$n/.helios/ctl/commit "
        ".helios/live/b$n/.helios/branch || exit; done"
    )
    processes = [
        subprocess.Popen(["sh", "-c", script], cwd=ws.path, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    head = ws.control("rev-parse", "HEAD\n")
    for process in processes:
        told = process.communicate(timeout=SECONDS)[0]
        expected = "".join(f"{head}b{number}\n" for number in range(8))
        assert told == expected, ws.log.read_text()
    assert len(inside(ws)) == 9


def test_it_goes_with_its_view(ws: Mounted) -> None:
    for name in ("gone", "shown"):
        ws.control("branch", f"{name}\n")
        assert (ws.path / f".helios/live/{name}/.helios/branch").read_text() == f"{name}\n"
    assert len(inside(ws)) == 3
    ws.control("branch", "-D gone\n")
    wait_for(ws, [CTL, ".helios/live/shown/.helios/ctl"])
    ws.control("checkout", "shown\n")
    wait_for(ws, [CTL])
    ws.control("checkout", "main\n")
    assert (ws.path / ".helios/live/shown/.helios/branch").read_text() == "shown\n"
    wait_for(ws, [CTL, ".helios/live/shown/.helios/ctl"])


def test_a_branch_made_again_while_the_mount_of_the_old_one_is_made(ws: Mounted) -> None:
    """The old mount may lie where that of the namesake is to lie, until it is taken back."""
    live = ".helios/live/idea"
    for number in range(30):
        ws.control("branch", "idea\n")
        put(ws.path / live / "file", f"{number}\n")
        ws.control("branch", "-D idea\n")
        ws.control("branch", "idea\n")
        assert (ws.path / live / "file").read_text() == "text\n"
        assert ws.control("status", "--short\n", view=live) == ""
        ws.control("branch", "-D idea\n")


def test_it_is_found_by_the_new_name_of_its_branch(ws: Mounted) -> None:
    ws.control("branch", "old\n")
    assert (ws.path / ".helios/live/old/.helios/branch").read_text() == "old\n"
    ws.control("branch", "-m old new\n")
    assert (ws.path / ".helios/live/new/.helios/branch").read_text() == "new\n"
    put(ws.path / ".helios/live/new/file", "changed\n")
    assert len(ws.commit("renamed", view=".helios/live/new")) == 64


def test_a_branch_renamed_while_its_mount_is_made(ws: Mounted) -> None:
    for number in range(20):
        ws.control("branch", f"old{number}\n")
        assert (ws.path / f".helios/live/old{number}/file").read_text() == "text\n"
        time.sleep(number / 10000)
        ws.control("branch", f"-m old{number} new/{number}\n")
        live = f".helios/live/new/{number}"
        assert (ws.path / live / ".helios/branch").read_text() == f"new/{number}\n"
    assert len(inside(ws)) == 21


def test_a_branch_shown_elsewhere_and_back_while_its_mount_is_made(ws: Mounted) -> None:
    ws.control("branch", "idea\n")
    for number in range(20):
        assert (ws.path / ".helios/live/idea/file").read_text() == "text\n"
        time.sleep(number / 10000)
        ws.control("checkout", "idea\n")
        ws.control("checkout", "main\n")
        assert (ws.path / ".helios/live/idea/.helios/branch").read_text() == "idea\n"
    wait_for(ws, [CTL, ".helios/live/idea/.helios/ctl"])


def test_a_branch_deleted_while_its_mount_is_made(ws: Mounted) -> None:
    for number in range(20):
        ws.control("branch", f"b{number}\n")
        assert (ws.path / f".helios/live/b{number}/file").read_text() == "text\n"
        time.sleep(number / 10000)
        ws.control("branch", f"-D b{number}\n")
    time.sleep(0.2)
    wait_for(ws, [CTL])


def test_nodes_go_with_views(ws: Mounted) -> None:
    """The kernel says of no node that it forgot it when its mount ends."""
    counts = []
    for _ in range(4):
        for number in range(10):
            ws.control("branch", f"b{number}\n")
            live = ws.path / f".helios/live/b{number}/.helios"
            assert (live / "branch").read_text() == f"b{number}\n"
            assert (live / "diff/HEAD..HEAD").read_text() == ""
            assert len(os.listdir(live / "ctl")) > 10
        for number in range(10):
            ws.control("branch", f"-D b{number}\n")
        wait_for(ws, [CTL])
        # The next live view lets go what is left of those before.
        ws.control("branch", "last\n")
        assert (ws.path / ".helios/live/last/.helios/branch").read_text() == "last\n"
        (line,) = [
            line
            for line in (ws.path / ".helios/metrics").read_text().splitlines()
            if line.startswith("heliosfs_nodes ")
        ]
        counts.append(int(line.split()[1]))
        ws.control("branch", "-D last\n")
    # Without it 750 would stay of each round.
    assert max(counts) - min(counts) < 400, counts


def test_what_somebody_unmounts_comes_again(ws: Mounted) -> None:
    subprocess.run(["umount", ws.path / CTL], check=True, timeout=SECONDS)
    assert inside(ws) == []
    put(ws.path / "file", "changed\n")
    assert len(ws.commit("two")) == 64
    assert inside(ws) == [CTL]


def test_a_plain_unmount_is_busy_and_ours_and_a_lazy_one_are_not(ws: Mounted) -> None:
    ws.control("branch", "idea\n")
    assert (ws.path / ".helios/live/idea/.helios/branch").read_text() == "idea\n"
    command = ["fusermount3", "-u", str(ws.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert "busy" in done.stderr
    assert ws.helios("umount", cwd=ws.path / CTL) == f"unmounted {ws.path}\n"
    ws.wait_ended()
    ws.mount()
    subprocess.run(["fusermount3", "-uz", str(ws.path)], check=True, timeout=SECONDS)
    ws.wait_ended()
    assert inside(ws) == []


def test_who_stands_in_the_control_files_is_named(ws: Mounted) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=ws.path / CTL) as process:
        try:
            done = ws.command("umount", str(ws.path), cwd=Path("/"))
            assert f"sleep (pid {process.pid}: current directory)" in done.stderr
        finally:
            process.kill()
    assert ws.helios("umount", str(ws.path), cwd=Path("/")) == f"unmounted {ws.path}\n"


def test_a_copy_without_them_says_that_there_is_no_such_device(ws: Mounted) -> None:
    script = (
        'mount --make-rprivate / && mkdir "$1" && mount --bind "$0" "$1" && cat "$1/file" && '
        'ls "$1/.helios/ctl" && echo x > "$1/.helios/ctl/commit"'
    )
    copy = ws.path.parent / "copy"
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, ws.path, copy],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout.startswith("text\n")
    assert "commit\n" in done.stdout
    assert "No such device" in done.stderr


def test_a_daemon_that_was_killed_leaves_nothing_in_the_way(ws: Mounted) -> None:
    ws.control("branch", "idea\n")
    assert (ws.path / ".helios/live/idea/.helios/branch").read_text() == "idea\n"
    ws.kill9()
    assert errno_of(os.stat, ws.path / CTL / "commit") == "ENOTCONN"
    ws.mount()
    assert inside(ws) == [CTL]
    assert (ws.path / ".helios/live/idea/.helios/branch").read_text() == "idea\n"


def test_a_store_through_a_mapping_is_saved_though_no_request_tells(ws: Mounted) -> None:
    """By the saves that go on for some seconds after the last change."""
    import mmap

    path = ws.path / "mapped"
    path.write_bytes(bytes(4096))
    with open(path, "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 4096)
    with mapped:
        time.sleep(1.2)
        mapped[:5] = b"bytes"
        time.sleep(2.5)
        ws.kill9()
    ws.mount()
    assert path.read_bytes()[:5] == b"bytes"


def test_doctor_says_who_opens(ws: Mounted, mounter: Mounter) -> None:
    assert "opens          the kernel opens files by itself" in ws.helios("doctor")
    asked = mounter(*ASKED, name="asked")
    assert inside(asked) == []
    assert "the daemon is asked, as by the option opens=asked" in asked.helios("doctor")
    put(asked.path / "file", "text\n")
    assert len(asked.commit("one")) == 64
    assert "nothing to commit" in (asked.path / ".helios/status").read_text()
