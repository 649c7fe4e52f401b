"""The Python client at a mounted workspace, as programs use it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heliosfs import Workspace, errors
from heliosfs.client.requests import UnmergedPaths
from tests.mount.conftest import SECONDS, Mounted
from tests.mount.programs import put

UNSHARED = ["unshare", "--mount", "sh", "-ec"]


@pytest.fixture
def workspace(mounted: Mounted) -> Workspace:
    put(mounted.path / "file", "one\n")
    mounted.commit("base")
    return Workspace(mounted.path)


def test_a_commit_and_what_is_told_of_it(workspace: Workspace) -> None:
    base = workspace.head
    put(workspace.path / "src/naïve.py", "x = 1\n")
    status = workspace.status()
    assert (status.branch, status.head, status.clean) == ("main", base, False)
    assert [(each.status, each.path) for each in status.changes] == [("A", "src/naïve.py")]
    made = workspace.commit("a subject\n\n-m is no option here", score=0.5, agent="a=b c")
    (commit,) = workspace.log(count=1)
    assert commit.id == made == workspace.head
    assert commit.parents == (base,)
    assert (commit.subject, commit.message) == (
        "a subject",
        "a subject\n\n-m is no option here",
    )
    assert commit.metadata == {"score": "0.5", "agent": "a=b c"}
    assert abs(commit.author.seconds - time.time()) < SECONDS
    assert workspace.status().clean
    assert [each.id for each in workspace.log(f"{base}..HEAD")] == [made]
    assert workspace.log(paths=["file"])[0].id == base


def test_a_message_alone_goes_the_short_way(workspace: Workspace) -> None:
    put(workspace.path / "file", "two\n")
    made = workspace.commit("-m\n\n  für alle\n")
    assert workspace.log(count=1)[0].message == "-m\n\n  für alle"
    assert made == workspace.head
    put(workspace.path / "other", "x\n")
    put(workspace.path / "file", "three\n")
    workspace.commit("a part", paths=["file"], author="Ada <ada@example.org>")
    assert [each.path for each in workspace.status().changes] == ["other"]
    assert workspace.log(count=1)[0].author.name == "Ada"


def test_differences(workspace: Workspace) -> None:
    put(workspace.path / "file", "one\ntwo\n")
    put(workspace.path / os.fsdecode(b"\xff"), "x\n")
    found = workspace.diff()
    assert (found.old, found.new) == (workspace.head, None)
    changes = {each.path: each for each in found.changes}
    assert set(changes) == {"file", "\udcff"}
    assert (changes["file"].insertions, changes["file"].deletions) == (1, 0)
    assert changes["file"].new is not None and changes["file"].new.size == 8
    assert changes["\udcff"].old is None
    assert "+two\n" in workspace.patch(None, None, "file")
    workspace.commit("second")
    assert workspace.diff("HEAD~1", "HEAD", "file").changes == (changes["file"],)
    snapshot = workspace.snapshot("HEAD~1")
    assert (snapshot / "file").read_text() == "one\n"
    workspace.commit("third", allow_empty=True)
    assert (snapshot / "file").read_text() == "one\n"


def test_back_and_forth(workspace: Workspace) -> None:
    base = workspace.head
    put(workspace.path / "file", "two\n")
    workspace.commit("second")
    put(workspace.path / "file", "draft\n")
    assert workspace.reset("HEAD~1", hard=True).head == base
    assert (workspace.path / "file").read_text() == "one\n"
    undone = workspace.undo()
    assert (undone.verb, undone.count, undone.branch) == ("reset", 1, "main")
    assert (workspace.path / "file").read_text() == "draft\n"
    assert workspace.redo().head == base
    workspace.undo()
    assert workspace.reset(soft=True).branch == "main"
    assert (workspace.path / "file").read_text() == "draft\n"
    shown = workspace.checkout("HEAD~1")
    assert (shown.branch, shown.head) == (None, base)
    assert workspace.checkout("-").branch == "main"
    assert workspace.checkout("more", create=True).branch == "more"
    assert {each.name: each.mounted for each in workspace.branches()} == {
        "main": False,
        "more": True,
    }


def test_a_fork_leaves_nothing_behind_unless_it_is_kept(workspace: Workspace) -> None:
    put(workspace.path / "draft", "uncommitted\n")
    with workspace.fork() as trial:
        assert (trial.path / "draft").read_text() == "uncommitted\n"
        put(trial.path / "file", "tried\n")
        made = trial.commit("tried", score=1)
        assert trial.head == made != workspace.head
        put(trial.path / "rest", "not committed\n")
        assert [each.path for each in trial.status().changes] == ["rest"]
    assert [each.name for each in workspace.branches()] == ["main"]
    assert not trial.path.exists()
    assert (workspace.path / "file").read_text() == "one\n"
    assert (workspace.snapshot(made) / "file").read_text() == "tried\n"
    with workspace.fork("kept") as trial:
        trial.keep()
    with pytest.raises(ZeroDivisionError), workspace.fork("broken"):
        raise ZeroDivisionError
    with workspace.branch("clean") as clean:
        assert not (clean.path / "draft").exists()
        with clean.fork("nested/one") as nested:
            put(nested.path / "deep", "x\n")
            nested.commit("deep")
            assert clean.merge(nested.name).fast_forward
        put(clean.path / "loose", "not committed\n")
        with workspace.fork("copy", "clean") as copy:
            assert (copy.path / "loose").read_text() == "not committed\n"
            assert not (copy.path / "draft").exists()
    assert [each.name for each in workspace.branches()] == ["clean", "kept", "main"]
    assert workspace.live("kept").status().changes == workspace.status().changes
    for name in ("main", "broken"):
        with pytest.raises(errors.NotFound, match=f"no branch '{name}'"):
            workspace.live(name)
    assert Workspace(clean.path).head == clean.head


def test_a_merge_and_its_conflicts(workspace: Workspace) -> None:
    with workspace.branch("side", keep=False) as side:
        put(side.path / "file", "theirs\n")
        side.commit("theirs")
        put(workspace.path / "file", "ours\n")
        workspace.commit("ours")
        before = workspace.head
        with pytest.raises(errors.Conflicted) as caught:
            workspace.merge("side")
        assert isinstance(caught.value, UnmergedPaths)
        assert caught.value.errno == errno.EAGAIN
        assert [each.path for each in caught.value.conflicts] == ["file"]
        assert caught.value.ways[0] == "merge --markers side"
        assert workspace.head == before
        done = workspace.merge("side", favor="theirs", message="taken")
        assert (done.merged, done.fast_forward, done.open) == (True, False, False)
    assert (workspace.path / "file").read_text() == "theirs\n"
    assert len(workspace.log(count=1)[0].parents) == 2


def test_an_experiment(workspace: Workspace) -> None:
    quickest = ""
    with workspace.experiment("sort", minimize=["seconds"], model="small") as attempt:
        for number, seconds in enumerate([3.5, 1.25, 2]):
            put(attempt.path / "file", f"{number}\n")
            made = attempt.commit(f"try {number}")
            attempt.record(seconds=seconds, tests="41/42")
            if seconds == 1.25:
                quickest = made
        assert attempt.best("seconds").id == quickest
    (found,) = workspace.experiments()
    assert (found.name, found.state, found.commit_count) == ("sort", "finished", 3)
    assert (found.parameters, found.minimize) == ({"model": "small"}, ("seconds",))
    assert workspace.merge(quickest).head == quickest
    with pytest.raises(ZeroDivisionError), workspace.experiment("broken") as broken:
        raise ZeroDivisionError
    assert broken.info().state == "running"
    broken.abandon()
    assert [each.state for each in workspace.experiments() if each.name == "broken"] == [
        "abandoned"
    ]


REFUSED = [
    ("reset", ("nothing",), errors.NotFound),
    ("reset", ("--hard",), errors.UsageError),
    ("checkout", ("--detach",), errors.UsageError),
    ("log", ("--all",), errors.UsageError),
    ("branch", ("main",), errors.AlreadyExists),
    ("branch", ("a..b",), errors.UsageError),
    ("branch", ("new", "-f"), errors.UsageError),
    ("merge", ("nothing",), errors.NotFound),
    ("commit", ("nothing new",), errors.NothingToCommit),
    ("commit", ("",), errors.UsageError),
    ("commit", ("a\0b",), errors.UsageError),
    ("commit", ("half \ud800",), errors.UsageError),
    ("commit", ("x" * 70_000,), errors.TooLarge),
    ("redo", (), errors.NotFound),
    ("request", ("no-such-verb",), errors.UsageError),
]


@pytest.mark.parametrize(("name", "words", "kind"), REFUSED)
def test_a_refusal_is_an_error_with_its_errno(
    workspace: Workspace, name: str, words: tuple[str, ...], kind: type[errors.HeliosError]
) -> None:
    before = workspace.head
    with pytest.raises(kind) as caught:
        getattr(workspace, name)(*words)
    assert type(caught.value) is kind
    assert caught.value.errno == kind.errno
    assert not str(caught.value).startswith(("error", "usage", "{"))
    assert workspace.head == before


def test_only_the_expected_head(workspace: Workspace) -> None:
    before = workspace.head
    workspace.commit("somebody else", allow_empty=True)
    with pytest.raises(errors.Stale) as caught:
        workspace.commit("mine", allow_empty=True, expect=before)
    assert caught.value.errno == errno.ESTALE


def test_where_there_is_no_workspace(mounted: Mounted, tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="is in no heliosfs workspace"):
        Workspace(tmp_path)
    workspace = Workspace(mounted.path)
    assert workspace.head is None
    mounted.unmount()
    with pytest.raises(errors.PosixError, match="cannot use") as caught:
        workspace.status()
    assert caught.value.errno == errno.ENOENT
    mounted.mount()
    assert workspace.status().branch == "main"
    mounted.kill9()
    for call in (workspace.status, lambda: Workspace(mounted.path)):
        with pytest.raises(errors.NotFound, match="lost its daemon"):
            call()


def test_commands_run_in_the_workspace(workspace: Workspace) -> None:
    done = workspace.run(
        ["sh", "-c", "pwd; cat; echo $NOTE; exit 3"], input="in\n", env={"NOTE": "n"}
    )
    assert (done.returncode, done.stdout) == (3, f"{workspace.path}\nin\nn\n")
    with pytest.raises(subprocess.CalledProcessError):
        workspace.run(["false"], check=True)
    with pytest.raises(FileNotFoundError):
        workspace.run(["no-such-program"])
    with workspace.fork("idea") as trial:
        put(trial.path / "file", "two\n")
        done = trial.run(["sh", "-c", f"cat {workspace.path}/file; pwd; echo $HELIOS_BRANCH"])
        assert done.stdout == f"two\n{workspace.path}\nidea\n"
        assert done.args[0] == "sh"
        assert trial.run(["no-such-program"]).returncode == 127


def test_a_command_that_is_late_ends_with_all_it_started(workspace: Workspace) -> None:
    begun = time.monotonic()
    output = None
    for seconds in (0.5, SECONDS / 3):
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            # The pipe is held by a grandchild, which a kill of the shell alone would leave.
            workspace.run(["sh", "-c", "echo begun; sleep 1000 & wait"], timeout=seconds)
        output = caught.value.output
        # A busy machine may not have begun it by then.
        if output:
            break
    assert time.monotonic() - begun < SECONDS
    assert output == "begun\n"


def test_a_late_command_whose_programs_have_sessions_of_their_own(
    workspace: Workspace, tmp_path: Path
) -> None:
    """One is killed as well; a daemon has no parent of ours, and is not waited for."""
    child, daemon = tmp_path / "child", tmp_path / "daemon"
    sleep = "exec setsid sh -c 'echo $$ > {}; exec sleep 1000'"
    command = f"({sleep.format(child)}) & (({sleep.format(daemon)}) &) ; echo begun; wait"
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        workspace.run(["sh", "-c", command], timeout=3)
    assert caught.value.output == "begun\n"
    os.kill(int(daemon.read_text()), signal.SIGKILL)
    until = time.monotonic() + SECONDS
    while Path(f"/proc/{int(child.read_text())}/cwd").exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_several_threads_use_one_object(workspace: Workspace) -> None:
    def attempt(number: int) -> tuple[str, str]:
        with workspace.fork() as trial:
            put(trial.path / "file", f"{number}\n")
            made = trial.commit(f"{number}", number=number)
            assert trial.head == made
            return made, trial.log(count=1)[0].metadata["number"]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(attempt, range(24)))
    assert [number for _, number in found] == [str(number) for number in range(24)]
    assert [(workspace.snapshot(made) / "file").read_text() for made, _ in found] == [
        f"{number}\n" for number in range(24)
    ]
    assert [each.name for each in workspace.branches()] == ["main"]


PROCESS = """
import sys
from heliosfs import Workspace
workspace = Workspace(".")
for number in range(20):
    print(workspace.commit(f"{sys.argv[1]} {number}", allow_empty=True, by=sys.argv[1]))
