"""Going back: what programs see after a verb replaced the tree under the kernel's caches."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.mount.programs import SECONDS, errno_of, names, put, run, shell

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted


@pytest.fixture
def two(mounted: Mounted) -> Mounted:
    """Two commits: `d/changes`, `d/same` and `gone/file` in the first, `d/new` in the second."""
    put(mounted.path / "d/changes", "first\n")
    put(mounted.path / "d/same", "same\n")
    put(mounted.path / "gone/file", "gone\n")
    os.utime(mounted.path / "d/same", ns=(0, 1_111_111_111_111_111_111))
    mounted.commit("first")
    put(mounted.path / "d/changes", "second, and longer\n")
    put(mounted.path / "d/new", "new\n")
    (mounted.path / "gone/file").unlink()
    (mounted.path / "gone").rmdir()
    mounted.commit("second")
    return mounted


def look(mounted: Mounted) -> dict[str, str]:
    """Content of every file, which also fills the kernel's caches."""
    found = {}
    for directory, directories, files in os.walk(mounted.path):
        if ".helios" in directories:
            directories.remove(".helios")
        for name in files:
            path = os.path.join(directory, name)
            with open(path) as file:
                text = file.read()
            assert os.stat(path).st_size == len(text)
            found[os.path.relpath(path, mounted.path)] = text
    return found


FIRST = {"d/changes": "first\n", "d/same": "same\n", "gone/file": "gone\n"}
SECOND = {"d/changes": "second, and longer\n", "d/same": "same\n", "d/new": "new\n"}


def test_programs_that_look_again_see_the_new_state(two: Mounted) -> None:
    two.control("branch", "old HEAD~1\n")
    steps = [
        ("reset", "--hard HEAD~1\n", FIRST),
        ("undo", "\n", SECOND),
        ("redo", "\n", FIRST),
        ("undo", "\n", SECOND),
        ("checkout", "old\n", FIRST),
        ("checkout", "main\n", SECOND),
        ("checkout", "main~1\n", FIRST),
        ("checkout", "main\n", SECOND),
    ]
    for verb, line, expected in steps:
        for missing in ("d/new", "gone", "gone/file", "d/changes/x"):
            errno_of(os.stat, two.path / missing)
        two.control(verb, line)
        assert look(two) == expected, (verb, line)
        assert (two.path / "gone").exists() == (expected is FIRST)
        assert (two.path / "d/new").exists() == (expected is SECOND)
        assert names(two.path) == (["d", "gone"] if expected is FIRST else ["d"])


def test_what_is_seen_at_once_after_the_reply_many_times(two: Mounted) -> None:
    """No look after the reply sees the state before it: 100 times there and back."""
    path = two.path / "d/changes"
    fd = os.open(two.path / ".helios/ctl/reset", os.O_RDWR)
    try:
        for _ in range(50):
            os.write(fd, b"--hard HEAD~1\n")
            assert path.read_text() == "first\n"
            assert path.stat().st_size == 6
            assert not (two.path / "d/new").exists()
            two.control("undo", "\n")
            assert path.read_text() == "second, and longer\n"
            assert path.stat().st_size == 19
            assert (two.path / "d/new").exists()
    finally:
        os.close(fd)


def test_an_unchanged_file_keeps_inode_and_mtime(two: Mounted) -> None:
    look(two)
    before = (two.path / "d/same").stat()
    assert before.st_mtime_ns == 1_111_111_111_111_111_111
    directory = (two.path / "d").stat().st_ino
    two.control("branch", "old HEAD~1\n")
    for verb, line in (
        ("reset", "--hard HEAD~1\n"),
        ("undo", "\n"),
        ("checkout", "old\n"),
        ("checkout", "main~1\n"),
        ("checkout", "main\n"),
    ):
        two.control(verb, line)
        after = (two.path / "d/same").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert (two.path / "d").stat().st_ino == directory
    put(two.path / "d/another", "x")
    two.commit("three")
    after = (two.path / "d/same").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_modes_come_back_and_times_if_that_is_asked_for(two: Mounted) -> None:
    path = two.path / "d/same"
    path.chmod(0o751)
    os.utime(path, ns=(0, 5))
    two.commit("mode")

    def shown() -> tuple[str, int]:
        status = path.stat()
        return oct(status.st_mode), status.st_mtime_ns

    two.control("reset", "--hard HEAD~1\n")
    assert shown() == ("0o100644", 5), "what has the same bytes keeps its time"
    two.control("undo", "\n")
    assert shown() == ("0o100751", 5)
    two.control("config", "set checkout.times commit\n")
    two.control("reset", "--hard HEAD~1\n")
    assert shown() == ("0o100644", 1_111_111_111_111_111_111)
    two.control("undo", "\n")
    assert shown() == ("0o100751", 5)


