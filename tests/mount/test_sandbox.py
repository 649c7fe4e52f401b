"""`helios run --sandbox`: programs that try to get out by harmless means, and what works."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mount.conftest import SECONDS, Mounted

HELIOS = [sys.executable, "-m", "heliosfs.cli"]
PYTHON = os.path.realpath(sys.executable)
"""The interpreter itself: its environment may lie in /tmp, which a sandbox does not show."""
IS_SHOWN = not sys.executable.startswith(("/tmp/", "/var/tmp/", "/run/", "/dev/shm/"))
OUTSIDE = Path(__file__)
"""A file of this user that lies neither in the workspace nor in /tmp."""
REFUSED = "REFUSED"
BRANCHES = [("-b", "idea"), ()]
"""Words for a branch of its own, and for that at the mount point."""


class Sandbox:
    """A workspace, and programs in a sandbox in it."""

    def __init__(self, ws: Mounted) -> None:
        self.ws = ws

    def run(self, *words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command in a sandbox."""
        return self.ws.command("run", "--sandbox", *flags, "--", *words)

    def python(self, program: str, *flags: str) -> str:
        """Run a program in a sandbox; return what it printed, or REFUSED and the errno."""
        caught = (
            "try:\n    main()\nexcept OSError as error:\n"
            f"    print('{REFUSED}', __import__('errno').errorcode[error.errno])\n"
        )
        body = "".join(f"    {line}\n" for line in program.strip().splitlines())
        text = f"import os, socket, ctypes\ndef main():\n{body}{caught}"
        done = self.run(PYTHON, "-c", text, flags=("-q", *flags))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


WAYS = ["Landlock", *(["bubblewrap"] if shutil.which("bwrap") else [])]
"""The ways of this machine: what is not installed is no test that was skipped."""


