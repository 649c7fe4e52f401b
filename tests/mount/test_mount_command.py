"""`helios mount` and `umount` for real: the whole life of a mount."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import heliosfs.cli
from heliosfs import mounttable
from heliosfs.fuse.connection import Connection
from heliosfs.fuse.mounting import mount
from tests import leftovers
from tests.mount.conftest import Mounted, Mounter

SECONDS = 30
LAUNCHER = Path(heliosfs.cli.__file__).with_name("helios")


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_it_says_what_was_mounted_where_the_log_is_and_three_things_to_do(
    mounted: Mounted,
) -> None:
    first, log, *rest = mounted.output.splitlines()
    assert first == f"mounted {mounted.path}"
    assert log == f"log: {mounted.log}"
    assert len(rest) == 3
    assert "ctl/commit" in rest[1]
    assert (mounted.path / ".helios/README").read_text()
    assert mounted.log.exists()


def test_the_kernel_knows_it_by_its_type(mounted: Mounted) -> None:
    mount = mounttable.mount_at(str(mounted.path))
    assert mount is not None
    assert (mount.fstype, mount.source) == ("fuse.heliosfs", "heliosfs")


def test_a_second_call_says_so(mounted: Mounted) -> None:
    done = mounted.command("mount", str(mounted.path))
    assert done.returncode == 0
    assert done.stdout == f"{mounted.path} is mounted already; its log is {mounted.log}\n"


def test_files_in_the_directory_are_taken_in(mounter: Mounter, tmp_path: Path) -> None:
    put(tmp_path / "ws/src/a.txt", "text\n")
    put(tmp_path / "ws/b", "b\n")
    put(tmp_path / "ws/src/.helios/format", "of another workspace\n")
    os.utime(tmp_path / "ws/b", ns=(1, 2_000_000_003))
    workspace = mounter()
    assert "imported 2 files" in workspace.output
    told = "helios: left out, because the name is reserved: 'src/.helios'"
    assert told in workspace.told
    assert (workspace.path / "src/a.txt").read_text() == "text\n"
    assert (workspace.path / "b").stat().st_mtime_ns == 2_000_000_003
    put(workspace.path / "b", "changed\n")
    (workspace.path / "src/a.txt").unlink()
    workspace.unmount()
    assert (tmp_path / "ws/src/a.txt").read_text() == "text\n"
    assert (tmp_path / "ws/b").read_text() == "b\n"
    workspace.mount()
    assert (workspace.path / "b").read_text() == "changed\n"
    assert not (workspace.path / "src/a.txt").exists()


def test_init_leaves_the_files_for_the_first_mount(mounter: Mounter, tmp_path: Path) -> None:
    put(tmp_path / "ws/a", "a\n")
    workspace = mounter(start=False)
    assert str(workspace.path / ".helios") in workspace.helios("init")
    again = workspace.command("init")
    assert again.returncode == 1
    assert "has a repository" in again.stderr
    workspace.mount()
    assert (workspace.path / "a").read_text() == "a\n"


@pytest.mark.parametrize("how", ["fusermount3", "umount", "SIGTERM", "SIGINT"])
def test_every_clean_end_keeps_everything(mounted: Mounted, how: str) -> None:
    put(mounted.path / "kept/file", "kept\n")
    ends: dict[str, Callable[[], object]] = {
        "fusermount3": mounted.unmount,
        "umount": mounted.umount,
        "SIGTERM": mounted.terminate,
        "SIGINT": lambda: mounted.terminate(signal.SIGINT),
    }
    ends[how]()
    assert not mounted.is_mounted
    mounted.wait_ended()
    mounted.mount()
    assert (mounted.path / "kept/file").read_text() == "kept\n"


def test_umount_acts_on_the_workspace_around(mounted: Mounted) -> None:
    (mounted.path / "src").mkdir()
    done = mounted.command("umount", cwd=mounted.path / "src")
    assert done.stdout == f"unmounted {mounted.path}\n", done.stderr
    assert not mounted.is_mounted


def test_who_keeps_a_mount_busy_is_named(mounted: Mounted) -> None:
    process = subprocess.Popen(["cat"], cwd=mounted.path, stdin=subprocess.PIPE)
    try:
        done = mounted.command("umount")
        assert done.returncode == 1
        assert f"is in use by cat (pid {process.pid}: current directory)" in done.stderr
        assert mounted.is_mounted
        assert mounted.command("umount", "--lazy").returncode == 0
        assert not mounted.is_mounted
    finally:
        process.communicate(timeout=SECONDS)
    mounted.wait_ended()


def test_umount_of_what_is_not_mounted(mounted: Mounted, tmp_path: Path) -> None:
    done = mounted.command("umount", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert "is not a mounted heliosfs workspace" in done.stderr


def test_a_dead_mount_is_cleaned_up_and_mounted_again(mounted: Mounted) -> None:
    put(mounted.path / "a", "a\n")
    oid = mounted.commit("kept")
    mounted.kill9()
    with pytest.raises(OSError, match="not connected"):
        os.listdir(mounted.path / ".helios")
    mounted.mount()
    assert "left by a daemon that is gone" in mounted.output
    assert mounted.helios("rev-parse", "HEAD").strip() == oid


def test_everything_in_a_dead_mount_says_what_to_do(mounted: Mounted, tmp_path: Path) -> None:
    """From within, too, where the current directory cannot be looked at."""
    (mounted.path / "src").mkdir()
    mounted.commit("one")
    # As a script: with -m, Python looks for modules in the dead directory first.
    script = tmp_path / "helios-py"
    script.write_text("import sys\nfrom heliosfs.cli.main import main\nsys.exit(main())\n")
    verbs = [
        "status",
        "run true",
        "report",
        "materialize HEAD out",
        "import --from-git .",
        "doctor",
    ]
    program = "; ".join(f"{sys.executable} {script} {verb}; echo =$?" for verb in verbs)
    process = subprocess.Popen(
        ["sh", "-c", f"echo; read line; exec 2>&1; {program}"],
        cwd=mounted.path / "src",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "\n"
    mounted.kill9()
    said, _ = process.communicate("\n", timeout=SECONDS)
    hint = f"the mount {mounted.path} lost its daemon: 'helios mount {mounted.path}' mounts it"
    assert said.count(hint) == len(verbs), said
    assert said.count("=1\n") == len(verbs), said
    assert "Traceback" not in said
    assert f"{mounted.log} (ends with: " in said
    led = mounted.command("-C", str(mounted.path / "src"), "status", cwd=Path("/"))
    assert (led.returncode, led.stdout) == (1, "")
    assert hint in led.stderr
    mounted.mount()
    assert mounted.helios("doctor", str(mounted.path)).count("is mounted, served by") == 1


def test_a_store_elsewhere_is_found_again_also_after_it_moved(
    mounter: Mounter, tmp_path: Path
) -> None:
    workspace = mounter("--store", str(tmp_path / "store"))
    put(workspace.path / "a", "a\n")
    workspace.unmount()
    assert (tmp_path / "store/format").exists()
    workspace.options = ()
    workspace.mount()
    workspace.unmount()
    (tmp_path / "store").rename(tmp_path / "moved")
    (tmp_path / "store").mkdir()
    options: tuple[str, ...]
    for options in ((), ("--store", str(tmp_path / "store"))):
        done = workspace.command("mount", *options, str(workspace.path), cwd=Path("/"))
        assert done.returncode == 1
        assert f"{tmp_path}/store is empty; is its disk mounted?" in done.stderr
        assert not workspace.is_mounted
    assert os.listdir(tmp_path / "store") == []
    assert "is empty" in workspace.command("status").stderr
    said = workspace.command("doctor").stdout
    assert f"bad   store          the store of {workspace.path} is not there" in said
    workspace.mount("--store", str(tmp_path / "moved"))
    assert (workspace.path / "a").read_text() == "a\n"
    workspace.remount()
    assert (workspace.path / "a").read_text() == "a\n"


def test_a_branch_is_shown_at_the_mount_point(mounter: Mounter) -> None:
    workspace = mounter("--branch", "trunk")
    assert (workspace.path / ".helios/branch").read_text() == "trunk\n"
    put(workspace.path / "a", "a\n")
    workspace.commit("one")
    workspace.helios("branch", "idea")
    workspace.unmount()
    workspace.options = ("--branch", "idea")
    workspace.mount()
    assert (workspace.path / ".helios/branch").read_text() == "idea\n"
    workspace.unmount()
    done = workspace.command("mount", "--branch", "none", str(workspace.path), cwd=Path("/"))
    assert done.returncode == 1
    assert "none" in done.stderr
    assert done.stderr.count("\n") == 1


def test_in_the_foreground(mounter: Mounter, tmp_path: Path) -> None:
    workspace = mounter(start=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "heliosfs.cli", "mount", "--foreground", str(workspace.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"mounted {workspace.path}\n"
        put(workspace.path / "a", "a\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)
    assert not workspace.is_mounted
    workspace.mount()
    assert (workspace.path / "a").read_text() == "a\n"


def test_the_log_goes_where_it_is_told(mounter: Mounter, tmp_path: Path) -> None:
    workspace = mounter("--log", str(tmp_path / "logs/mine"), "--debug")
    assert workspace.log == tmp_path / "logs/mine"
    put(workspace.path / "a-name-to-look-for", "")
    assert "a-name-to-look-for" in workspace.log.read_text()


def test_two_mounts_at_once_make_one(mounter: Mounter) -> None:
    workspace = mounter(start=False)
    command = [sys.executable, "-m", "heliosfs.cli", "mount", str(workspace.path)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=SECONDS) for process in started]
    codes = sorted(process.returncode for process in started)
    assert codes in ([0, 0], [0, 1]), said
    assert all("Traceback" not in error for _, error in said)
    assert len([m for m in mounttable.mounts() if m.path == str(workspace.path)]) == 1


def test_verbs_of_a_workspace_that_is_not_mounted(mounted: Mounted) -> None:
    put(mounted.path / "a", "a\n")
    oid = mounted.commit("one")
    mounted.unmount()
    assert mounted.helios("rev-parse", "HEAD").strip() == oid
    put(mounted.path / "b", "beneath\n")
    done = mounted.command("status")
    assert "nothing to commit" in done.stdout
    assert (
        f"{mounted.path} is not mounted: this is about the workspace as it was last saved"
        in done.stderr
    )
    done = mounted.command("rev-parse", "HEAD~99")
    assert done.returncode == 2
    assert done.stderr.startswith("helios: ")
    mounted.mount()


def test_a_store_that_is_in_use_is_said_to_be(mounter: Mounter, tmp_path: Path) -> None:
    workspace = mounter("--store", str(tmp_path / "store"))
    other = workspace.command(
        "mount", "--store", str(tmp_path / "store"), str(tmp_path / "other"), cwd=tmp_path
    )
    assert other.returncode == 1
    who = f"process {workspace.pid} has the store open: it serves {workspace.path}"
    assert who in other.stderr
    assert other.stderr.count("\n") == 1


def launch(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAUNCHER, *argv], cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize(
    "argv",
    [
        ["commit", "-m", "nothing changed"],
        ["commit", "--frobnicate"],
        ["reset", "--hard", "HEAD~99"],
        ["branch", "bad..name"],
        ["checkout", "no-such-thing"],
        ["rev-parse", "HEAD"],
        ["status"],
        ["log", "--oneline"],
        ["branch"],
    ],
)
def test_the_launcher_and_python_say_the_same(mounted: Mounted, argv: list[str]) -> None:
    put(mounted.path / "src/a", "a\n")
    mounted.commit("one")
    by_sh = launch(*argv, cwd=mounted.path / "src")
    by_python = mounted.command(*argv, cwd=mounted.path / "src")
    assert (by_sh.returncode, by_sh.stdout, by_sh.stderr) == (
        by_python.returncode,
        by_python.stdout,
        by_python.stderr,
    )
    if by_sh.returncode:
        assert by_sh.stderr.startswith("helios: ")
        assert by_sh.stdout == ""
    else:
        assert by_sh.stderr == ""


@pytest.mark.parametrize(
    "argv",
    [
        ["push", "origin", "behind:main", "main"],
        ["push", "origin", "behind:main"],
        ["push", "--frobnicate"],
        ["push", "nowhere"],
        ["push", "-q"],
        ["fetch"],
        ["pull"],
    ],
)
def test_the_launcher_pushes_and_ends_as_python_does(
    mounted: Mounted, tmp_path: Path, argv: list[str]
) -> None:
    for name in ("one", "two"):
        put(mounted.path / name, "a\n")
        mounted.commit(name)
    mounted.helios("branch", "behind", "HEAD~1")
    mounted.helios("remote", "add", "origin", f"file://{tmp_path}/remote")
    assert launch("push", cwd=mounted.path).stdout.startswith("To file:")
    by_sh = launch(*argv, cwd=mounted.path)
    by_python = mounted.command(*argv)
    assert (by_sh.returncode, by_sh.stdout, by_sh.stderr) == (
        by_python.returncode,
        by_python.stdout,
        by_python.stderr,
    )
    refused = {"behind:main", "--frobnicate", "nowhere"}
    assert bool(by_sh.returncode) == bool(refused.intersection(argv))


def test_the_launcher_commits(mounted: Mounted) -> None:
    put(mounted.path / "src/a", "a\n")
    assert launch("commit", "-m", "by sh", cwd=mounted.path / "src").returncode == 0
    assert "by sh" in (mounted.path / ".helios/log").read_text()
    put(mounted.path / "src/a", "b\n")
    assert launch("commit", "--work", ".", cwd=mounted.path).returncode == 0


def test_verbs_act_on_the_view_around_them(mounted: Mounted) -> None:
    put(mounted.path / "a", "a\n")
    mounted.commit("one")
    mounted.helios("branch", "idea")
    live = mounted.path / ".helios/branches/idea"
    put(live / "src/b", "b\n")
    for oid in (
        launch("rev-parse", "--abbrev-ref", "HEAD", cwd=live / "src").stdout,
        mounted.helios("rev-parse", "--abbrev-ref", "HEAD", cwd=live / "src"),
    ):
        assert oid == "idea\n"
    assert launch("commit", "-m", "on idea", cwd=live / "src").returncode == 0
    assert "on idea" not in (mounted.path / ".helios/log").read_text()


def test_a_reader_that_leaves_is_no_error(mounted: Mounted) -> None:
    put(mounted.path / "a", "a\n" * 500_000)
    mounted.commit("one")
    pipeline = f"{sys.executable} -m heliosfs.cli show HEAD:a | head -1"
    done = subprocess.run(
        ["sh", "-c", pipeline],
        cwd=mounted.path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert done.stdout == "a\n"
    assert done.stderr == ""


def test_unmounted_before_the_kernel_is_answered(tmp_path: Path) -> None:
    """A script may unmount at once: `helios mount` is ready a moment earlier."""
    connection = Connection(mount(str(tmp_path), {"fsname=test"}), str(tmp_path))
    fd = int(connection.device.rpartition("/")[2])
    try:
        connection.begin()
        subprocess.run(["fusermount3", "-uz", str(tmp_path)], check=True, timeout=SECONDS)
        assert len(os.read(fd, 65536)) > 40
        connection.answer(2, bytes(64))
        with pytest.raises(ConnectionResetError):
            connection.receive()
    finally:
        connection.end()
        os.close(fd)


def test_root_s_mount_reads_large_files_in_large_requests(mounter: Mounter) -> None:
    mounted = mounter(name="a name\twith blanks")
    device = mounted.path.stat().st_dev
    place = f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"
    assert int(Path(place).read_text()) == (512 if os.geteuid() == 0 else 128)


def test_the_end_of_all_tests_finds_what_they_left(
    mounter: Mounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    mounted = mounter()
    assert leftovers.main(str(tmp_path)) == 1
    mounted.wait_ended()
    assert not mounted.is_mounted
    assert leftovers.main(str(tmp_path)) == 0
