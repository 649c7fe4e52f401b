"""`helios run`: the branch at the path of the mount point, and what the command comes to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliosfs import mounttable
from tests.mount.conftest import SECONDS, Mounted

HELIOS = [sys.executable, "-m", "heliosfs.cli"]
LOOK = "pwd; cat file; cat .helios/branch .helios/snapshots/HEAD~1/file; echo $HELIOS_BRANCH"


@pytest.fixture
def ws(mounted: Mounted) -> Mounted:
    (mounted.path / "sub").mkdir()
    for text in ("one\n", "two\n"):
        (mounted.path / "file").write_text(text)
        mounted.commit(text)
    return mounted


def run(
    ws: Mounted, *words: str, before: tuple[str, ...] = (), cwd: str = "."
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *HELIOS, "run", *words],
        cwd=ws.path / cwd,
        input="input\n",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_absolute_paths_lead_into_the_branch(ws: Mounted) -> None:
    command = f"echo three > {ws.path}/file; {LOOK}; cat .helios/branches/idea/file"
    done = run(ws, "-b", "idea", "--", "sh", "-c", command)
    assert done.stderr == f"helios: new branch 'idea' at {ws.control('rev-parse', 'HEAD')[:12]}\n"
    assert done.stdout == f"{ws.path}\nthree\nidea\none\nidea\nthree\n"
    assert (ws.path / "file").read_text() == "two\n"
    assert (ws.path / ".helios/branches/idea/file").read_text() == "three\n"
    seen = [mount for mount in mounttable.mounts() if mount.path.startswith(f"{ws.path}/.helios")]
    assert all(mount.is_control for mount in seen)


def test_verbs_and_further_commands_inside(ws: Mounted) -> None:
    helios = " ".join(HELIOS)
    inner = f"cat file; {helios} commit -q -m inner; cat .helios/branch"
    command = (
        f"echo mine > file; {helios} commit -q -m mine; {helios} run -q -b b -- sh -c '{inner}'"
    )
    done = run(ws, "-b", "a", "--", "sh", "-c", command)
    assert done.stdout == "mine\nb\n", done.stderr
    assert ws.helios("log", "--oneline", "a").splitlines()[0].endswith(" mine")
    assert ws.helios("log", "--oneline").splitlines()[0].endswith(" two")


def test_the_directory_is_the_same_if_the_branch_has_it(ws: Mounted) -> None:
    ws.helios("branch", "old")
    ws.helios("branch", "empty", "HEAD~1")
    (ws.path / ".helios/branches/empty/sub").rmdir()
    assert run(ws, "-b", "old", "pwd", cwd="sub").stdout == f"{ws.path}/sub\n"
    assert run(ws, "-b", "empty", "pwd", cwd="sub").stdout == f"{ws.path}\n"
    assert run(ws, "pwd", cwd="sub").stdout == f"{ws.path}/sub\n"
    live = ".helios/live/old"
    assert run(ws, "sh", "-c", "pwd; cat .helios/branch", cwd=live).stdout == f"{ws.path}\nold\n"
    ws.helios("checkout", "old")
    assert run(ws, "-b", "old", "sh", "-c", LOOK).stdout == f"{ws.path}\ntwo\nold\none\nold\n"


def test_streams_exit_codes_and_signals(ws: Mounted) -> None:
    assert run(ws, "-q", "-b", "x", "cat").stdout == "input\n"
    assert run(ws, "-b", "x", "sh", "-c", "exit 7").returncode == 7
    assert run(ws, "-b", "x", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert run(ws, "-b", "x", "no-such-command").returncode == 127
    assert run(ws, "-b", "x", "./file").returncode == 126
    assert run(ws, "echo", "-b", "--", "-q").stdout == "-b -- -q\n"
    assert run(ws).returncode == 2
    assert run(ws, "-b", "a..b", "true").returncode == 2
    assert run(ws, "--frob", "true").returncode == 2


def test_without_the_rights_of_root(ws: Mounted) -> None:
    """A user namespace where the kernel allows one; else a line says that there is none."""
    before = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    done = run(ws, "-b", "idea", "sh", "-c", LOOK, before=before)
    has_namespace = "no mount namespace" not in done.stderr
    where = ws.path if has_namespace else ws.path / ".helios/live/idea"
    assert done.stdout == f"{where}\ntwo\nidea\none\nidea\n", done.stderr


def test_without_a_namespace_the_branch_is_the_current_directory(ws: Mounted) -> None:
    program = (
        "import sys, errno, heliosfs.cli.inside as it\n"
        "from heliosfs.cli.main import main\n"
        "def refuse(*arguments): raise PermissionError(errno.EPERM, 'Not permitted')\n"
        "it.bind_privately = refuse\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    for quiet in ([], ["-q"]):
        done = subprocess.run(
            [sys.executable, "-c", program, "run", *quiet, "-b", "idea", "sh", "-c", LOOK],
            cwd=ws.path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.stdout == f"{ws.path}/.helios/live/idea\ntwo\nidea\none\nidea\n"
        assert ("no mount namespace (not permitted)" in done.stderr) == (not quiet)


def test_outside_of_a_mounted_workspace(ws: Mounted, tmp_path: Path) -> None:
    done = subprocess.run(
        [*HELIOS, "run", "true"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert f"{tmp_path} is in no heliosfs workspace: 'helios mount DIR'" in done.stderr
    ws.unmount()
    done = run(ws, "true")
    assert f"helios mount {ws.path}" in done.stderr
    assert sorted(os.listdir(ws.path)) == [".helios", "HELIOS-NOT-MOUNTED"]


def test_a_fork_has_what_is_ignored_and_its_paths_lead_into_it(ws: Mounted) -> None:
    """An ignored file holds an absolute path, as that of a package installed editable does."""
    (ws.path / ".heliosignore").write_text("env/\n")
    (ws.path / "src").mkdir()
    (ws.path / "src/code").write_text("main\n")
    ws.commit("code")
    (ws.path / "env").mkdir()
    (ws.path / "env/link").symlink_to(ws.path / "src")
    (ws.path / "src/code").write_text("uncommitted\n")
    look = "cat env/link/code; echo mine > src/code; cat env/link/code"
    done = run(ws, "-b", "new", "--fork", "--", "sh", "-c", look)
    assert done.stdout == "uncommitted\nmine\n"
    assert done.stderr.endswith(", with the changes of this one\n")
    assert (ws.path / "src/code").read_text() == "uncommitted\n"
    # The trap: what has the path in it means the mount point where the branch is not shown there.
    assert (ws.path / ".helios/branches/new/env/link/code").read_text() == "uncommitted\n"
    again = run(ws, "-b", "new", "--fork", "--", "cat", "env/link/code")
    assert (again.stdout, again.stderr) == ("mine\n", "")
    without = run(ws, "-b", "plain", "-q", "--", "cat", "env/link/code")
    assert without.returncode == 1
    assert run(ws, "--fork", "--", "true").returncode == 2
    copied = run(ws, "-b", "copied", "--copy-ignored", "--", "cat", "env/link/code")
    assert copied.stdout == "main\n"
    assert copied.stderr.endswith(", with the ignored files of this one\n")
    assert run(ws, "-b", "x", "--copy-ignored", "--fork", "--", "true").returncode == 2


def test_a_refusal_is_told_in_words(mounted: Mounted) -> None:
    """The command asks in JSON; its user does not."""
    done = run(mounted, "-b", "idea", "--", "true")
    assert done.returncode == 1
    assert done.stderr == "helios: nothing was committed yet: commit first, or use --fork\n"
