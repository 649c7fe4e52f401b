"""`helios try`: a throw-away fork, and what becomes of it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliosfs.cli.processes import descendants
from tests.mount.conftest import SECONDS, Mounted

HELIOS = [sys.executable, "-m", "heliosfs.cli"]
LINES = "1\n2\n3\n4\n5\n6\n7\n8\n"


@pytest.fixture
def ws(mounted: Mounted) -> Mounted:
    (mounted.path / ".heliosignore").write_text("*.o\n")
    (mounted.path / "file").write_text(LINES)
    mounted.commit("base")
    return mounted


def branches(ws: Mounted) -> list[str]:
    return ws.helios("branch", "--list").replace("*", " ").split()


def subjects(ws: Mounted, revision: str = "HEAD") -> list[str]:
    return ws.helios("log", "--format=%s", revision).splitlines()


def test_keep_merges_as_commits(ws: Mounted) -> None:
    (ws.path / "built.o").write_text("ignored")
    command = "cat built.o; pwd; echo 9 >> file; echo n > new; echo changed > built.o"
    done = ws.command("try", "--keep", "--", "sh", "-c", command)
    assert (done.returncode, done.stdout) == (0, f"ignored{ws.path}\n")
    assert " new  | 1 +\n 2 files changed, 2 insertions(+)\n" in done.stderr
    assert done.stderr.endswith("helios: merged try-1 into branch 'main': a fast-forward\n")
    assert (ws.path / "file").read_text() == LINES + "9\n"
    assert (ws.path / "new").read_text() == "n\n"
    assert (ws.path / "built.o").read_text() == "ignored"
    assert branches(ws) == ["main"]
    assert ws.helios("status", "--short") == ""
    assert subjects(ws) == [f"try: sh -c '{command}'"[:71] + "…", "base"]


def test_uncommitted_work_is_in_the_fork_and_stays_uncommitted(ws: Mounted) -> None:
    """The command changes a line of a file beside one that is not committed."""
    mine = LINES.replace("2\n", "mine\n")
    (ws.path / "file").write_text(mine)
    head = (ws.path / ".helios/HEAD").read_text()
    done = ws.command("try", "--keep", "--", "sed", "-i", "s/mine/& too/; s/7/seven/", "file")
    assert done.returncode == 0
    assert "file | 4 ++--" in done.stderr
    assert (ws.path / "file").read_text() == mine.replace("mine", "mine too").replace("7", "seven")
    assert (ws.path / ".helios/HEAD").read_text() == head
    assert ws.helios("status", "--short") == " M file\n"
    assert branches(ws) == ["main"]
    ws.helios("undo")
    assert (ws.path / "file").read_text() == mine


@pytest.mark.parametrize("is_dirty", [False, True])
def test_the_base_moves_meanwhile(ws: Mounted, is_dirty: bool) -> None:
    if is_dirty:
        (ws.path / "notes").write_text("mine\n")
    outside = f"cd {ws.path}/../{ws.path.name}"
    process = subprocess.Popen(
        [*HELIOS, "try", "--keep", "--", "sh", "-c", "read line; sed -i s/7/seven/ file"],
        cwd=ws.path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(lambda: "try-1" in branches(ws))
    (ws.path / "file").write_text(LINES.replace("2\n", "two\n"))
    ws.helios("commit", "-q", "-m", "meanwhile", "file")
    (ws.path / "file").write_text(LINES.replace("2\n", "two\n").replace("4\n", "four\n"))
    _, told = process.communicate("\n", timeout=SECONDS)
    assert process.returncode == 0, told + outside
    expected = LINES.replace("2\n", "two\n").replace("4\n", "four\n").replace("7\n", "seven\n")
    assert (ws.path / "file").read_text() == expected
    assert subjects(ws) == ["meanwhile", "base"]
    assert branches(ws) == ["main"]
    assert (ws.path / "notes").exists() == is_dirty


def test_the_branch_is_shown_elsewhere_meanwhile(ws: Mounted) -> None:
    process = subprocess.Popen(
        [*HELIOS, "try", "--keep", "--", "sh", "-c", "read line; echo 9 >> file"],
        cwd=ws.path,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    _until(lambda: "try-1" in branches(ws))
    ws.helios("checkout", "-b", "other")
    process.communicate("\n", timeout=SECONDS)
    assert process.returncode == 0
    assert (ws.path / "file").read_text() == LINES
    assert ws.helios("show", "main:file") == LINES + "9\n"


@pytest.mark.parametrize("is_dirty", [False, True])
def test_a_conflict_is_told_and_the_fork_left(ws: Mounted, is_dirty: bool) -> None:
    if is_dirty:
        (ws.path / "file").write_text(LINES + "mine\n")
    process = subprocess.Popen(
        [*HELIOS, "try", "--keep", "--", "sh", "-c", "read line; sed -i s/4/theirs/ file"],
        cwd=ws.path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(lambda: "try-1" in branches(ws))
    ours = (ws.path / "file").read_text().replace("4", "ours")
    (ws.path / "file").write_text(ours)
    ws.commit("ours")
    _, told = process.communicate("\n", timeout=SECONDS)
    assert process.returncode == 1
    assert "conflict in 1 path: nothing was changed\ncontent: file" in told
    assert (ws.path / "file").read_text() == ours
    assert branches(ws) == ["main", "try-1"]
    # What is told works.
    (line,) = [line for line in told.splitlines() if line.endswith("   keeps it")]
    words = line.removesuffix("   keeps it").split()[1:]
    ws.helios(words[0], "--theirs", *words[1:])
    assert (ws.path / "file").read_text() == ours.replace("ours", "theirs")


def test_drop_leave_and_exit_codes(ws: Mounted) -> None:
    change = ["sh", "-c", "echo 9 >> file; exit 7"]
    for flags, left in ((["--drop"], False), (["--keep"], True), (list[str](), True)):
        done = ws.command("try", *flags, "-b", "idea", "--", *change)
        assert done.returncode == 7
        assert ("idea" in branches(ws)) == left, done.stderr
        if left:
            assert "fork idea is left:" in done.stderr
            assert ws.helios("show", "idea:file") == LINES + "9\n"
            assert ws.command("try", "-b", "idea", "--", "true").returncode == 1
            ws.helios("branch", "-D", "idea")
    assert (ws.path / "file").read_text() == LINES
    done = ws.command("try", "--", "sh", "-c", "touch file; kill -TERM $$")
    assert done.returncode == 128 + signal.SIGTERM
    assert "nothing changed" in done.stderr
    assert ws.command("try", "--", "no-such-command").returncode == 127
    assert ws.command("try", "--keep", "--drop", "--", "true").returncode == 2
    assert ws.command("try").returncode == 2
    assert branches(ws) == ["main"]


def test_commits_of_the_command_are_kept(ws: Mounted) -> None:
    helios = " ".join(HELIOS)
    command = f"echo 9 >> file; {helios} commit -q -m mine; echo 10 >> file"
    assert ws.command("try", "--keep", "-q", "--", "sh", "-c", command).returncode == 0
    assert subjects(ws)[1:] == ["mine", "base"]
    assert (ws.path / "file").read_text() == LINES + "9\n10\n"


def test_in_a_live_view_and_inside_of_run(ws: Mounted) -> None:
    ws.helios("branch", "idea")
    live = ws.path / ".helios/live/idea"
    assert ws.command("try", "--keep", "--", "sh", "-c", "pwd > at", cwd=live).returncode == 0
    assert (live / "at").read_text() == f"{ws.path}\n"
    inner = " ".join([*HELIOS, "try", "--keep", "--", "touch", "inner"])
    done = ws.command("run", "-b", "idea", "--", "sh", "-c", inner)
    assert done.returncode == 0, done.stderr
    assert (live / "inner").exists()
    assert not (ws.path / "at").exists() and not (ws.path / "inner").exists()


def test_what_cannot_be_forked(mounted: Mounted, tmp_path: Path) -> None:
    done = mounted.command("try", "--", "true")
    assert done.returncode == 1
    assert "nothing was committed yet, so nothing can be forked: commit first" in done.stderr
    assert mounted.helios("branch", "--list").split() == ["*", "main"], done.stderr
    done = mounted.command("try", "--", "true", cwd=tmp_path)
    assert f"{tmp_path} is in no heliosfs workspace: 'helios mount DIR'" in done.stderr
    (mounted.path / "f").write_text("1\n")
    mounted.commit("one")
    mounted.helios("branch", "x")
    (mounted.path / ".helios/live/x/f").write_text("2\n")
    mounted.commit("two", view=".helios/live/x")
    mounted.helios("merge", "--no-ff", "--no-commit", "x")
    done = mounted.command("try", "--", "true")
    assert "a merge is open" in done.stderr
    assert mounted.helios("branch", "--list").split() == ["*", "main", "x"]


def test_what_it_leaves_running_is_ended(ws: Mounted) -> None:
    """Processes with a session of their own, deaf to SIGHUP, with open files of the fork, too."""
    command = "setsid sh -c 'exec 3>>file; trap : HUP; sleep 97' & (sleep 97 &) ; echo 9 >> file"
    before = time.monotonic()
    done = ws.command("try", "--keep", "--", "sh", "-c", command)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - before < SECONDS / 2
    assert not [pid for pid in descendants(os.getpid()) if b"97" in _command_line(pid)]
    assert (ws.path / "file").read_text() == LINES + "9\n"


def test_a_signal_ends_the_command_and_leaves_the_fork(ws: Mounted) -> None:
    process = subprocess.Popen(
        [*HELIOS, "try", "--keep", "--", "sh", "-c", "echo 9 >> file; sleep 98"],
        cwd=ws.path,
        stderr=subprocess.PIPE,
        text=True,
    )
    changed = ws.path / ".helios/live/try-1/file"
    _until(lambda: changed.exists() and changed.read_text() != LINES)
    process.terminate()
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert "fork try-1 is left" in told
    assert not [pid for pid in descendants(os.getpid()) if b"98" in _command_line(pid)]


def test_killed_at_once_it_ends_its_command(ws: Mounted) -> None:
    process = subprocess.Popen(
        [*HELIOS, "try", "--", "sh", "-c", "echo $$ > pid; exec sleep 96"],
        cwd=ws.path,
        stderr=subprocess.DEVNULL,
    )
    file = ws.path / ".helios/live/try-1/pid"
    _until(lambda: file.exists() and file.read_text().endswith("\n"))
    pid = int(file.read_text())
    process.kill()
    process.wait()
    _until(lambda: b"96" not in _command_line(pid))
    assert (ws.path / "file").read_text() == LINES
    assert branches(ws) == ["main", "try-1"]


@pytest.mark.parametrize(
    ("answer", "content", "left"),
    [("k\n", "9\n", False), ("drop\n", "", False), ("what\nl\n", "", True), ("\x04", "", True)],
)
def test_a_terminal_is_asked(ws: Mounted, answer: str, content: str, left: bool) -> None:
    pid, fd = pty.fork()
    if not pid:
        os.chdir(ws.path)
        os.execv(HELIOS[0], [*HELIOS, "try", "--", "sh", "-c", "echo 9 >> file"])
    try:
        said = b""
        while b"[k/d/l]" not in said:
            said += os.read(fd, 4096)
        assert b"file | 1 +" in said
        os.write(fd, answer.encode())
        while True:
            try:
                if not os.read(fd, 4096):
                    break
            except OSError:
                break
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(fd)
    assert (ws.path / "file").read_text() == LINES + content
    assert ("try-1" in branches(ws)) == left


def test_without_a_namespace_it_runs_in_the_live_directory(ws: Mounted) -> None:
    program = (
        "import sys, errno, heliosfs.cli.inside as it\n"
        "from heliosfs.cli.main import main\n"
        "def refuse(*arguments): raise PermissionError(errno.EPERM, 'Not permitted')\n"
        "it.bind_privately = refuse\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "try", "--keep", "--", "sh", "-c", "pwd; echo 9 >> file"],
        cwd=ws.path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{ws.path}/.helios/live/try-1\n")
    assert "no mount namespace" in done.stderr
    assert (ws.path / "file").read_text() == LINES + "9\n"


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _until(condition: object) -> None:
    assert callable(condition)
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
