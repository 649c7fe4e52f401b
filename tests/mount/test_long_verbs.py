"""Import and export through a mount: others work on, and whoever asked may stop it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.git_repository import Clone, git, quick_history, refs_of
from tests.mount.conftest import SECONDS, Mounted, Mounter
from tests.mount.programs import errno_of, run, shell

FEW = 1000
MANY = 3_000
"""Commits whose import takes longer than what is done to it, where git is slow (`slow_git`)."""
WRITTEN = 2_300
"""Commits of which the first are written when so many are told: more than one write takes."""
WORK_SECONDS = 90
"""Longest time of a verb that works through all of them, on a machine that is busy otherwise."""
SLOW_FROM = WRITTEN + 300
"""Commits that a slow git lists at once."""
SLOW_GIT = """#!{python} -IS
import os, subprocess, sys, time
if "--in-commit-order" not in sys.argv:
    os.execv({git!r}, sys.argv)
with subprocess.Popen([{git!r}, *sys.argv[1:]], stdout=subprocess.PIPE) as lister:
    for count, line in enumerate(lister.stdout):
        if count >= 4 * {count} and not count % 4:
            sys.stdout.buffer.flush()
            if os.path.exists({slow!r}):
                time.sleep(0.03)
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
"""
"""A git that lists the objects of the last commits of an import at 30 ms a commit."""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick_history(tmp_path_factory.mktemp("git") / "few.git", FEW)


@pytest.fixture(scope="module")
def long_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick_history(tmp_path_factory.mktemp("git") / "many.git", MANY)


class SlowGit:
    """A slow git for the daemons that begin now: an import is under way for as long as it is."""

    def __init__(self, place: Path) -> None:
        found = shutil.which("git")
        assert found is not None
        self._slow = place / "slow"
        self.hurry = self._slow.unlink
        self._slow.touch()
        text = SLOW_GIT.format(
            python=sys.executable, git=found, count=SLOW_FROM, slow=str(self._slow)
        )
        (place / "git").write_text(text)
        (place / "git").chmod(0o755)


@pytest.fixture
def slow_git(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> SlowGit:
    place = tmp_path_factory.mktemp("slow")
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return SlowGit(place)


@pytest.fixture
def slowed(slow_git: SlowGit, mounter: Mounter) -> Mounted:
    """A new, empty workspace, whose daemon has a slow git."""
    return mounter()


class Reader:
    """An import whose reply is read along, as the command line does."""

    def __init__(self, workspace: Mounted, source: Path) -> None:
        self.fd = os.open(workspace.path / ".helios/ctl/command", os.O_RDWR)
        line = {"argv": ["import", "--from-git", str(source)], "progress": True}
        os.write(self.fd, json.dumps(line).encode() + b"\n")

    def progress(self, count: int = 1) -> dict[str, int]:
        """Return the progress of the import, once it has taken so many commits in."""
        done: dict[str, int] = {"done": 0}
        while done["done"] < count:
            line = os.read(self.fd, 65536).decode()
            assert line.startswith("progress: "), line
            done = json.loads(line.removeprefix("progress: "))
        return done

    def total(self) -> int:
        """Return the number of all commits, once they are counted, which is done beside it."""
        total = 0
        while not total:
            total = self.progress()["total"]
        return total

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)


def branches(workspace: Mounted) -> set[str]:
    return set(os.listdir(workspace.path / ".helios/branches"))


def assert_nothing_shows(workspace: Mounted) -> None:
    assert branches(workspace) == {"main"}
    assert os.listdir(workspace.path / ".helios/snapshots") == []


def assert_goes_on(workspace: Mounted, source: Path) -> None:
    """The next import begins with what the last one did not do."""
    reader = Reader(workspace, source)
    assert reader.total() < MANY
    reader.close()


def wait_until_taken(workspace: Mounted) -> None:
    """Until an import has published the first commits of what it reads."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        text = (workspace.path / ".helios/stats").read_text()
        stats = dict(line.split(": ", 1) for line in text.splitlines())
        if int(stats["pending_bytes"]) > 100_000 or int(stats["object_count"]) > 100:
            return
        time.sleep(0.01)
    raise AssertionError("nothing was taken in")