def test_a_shell_whose_directory_survives_goes_on(two: Mounted) -> None:
    script = (
        "cd d; ls; echo --hard HEAD~1 > ../.helios/ctl/reset; ls; cat changes;"
        "echo more > more; cat more; pwd -P; /bin/pwd; cd ../gone; ls"
    )
    done = shell(script, two.path)
    here = str(two.path / "d")
    assert done.stdout.split() == [
        "changes",
        "new",
        "same",
        "changes",
        "same",
        "first",
        "more",
        here,
        here,
        "file",
    ]
    assert done.stderr == ""


def test_a_shell_whose_directory_goes_is_told_and_no_more(two: Mounted) -> None:
    script = (
        "mkdir -p x/y; cd x/y; echo --hard > ../../.helios/ctl/reset; ls; touch new;"
        "echo after; cd /; ls"
    )
    done = shell(script, two.path)
    assert "after" in done.stdout
    assert not (two.path / "x").exists()


def test_an_open_file_keeps_its_bytes(two: Mounted) -> None:
    path = two.path / "d/changes"
    with open(path) as file, open(two.path / "d/new") as new:
        assert file.read(6) == "second"
        two.control("reset", "--hard HEAD~1\n")
        assert file.read() == ", and longer\n"
        assert os.fstat(file.fileno()).st_size == 19
        assert new.read() == "new\n"
        assert path.read_text() == "first\n"
        with open(path, "a") as other:
            other.write("changed\n")
        assert os.pread(file.fileno(), 100, 0) == b"second, and longer\n"
    assert path.read_text() == "first\nchanged\n"


def test_a_mapping_keeps_its_bytes_and_a_new_one_has_the_new(two: Mounted) -> None:
    path = two.path / "d/changes"
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped[:6] == b"second"
        two.control("reset", "--hard HEAD~1\n")
        with open(path, "rb") as again:
            now = mmap.mmap(again.fileno(), 0, access=mmap.ACCESS_READ)
            with now:
                assert now[:] == b"first\n"
        assert mapped[:] == b"second, and longer\n"


def test_a_writer_that_has_the_old_file_open_does_not_touch_the_new(two: Mounted) -> None:
    path = two.path / "d/changes"
    with open(path, "r+") as file:
        two.control("reset", "--hard HEAD~1\n")
        file.write("LATE WRITE")
        file.flush()
        assert path.read_text() == "first\n"
    assert path.read_text() == "first\n"
    assert two.control("status", "--short\n") == ""


def test_everything_uncommitted_goes_and_comes_back(two: Mounted) -> None:
    put(two.path / "untracked/deep/file", "untracked\n")
    put(two.path / "d/changes", "edited\n")
    (two.path / "d/new").unlink()
    os.rename(two.path / "d/same", two.path / "d/moved")
    (two.path / "link").symlink_to("d")
    os.link(two.path / "d/moved", two.path / "hard")
    os.mkfifo(two.path / "fifo")
    (two.path / "empty").mkdir()
    edited = names(two.path)
    before = run("ls", "-lR", "--time-style=+", "d", "empty", "untracked", cwd=two.path).stdout
    for _ in range(2):
        two.control("reset", "--hard\n")
        assert look(two) == SECOND
        assert names(two.path) == ["d"]
        assert two.control("status", "--short\n") == ""
        two.control("undo", "\n")
        assert names(two.path) == edited
        now = run("ls", "-lR", "--time-style=+", "d", "empty", "untracked", cwd=two.path).stdout
        assert now == before
        assert os.path.samefile(two.path / "d/moved", two.path / "hard")
        two.control("redo", "\n")
        assert look(two) == SECOND
        two.control("undo", "\n")


def test_undo_and_redo_step_by_step(mounted: Mounted) -> None:
    path = mounted.path / "file"
    for number in range(5):
        put(path, f"{number}\n")
        mounted.commit(f"{number}")
    put(path, "uncommitted\n")
    for number in range(4, -1, -1):
        mounted.control("undo", "\n")
        assert path.read_text() == f"{number}\n"
        log = (mounted.path / ".helios/log").read_text()
        assert log.count("\n") == number
    assert errno_of(mounted.control, "undo", "\n") == "ENOENT"
    for number in range(1, 5):
        mounted.control("redo", "\n")
        assert path.read_text() == f"{number}\n"
    mounted.control("redo", "\n")
    assert path.read_text() == "uncommitted\n"
    assert errno_of(mounted.control, "redo", "\n") == "ENOENT"
    assert (mounted.path / ".helios/log").read_text().count("\n") == 5