"""


def test_several_processes_at_once(workspace: Workspace) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, name],
            cwd=workspace.path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    said = {}
    for name, writer in zip("abc", writers, strict=True):
        said[name] = writer.communicate(timeout=2 * SECONDS)[0].split()
        assert writer.returncode == 0
    commits = {commit.id: commit for commit in workspace.log()}
    assert len(commits) == 61
    for name, ids in said.items():
        assert [commits[each].subject for each in ids] == [f"{name} {n}" for n in range(20)]
        assert {commits[each].metadata["by"] for each in ids} == {name}


LIGHT = """
import sys
import heliosfs
assert not any(name.startswith("heliosfs.") for name in sys.modules)
workspace = heliosfs.Workspace(".")
with workspace.fork() as trial:
    (trial.path / "x").write_text("x")
    trial.commit("x")
    workspace.merge(trial.name)
heliosfs.AsyncWorkspace(workspace)
heavy = {"pyfuse3", "trio", "lmdb", "blake3", "lz4", "re2", "ruamel"} & set(sys.modules)
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("heliosfs.")}
print(sorted(heavy), sorted(rooms))
"""


def test_nothing_that_a_mount_needs_is_imported(workspace: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT],
        cwd=workspace.path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    rooms = ["cli", "client", "commands", "errors", "isolated", "mounttable"]
    assert (done.stdout, done.stderr) == (f"[] {rooms}\n", "")


BOXED = """
import os, sys
from heliosfs import Workspace
from heliosfs.client import inside
root, place = sys.argv[1:]
if root != "/":
    os.chroot(root)
    os.chdir("/")