def taken(reply: str) -> int:
    """Return the number of commits that a reply says were taken in."""
    return int(reply.split(" ", 1)[0])


def test_others_work_while_it_runs(mounted: Mounted, history: Path) -> None:
    replies: list[str] = []
    words = f"--from-git {history}\n"
    thread = threading.Thread(target=lambda: replies.append(mounted.control("import", words)))
    (mounted.path / "kept").write_text("first")
    first = mounted.commit("first")
    thread.start()
    ids: list[str] = []
    while thread.is_alive():
        (mounted.path / "kept").write_text(str(len(ids)))
        os.stat(mounted.path / "kept")
        ids.append(mounted.commit(f"commit {len(ids)}"))
    thread.join()
    assert replies[0].startswith(f"{FEW} commits, ")
    # Each took its turn: the import is far longer than any of them.
    assert len(ids) > 20
    log = mounted.helios("log", "--oneline").splitlines()
    assert len(log) == len(ids) + 1
    assert mounted.helios("rev-parse", f"HEAD~{len(ids)}").strip() == first
    assert branches(mounted) == {"main", "trunk"}
    mounted.helios("import", "--verify", str(history))


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A workspace in which looking takes a while."""
    made = Mounted(tmp_path_factory.mktemp("wide") / "ws")
    try:
        made.mount()
        for word in ("old", "new"):
            for number in range(400):
                lines = (
                    f"{word if at % 9 else 'same'} line {at} of {number}\n" for at in range(900)
                )
                (made.path / f"f{number}").write_text("".join(lines))
            made.commit(word)
        yield made
    finally:
        made.end()


@pytest.mark.parametrize(
    "words",
    [
        ["grep", "-c", "line 8.*of"],
        ["diff", "HEAD~1", "HEAD"],
        ["diff", "--stat", "HEAD~1", "HEAD"],
        ["show", "--json", "--stat"],
    ],
    ids=" ".join,
)
def test_who_only_looks_lets_others_in(wide: Mounted, words: list[str]) -> None:
    """A verb that only looks sees what was there when the request came."""
    quiet = wide.helios(*words)
    fd = os.open(wide.path / ".helios/ctl/command", os.O_RDWR)
    begins, replies = threading.Event(), []

    def ask() -> None:
        begins.set()
        os.write(fd, json.dumps(words).encode() + b"\n")
        replies.append(b"".join(iter(lambda: os.read(fd, 1 << 17), b"")).decode())

    asking = threading.Thread(target=ask)
    asking.start()
    assert begins.wait(SECONDS)
    done = 0
    while not replies:
        place = wide.path / f"made-{done}"
        place.mkdir()
        place.rmdir()
        done += 1
    asking.join(SECONDS)
    os.close(fd)
    assert replies == [quiet]
    # Without turns a few would come through: before the request is there, and after its reply.
    assert done > 30


def test_one_at_a_time(slowed: Mounted, long_history: Path, tmp_path: Path) -> None:
    reader = Reader(slowed, long_history)
    assert reader.total() == MANY
    out = tmp_path / "out.git"
    assert errno_of(slowed.control, "import", f"--from-git {long_history}\n") == "EBUSY"
    done = slowed.command("export", "--to-git", str(out))
    assert (done.returncode, out.exists()) == (1, False)
    assert "another long operation is running, 'import'" in done.stderr
    assert slowed.helios("status").startswith("On branch main\n")
    reader.close()
    (slowed.path / "file").write_text("x")
    slowed.commit("one")
    slowed.helios("export", "--to-git", str(out))
    assert list(refs_of(out)) == ["refs/heads/main"]


def test_nobody_waits_to_write_another_request(slowed: Mounted, long_history: Path) -> None:
    """A shell's import is answered within its write, during which the kernel locks the file."""
    (slowed.path / "file").write_text("text")
    head = slowed.commit("first")
    script = f"echo --from-git {long_history} > .helios/ctl/import"
    with (
        subprocess.Popen(["bash", "-c", script], cwd=slowed.path) as one,
        subprocess.Popen(
            ["bash", "-c", f"echo import --from-git {long_history} > .helios/ctl/command"],
            cwd=slowed.path,
            stderr=subprocess.DEVNULL,
        ) as two,
    ):
        wait_until_taken(slowed)
        assert slowed.control("command", "rev-parse HEAD\n") == f"{head}\n"
        assert slowed.control("rev-parse", "HEAD\n") == f"{head}\n"
        assert one.poll() is None or two.poll() is None
        for client in (one, two):
            client.kill()