@pytest.fixture(params=WAYS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The way it is made; for Landlock, the bubblewrap that is found fails."""
    if request.param == "Landlock":
        program = tmp_path / "bin" / "bwrap"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\necho it is a stand-in >&2\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return str(request.param)


@pytest.fixture
def box(kind: str, mounted: Mounted) -> Sandbox:
    (mounted.path / "sub").mkdir()
    for text in ("one\n", "two\n"):
        (mounted.path / "file").write_text(text)
        mounted.commit(text)
    mounted.helios("branch", "idea")
    mounted.helios("branch", "other")
    return Sandbox(mounted)


@pytest.mark.parametrize("flags", BRANCHES)
def test_what_works(box: Sandbox, kind: str, flags: tuple[str, ...]) -> None:
    ws = box.ws
    branch = "idea" if flags else "main"
    commit = f"{' '.join(HELIOS)} commit -q -m inside"
    if not IS_SHOWN:
        commit = "echo inside > .helios/ctl/commit"
    command = (
        f"pwd; echo made > {ws.path}/made; cat .helios/branch; cat .helios/snapshots/HEAD~1/file;"
        f"echo t > /tmp/t; cat /tmp/t > /dev/null; {commit};"
        "echo more > more; echo by a control file > .helios/ctl/commit; cat .helios/status;"
        "exit 7"
    )
    done = box.run("sh", "-c", command, flags=flags)
    assert done.returncode == 7, done.stderr
    clean = f"On branch {branch}\nnothing to commit, working tree clean\n"
    assert done.stdout == f"{ws.path}\n{branch}\none\n{clean}"
    assert f"helios: sandbox by {kind}" in done.stderr
    assert "no network" in done.stderr
    assert "helios: sandbox does not hold: files outside can be read" in done.stderr
    said = ws.helios("log", "--format=%s", branch).splitlines()
    assert said[:3] == ["by a control file", "inside", "two"]
    assert (ws.path / "made").exists() == (branch == "main")
    assert not Path("/tmp/t").exists()


@pytest.mark.parametrize("flags", BRANCHES)
def test_nothing_outside_can_be_written(box: Sandbox, flags: tuple[str, ...]) -> None:
    before, beside = OUTSIDE.stat(), OUTSIDE.with_name("written-from-a-sandbox")
    for program in (
        f"open('{OUTSIDE}', 'r+')",
        f"os.truncate('{OUTSIDE}', 10**6)",
        f"open('{beside}', 'w')",
        f"os.mkdir('{beside}')",
        f"os.symlink('x', '{beside}')",
        f"os.chmod('{OUTSIDE}', {before.st_mode & 0o7777})",
        f"os.utime('{OUTSIDE}', (1, 1))",
        f"os.setxattr('{OUTSIDE}', 'user.sandbox', b'1')",
        f"os.link('{OUTSIDE}', 'linked')",
        "open('/proc/sys/kernel/hostname', 'w')",
        "open('/proc/sys/vm/swappiness', 'w')",
        "os.open('/proc/sysrq-trigger', os.O_WRONLY)",
    ):
        assert box.python(program, *flags).startswith(REFUSED), program
    assert not beside.exists()
    after = OUTSIDE.stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)


def test_tmp_is_its_own(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("outside\n")
    listener = socket.socket(socket.AF_UNIX)
    with listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        assert box.python(f"print(open('{secret}').read())") == f"{REFUSED} ENOENT"
        connect = f"socket.socket(socket.AF_UNIX).connect('{tmp_path}/socket')"
        assert box.python(connect) == f"{REFUSED} ENOENT"


def test_the_network_is_not_there(box: Sandbox) -> None:
    """Listeners of TCP, UDP and an abstract socket outside hear nothing."""
    name = f"\\0helios-test-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.2)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0helios-test-{os.getpid()}")
        abstract.listen()
        connect = f"socket.create_connection({tcp.getsockname()})\nprint('connected')"
        assert box.python(connect).startswith(REFUSED)
        assert box.python(connect, "--net") == "connected"
        send = (
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"s.sendto(b'x', {udp.getsockname()})"
        )
        box.python(send)
        with pytest.raises(TimeoutError):
            udp.recv(1)
        unix = f"socket.socket(socket.AF_UNIX).connect('{name}')\nprint('connected')"
        assert box.python(unix).startswith(REFUSED)
    itself = (
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(s.getsockname())\nprint('itself')"
    )
    assert box.python(itself) == "itself"


def test_processes_outside_are_out_of_reach(box: Sandbox) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            for program in (
                f"os.kill({process.pid}, {int(signal.SIGTERM)})",
                f"print(os.listdir('/proc/{process.pid}/root'))",
                f"print(os.listdir('/proc/{box.ws.pid}/cwd'))",
                f"print(len(open('/proc/{process.pid}/environ').read()))",
                f"import resource\nresource.prlimit({process.pid}, resource.RLIMIT_CPU, (1, 1))",
            ):
                assert box.python(program).startswith(REFUSED), program
            assert process.poll() is None
            assert resource.prlimit(process.pid, resource.RLIMIT_CPU)[0] != 1
        finally:
            process.kill()


def test_what_ends_a_process_or_is_a_key_of_the_user_is_refused(box: Sandbox) -> None:
    """A process may limit itself, and ask."""
    own = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (50, 50))\n"
    assert (
        box.python(f"{own}print(resource.prlimit(os.getppid(), resource.RLIMIT_CPU) != 0)")
        == "True"
    )
    number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    call = f"libc = ctypes.CDLL(None, use_errno=True)\ndone = libc.syscall({number}, 0, -4, 0)"
    refuse = "if done < 0:\n    raise OSError(ctypes.get_errno(), 'refused')"
    assert box.python(f"{call}\n{refuse}") == f"{REFUSED} EPERM"


def test_no_open_directory_comes_along(box: Sandbox, tmp_path: Path) -> None:
    """Paths from there would be those of outside."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        program = f"import os; os.open('made', os.O_WRONLY | os.O_CREAT, dir_fd={fd})"
        done = subprocess.run(
            [*HELIOS, "run", "--sandbox", "-q", "--", PYTHON, "-c", program],
            cwd=box.ws.path,
            pass_fds=(fd,),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        os.close(fd)
    assert done.returncode == 1
    assert "Error: [Errno" in done.stderr
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("flags", BRANCHES)
def test_other_branches_are_out_of_reach(box: Sandbox, flags: tuple[str, ...]) -> None:
    ws = box.ws
    other = ws.path / ".helios/live/other"
    (other / "file").write_text("of the other\n")
    for program in (
        f"open('{other}/file', 'r+')",
        f"open('{ws.path}/.helios/branches/other/file', 'r+')",
        f"open('{other}/.helios/ctl/commit', 'w')",
        f"os.mkdir('{ws.path}/.helios/live/x')",
        f"open('/proc/{ws.pid}/root{other}/file', 'r+')",
    ):
        assert box.python(program, *flags).startswith(REFUSED), program
    assert (other / "file").read_text() == "of the other\n"


@pytest.mark.parametrize("flags", BRANCHES)
def test_verbs_that_reach_further_are_refused(
    box: Sandbox, flags: tuple[str, ...], tmp_path: Path
) -> None:
    before = (
        box.ws.helios("branch", "-v"),
        box.ws.helios("config", "get", "cleanup.auto_gc_enabled"),
    )
    requests = [
        ["export", "--to-git", str(tmp_path / "exported")],
        ["backup", str(tmp_path / "backup")],
        ["import", "--from-git", "/nowhere"],
        ["gc"],
        ["config", "set", "cleanup.auto_gc_enabled", "false"],
        ["branch", "-D", "other"],
        ["branch", "new"],
        ["checkout", "other"],
        ["stash", "clear"],
        ["experiment", "start", "mine"],
        ["tag", "mine"],
    ]
    lines = [json.dumps({"argv": argv, "cwd": ""}) for argv in requests]
    lines.append(json.dumps({"argv": ["commit", "-m", "x"], "cwd": "", "branch": "other"}))
    for line in lines:
        write = f"os.write(fd, {line.encode()!r} + b'\\n')"
        program = f"fd = os.open('.helios/ctl/command', os.O_RDWR)\n{write}"
        assert box.python(program, *flags) == f"{REFUSED} EPERM", line
    assert box.python("open('.helios/ctl/gc', 'w')", *flags).startswith(REFUSED)
    if IS_SHOWN:
        nested = box.run(*HELIOS, "run", "-b", "other", "--", "true", flags=flags)
        assert nested.returncode == 1
        assert "not allowed in a sandbox" in nested.stderr
    assert (
        box.ws.helios("branch", "-v"),
        box.ws.helios("config", "get", "cleanup.auto_gc_enabled"),
    ) == before
    assert not list(tmp_path.glob("[eb]*[dp]"))


def test_a_hook_acts_on_its_own_branch(box: Sandbox) -> None:
    """The directory in the client's payload chooses no other one, and no worktree is made."""
    other = box.ws.path / ".helios/live/other"
    (other / "new").write_text("new\n")
    payload = json.dumps({"cwd": str(other), "session_id": "s", "prompt": "go"})
    for event in ("UserPromptSubmit", "Stop", "WorktreeCreate"):
        text = f"{event} --client claude\n{payload}".encode()
        program = (
            "open('mine', 'a').write('x')\nfd = os.open('.helios/ctl/hook', os.O_RDWR)\n"
            f"os.write(fd, {text!r})\nos.read(fd, 4096)"
        )
        box.python(program, "-b", "idea")
    assert box.ws.helios("log", "--format=%s", "other").splitlines()[0] == "two"
    assert len(box.ws.helios("log", "--format=%s", "idea").splitlines()) > 2
    assert box.ws.helios("branch", "--list").replace("*", " ").split() == ["idea", "main", "other"]


@pytest.mark.parametrize("flags", BRANCHES)
def test_what_covers_cannot_be_taken_away(box: Sandbox, flags: tuple[str, ...]) -> None:
    """Neither a mount nor a user namespace of its own brings back what lies beneath."""
    home = box.ws.path / ".helios"
    call = "libc = ctypes.CDLL(None, use_errno=True)\n"
    check = "\nif done:\n    raise OSError(ctypes.get_errno(), 'refused')"
    for done in (
        f"libc.umount2({os.fsencode(home / 'ctl')!r}, 2)",
        f"libc.umount2({os.fsencode(home / 'live')!r}, 2)",
        f"libc.umount2({os.fsencode(box.ws.path)!r}, 2)",
        "libc.umount2(b'/tmp', 2)",
        "libc.mount(b'none', b'/', None, 0x1020, None)",
        "libc.unshare(0x10020000) or libc.mount(b'none', b'/', None, 0x1020, None)",
        f"libc.unshare(0x10020000) or libc.umount2({os.fsencode(home / 'ctl')!r}, 2)",
    ):
        assert box.python(f"{call}done = {done}{check}", *flags).startswith(REFUSED), done
    capabilities = "print([line for line in open('/proc/self/status') if line[:6] == 'CapEff'])"
    assert box.python(capabilities, *flags) == r"['CapEff:\t0000000000000000\n']"


def test_nothing_is_typed_into_the_terminal(box: Sandbox) -> None:
    program = (
        "import fcntl, termios\n"
        "try:\n    fcntl.ioctl(0, termios.TIOCSTI, b'#')\nexcept OSError as error:\n"
        "    print('errno', error.errno)\nelse:\n    print('typed')"
    )
    pid, fd = pty.fork()
    if not pid:
        os.chdir(box.ws.path)
        words = ["run", "--sandbox", "-q", "--", PYTHON, "-c", program]
        os.execv(HELIOS[0], [*HELIOS, *words])
    said = b""
    try:
        with contextlib.suppress(OSError):
            while data := os.read(fd, 4096):
                said += data
        os.waitpid(pid, 0)
    finally:
        os.close(fd)
    assert said.split() == [b"errno", b"1"]


def test_it_ends_with_its_command(box: Sandbox) -> None:
    """A signal to `helios run` ends all that is inside."""
    words = ["run", "--sandbox", "--", "sh", "-c", "echo up; sleep 92; true"]
    process = subprocess.Popen(
        [*HELIOS, *words], cwd=box.ws.path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    # The end of the pipe comes when nothing inside has it open any more.
    process.communicate(timeout=SECONDS)
    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_try_and_race_in_sandboxes(box: Sandbox) -> None:
    ws, beside = box.ws, OUTSIDE.with_name("written-from-a-sandbox")
    command = f"echo {{i}} >> tried; touch {beside} 2> /dev/null || echo refused >> tried"
    done = ws.command("try", "--sandbox", "--keep", "--", "sh", "-c", command)
    assert done.returncode == 0, done.stderr
    assert (ws.path / "tried").read_text() == "{i}\nrefused\n"
    done = ws.command(
        "race", "2", "--sandbox", "--score", "wc -l < tried", "--", "sh", "-c", f"{command}; exit 0"
    )
    assert done.returncode == 0, done.stderr
    assert (ws.path / "tried").read_text() == "{i}\nrefused\n1\nrefused\n"
    assert not beside.exists()


def test_without_the_rights_of_root(box: Sandbox) -> None:
    """A user namespace where the kernel allows one; what holds is the same."""
    before = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    command = f"echo made > made; touch {OUTSIDE}; echo $?; echo x > .helios/ctl/commit"
    done = subprocess.run(
        [*before, *HELIOS, "run", "--sandbox", "-b", "idea", "--", "sh", "-c", command],
        cwd=box.ws.path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert box.ws.helios("log", "--format=%s", "idea").splitlines()[0] == "x"


def refusing(ws: Mounted, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `helios` where the kernel refuses something."""
    text = (
        "import sys, heliosfs.cli.sandbox as it\nfrom heliosfs.cli.main import main\n"
        f"{program}\nit.shutil.which = lambda name: None\nsys.exit(main(sys.argv[1:]))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", text, *words],
        cwd=ws.path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_landlock_alone_says_what_it_does_not_hold(mounted: Mounted, tmp_path: Path) -> None:
    (mounted.path / "file").write_text("one\n")
    mounted.commit("one")
    mounted.helios("branch", "idea")
    mounted.helios("branch", "other")
    program = (
        "def refuse(*a, **b): raise it.NoNamespace('not permitted')\nit.confine_mounts = refuse"
    )
    others = mounted.path / ".helios/live/other/file"
    command = (
        f"pwd; echo made > made; for f in {OUTSIDE.parent}/x {tmp_path}/x {others}; do"
        " (echo x > $f) 2> /dev/null || echo refused; done; echo x > .helios/ctl/commit"
    )
    done = refusing(mounted, program, "run", "--sandbox", "-b", "idea", "--", "sh", "-c", command)
    live = mounted.path / ".helios/live/idea"
    assert (done.returncode, done.stdout) == (0, f"{live}\n" + "refused\n" * 3), done.stderr
    assert "no namespace (not permitted)" in done.stderr
    assert "control files take every verb" in done.stderr
    assert mounted.helios("log", "--format=%s", "idea").splitlines()[0] == "x"


def test_where_nothing_is_there_it_is_refused(mounted: Mounted) -> None:
    program = "it.landlock.version = lambda: 0"
    done = refusing(mounted, program, "run", "--sandbox", "--", "touch", "made")
    assert done.returncode == 1
    assert "no sandbox: bubblewrap (bwrap) is not installed" in done.stderr
    assert not (mounted.path / "made").exists()
    assert mounted.command("run", "--net", "--", "true").returncode == 2