workspace = Workspace(place)
(workspace.path / "boxed").write_text("x")
made = workspace.commit("from the box", box=1)
with workspace.fork("trial") as trial:
    (trial.path / "tried").write_text("x")
    trial.commit("tried")
    where = trial.run(["pwd"]).stdout.strip() if root == "/" else place
    workspace.merge("trial")
print(made, workspace.head, where)
"""


@pytest.mark.parametrize("is_rooted", [False, True])
def test_a_container_that_sees_only_the_mount(
    workspace: Workspace, tmp_path: Path, is_rooted: bool
) -> None:
    """The second one has no /proc, and nothing but the workspace in its root directory."""
    place = tmp_path / "box/work"
    place.mkdir(parents=True)
    root, seen = (place.parent, "/work") if is_rooted else ("/", place)
    script = 'mount --rbind "$1" "$2"; umount -l "$1"; exec "$3" -c "$4" "$5" "$6"'
    words = ["sh", str(workspace.path), str(place), sys.executable, BOXED, str(root), str(seen)]
    done = subprocess.run(
        [*UNSHARED, script, *words], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.stderr == ""
    made, head, where = done.stdout.split()
    assert where == str(seen)
    assert workspace.head == head
    assert [each.subject for each in workspace.log(count=2)] == ["tried", "from the box"]
    assert (workspace.snapshot(made) / "boxed").exists()
    assert [each.name for each in workspace.branches()] == ["main"]