def test_who_closes_ends_it_and_the_next_goes_on(
    slow_git: SlowGit, slowed: Mounted, long_history: Path
) -> None:
    reader = Reader(slowed, long_history)
    reader.progress(WRITTEN)
    reader.close()
    assert_nothing_shows(slowed)
    slow_git.hurry()
    reply = slowed.helios("import", "--from-git", str(long_history), seconds=WORK_SECONDS)
    assert 0 < taken(reply) < MANY
    assert branches(slowed) == {"trunk"}
    slowed.helios("import", "--verify", str(long_history), seconds=WORK_SECONDS)


def test_after_kill_9_it_goes_on(slowed: Mounted, long_history: Path) -> None:
    reader = Reader(slowed, long_history)
    reader.progress(WRITTEN)
    slowed.kill9()
    reader.close()
    subprocess.run(["fusermount3", "-uz", str(slowed.path)], check=True, timeout=SECONDS)
    slowed.mount()
    assert_nothing_shows(slowed)
    assert_goes_on(slowed, long_history)


def test_a_daemon_that_shall_end_does(slowed: Mounted, long_history: Path) -> None:
    errors: list[str] = []

    def ask() -> None:
        errors.append(errno_of(slowed.control, "import", f"--from-git {long_history}\n"))

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until_taken(slowed)
    slowed.terminate()
    thread.join(SECONDS)
    # The kernel may be quicker than our answer.
    assert errors in (["EINTR"], ["ENOTCONN"], ["ECONNABORTED"])
    slowed.mount()
    assert_nothing_shows(slowed)


def test_the_command_line_shows_how_far_it_is_and_ends_at_ctrl_c(
    slowed: Mounted, long_history: Path
) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(slowed.path)
        argv = [sys.executable, "-m", "heliosfs.cli", "import", "--from-git", str(long_history)]
        os.execv(sys.executable, argv)
    shown, count = b"", 0
    while count < WRITTEN or b" s left" not in shown:
        shown += os.read(terminal, 4096)
        counts = re.findall(rb"([\d,]+) of [\d,]+ commits, ", shown)
        count = int(counts[-1].replace(b",", b"")) if counts else 0
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 4096):
            shown += data
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert f"of {MANY:,} commits, ".encode() in shown
    assert_nothing_shows(slowed)
    assert_goes_on(slowed, long_history)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_who_waits_in_write_can_be_killed(
    slowed: Mounted, long_history: Path, number: signal.Signals
) -> None:
    script = f"echo --from-git {long_history} > .helios/ctl/import"
    client = subprocess.Popen(["bash", "-c", script], cwd=slowed.path, stderr=subprocess.PIPE)
    with client:
        wait_until_taken(slowed)
        client.send_signal(number)
        assert client.wait(SECONDS) == -number
    assert_nothing_shows(slowed)
    assert_goes_on(slowed, long_history)


@pytest.mark.parametrize("name", ["bash", "dash"])
def test_shells_read_one_complete_reply(mounted: Mounted, history: Path, name: str) -> None:
    script = f"exec 3<>.helios/ctl/import; echo --from-git {history} >&3; cat <&3"
    assert shell(script, mounted.path, name).stdout.splitlines() == [
        f"{FEW} commits, {4 * FEW} objects from {history}",
        "  new: heads/trunk",
    ]