def test_a_kind_that_changes(mounted: Mounted) -> None:
    mounted.control("config", "set checkout.times commit\n")
    path = mounted.path / "x"
    makers = [
        lambda: put(path, "file\n"),
        lambda: put(path / "below/file", "directory\n"),
        lambda: path.symlink_to("target"),
        lambda: os.mkfifo(path),
        lambda: None,
        lambda: put(path, "file\n"),
    ]
    shown = []
    ids = []
    for number, make in enumerate(makers):
        run("rm", "-rf", path, cwd=mounted.path)
        make()
        mounted.helios("commit", "--allow-empty", "-m", str(number))
        ids.append((mounted.path / ".helios/HEAD").read_text().strip())
        shown.append(run("ls", "-lR", "--time-style=+%s%N", ".", cwd=mounted.path).stdout)
    for number in (0, 5, 1, 4, 2, 3, 0, 2, 1, 3, 5):
        mounted.control("reset", f"--hard {ids[number]}\n")
        now = run("ls", "-lR", "--time-style=+%s%N", ".", cwd=mounted.path).stdout
        assert now == shown[number], number


def test_a_program_that_runs_from_the_tree_lives_through_a_reset(two: Mounted) -> None:
    put(two.path / "tool.sh", "echo started\nread line\necho ended\nexit 0\n" + "# x\n" * 5000)
    two.commit("with a tool")
    process = subprocess.Popen(
        ["bash", "tool.sh"], cwd=two.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    two.control("reset", "--hard HEAD~1\n")
    assert process.communicate("\n", timeout=SECONDS)[0] == "ended\n"
    assert process.returncode == 0


def test_detached_and_back(two: Mounted) -> None:
    put(two.path / "d/changes", "uncommitted on main\n")
    two.control("checkout", "HEAD~1\n")
    assert (two.path / ".helios/branch").read_text() == "(detached)\n"
    assert look(two) == FIRST
    put(two.path / "detached", "work\n")
    oid = two.commit("while detached")
    two.control("checkout", "main\n")
    assert (two.path / "d/changes").read_text() == "uncommitted on main\n"
    assert not (two.path / "detached").exists()
    assert (two.path / f".helios/snapshots/{oid}/detached").read_text() == "work\n"
    two.control("branch", f"saved {oid}\n")
    two.control("checkout", "saved\n")
    assert (two.path / "detached").read_text() == "work\n"


def test_work_on_a_detached_head_is_not_lost_by_the_next_checkout(two: Mounted) -> None:
    two.control("checkout", "HEAD~1\n")
    put(two.path / "precious", "uncommitted, detached\n")
    two.control("checkout", "main\n")
    two.control("checkout", "main~1\n")
    assert not (two.path / "precious").exists()
    shown = []
    while errno_of(two.control, "undo", "\n") == "ok":
        shown.append((two.path / "precious").exists())
    assert True in shown


def test_edits_while_the_tree_goes_back_and_forth(two: Mounted) -> None:
    """A program that edits all the time meets no error but that its directory is gone."""
    script = (
        "import os\n"
        "while True:\n"
        "    with open('d/new', 'a') as f: pass\n"
        "    with open('d/changes') as f: f.read()\n"
        "    try:\n"
        "        os.makedirs('e', exist_ok=True)\n"
        "        with open('e/x','w') as f: f.write('y' * 5000)\n"
        "        os.replace('e/x', 'e/y')\n"
        "        with open('e/y') as f: assert f.read() in ('', 'y' * 5000)\n"
        "        os.stat('d/same')\n"
        "    except (FileNotFoundError, FileExistsError): pass\n"
    )
    process = subprocess.Popen([sys.executable, "-IS", "-c", script], cwd=two.path)
    try:
        while not (two.path / "e/y").exists():
            assert process.poll() is None
        for _ in range(40):
            two.control("reset", "--hard HEAD~1\n")
            two.control("undo", "\n")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(SECONDS)
    two.control("reset", "--hard\n")
    assert look(two) == SECOND
    two.remount()
    assert look(two) == SECOND