def test_the_history_of_the_workspace_itself(mounter: Mounter) -> None:
    """A project that is mounted, and whose `.git` gets more commits in the mount."""
    workspace = mounter(start=False)
    workspace.path.mkdir()
    git(workspace.path, "init", "--quiet", "-b", "main")
    (workspace.path / "a").write_text("1\n")
    git(workspace.path, "add", "a")
    git(workspace.path, "commit", "--quiet", "-m", "one")
    workspace.mount()
    reply = workspace.helios("import", "--from-git", ".")
    assert taken(reply) == 1
    assert "the files stay as they are" in reply
    (workspace.path / "b").write_text("not in git\n")
    for number in (2, 3):
        (workspace.path / "a").write_text(f"{number}\n")
        who = ("-c", "user.name=A", "-c", "user.email=a@b")
        run("git", *who, "commit", "-qam", f"change {number}", cwd=workspace.path)
        # HEAD follows, whatever was done to the same file since.
        (workspace.path / "a").write_text("later\n")
        reply = workspace.helios("import", "--from-git", ".")
        assert taken(reply) == 1
        assert "the files stay as they are" in reply
        assert (workspace.path / "a").read_text() == "later\n"
        status = workspace.helios("status", "--porcelain")
        assert status.splitlines() == [" M a", " A b"]
        assert workspace.helios("show", "HEAD:a") == f"{number}\n"
        subjects = workspace.helios("log", "--oneline").splitlines()[0]
        assert subjects.endswith(f" change {number}")
    workspace.helios("import", "--verify", ".")
    assert branches(workspace) == {"main"}
    workspace.control("undo", "\n")
    assert workspace.helios("show", "HEAD:a") == "2\n"
    assert (workspace.path / "a").read_text() == "later\n"


def test_export_into_the_workspace_itself(mounter: Mounter) -> None:
    """Git reads and writes in the mount whose daemon waits for it."""
    workspace = mounter(start=False)
    project = Clone(workspace.path, "main")
    for number in range(50):
        project.write(f"d{number % 7}/f{number % 11}", b"%d\n" % number * 5000)
        project.commit(f"change {number}")
    workspace.mount()
    workspace.helios("import", "--from-git", ".")
    (workspace.path / "d1/new").write_text("x" * 2_000_000)
    workspace.helios("branch", "idea", "--fork")
    workspace.helios("commit", "-m", "new", cwd=workspace.path / ".helios/branches/idea")
    before = project.git("status", "--porcelain")
    reply = workspace.helios("export", "--to-git", ".", "idea")
    assert "heads/idea" in reply
    assert project.git("log", "-1", "--format=%s", "idea") == b"new\n"
    assert project.git("status", "--porcelain") == before
    project.git("fsck", "--strict")
    # A repository that is made for it, and one that a refusal leaves nothing of.
    workspace.helios("export", "--to-git", "out.git", "main:trunk")
    assert refs_of(workspace.path / "out.git") == {"refs/heads/trunk": project.id("main")}
    done = workspace.command("export", "--to-git", "none.git", "main:bad..name")
    assert done.returncode == 2
    assert not (workspace.path / "none.git").exists()


def test_an_export_that_is_stopped_leaves_no_repository(
    mounted: Mounted, long_history: Path
) -> None:
    mounted.helios("import", "--from-git", str(long_history), seconds=WORK_SECONDS)
    out = mounted.path / "out.git"
    fd = os.open(mounted.path / ".helios/ctl/command", os.O_RDWR)
    line = {"argv": ["export", "--to-git", str(out)], "progress": True}
    os.write(fd, json.dumps(line).encode() + b"\n")
    assert os.read(fd, 65536).startswith(b"progress: ")
    assert out.exists()
    os.close(fd)
    end = time.monotonic() + SECONDS
    while out.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not out.exists()


def test_files_of_a_directory(mounted: Mounted, tmp_path: Path) -> None:
    source = tmp_path / "files"
    for number in range(300):
        place = source / f"d{number % 10}" / f"f{number}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(str(number))
    assert mounted.helios("import", "--from-dir", str(source)).startswith("imported 300 files")
    assert run("diff", "-r", "-x", ".helios", source, mounted.path, cwd=tmp_path).stdout == ""
    (mounted.path / "d1/f1").write_text("ours")
    (mounted.path / "d2/f2").unlink()
    done = mounted.helios("import", "--from-dir", str(source))
    assert "imported 1 file " in done
    assert "identical here already: 298" in done
    assert "left out: d1/f1" in done
    assert (mounted.path / "d1/f1").read_text() == "ours"
    assert (mounted.path / "d2/f2").read_text() == "2"
    mounted.helios("undo")
    assert not (mounted.path / "d2/f2").exists()
    inside = mounted.path / "d1"
    assert (
        "lies in the mounted workspace"
        in mounted.command("import", "--from-dir", str(inside)).stderr
    )
