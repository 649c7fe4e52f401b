"""Real programs at work in a workspace, unchanged: git, make, sqlite, rsync, tar, pip, flock.

`test.sh` installs git, make, rsync and a compiler where they are missing; the others come
with Debian's base system or with Python.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import SECONDS, put, run, shell

UNSHARED = ["unshare", "--mount", "sh", "-ec"]
GIT = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with a history, links, a program and names that are not text."""
    path = tmp_path_factory.mktemp("origin") / "origin"
    path.mkdir()
    run(*GIT, "init", "-q", "-b", "main", cwd=path)
    for version in range(20):
        for number in range(30):
            put(path / f"src/{number % 5}/file-{number}.c", f"/* {number} */\n" * (version + 1))
        put(path / "run", "#!/bin/sh\necho ran\n")
        (path / "run").chmod(0o755)
        if version == 3:
            (path / "link").symlink_to("src/0/file-0.c")
            (path / os.fsdecode(b"\xff name\n")).write_text("x")
        run(*GIT, "add", "-A", cwd=path)
        run(*GIT, "commit", "-qm", f"version {version}", cwd=path)
    return path


def is_clean(path: Path) -> bool:
    return run(*GIT, "status", "--porcelain", cwd=path).stdout == ""


def test_git_at_work(mounted: Mounted, origin: Path) -> None:
    run(*GIT, "clone", "-q", "--no-local", origin, "clone", cwd=mounted.path)
    clone = mounted.path / "clone"
    assert is_clean(clone)
    run(*GIT, "worktree", "add", "-q", "../tree", "-b", "topic", "HEAD~5", cwd=clone)
    tree = mounted.path / "tree"
    assert is_clean(tree)
    put(tree / "added", "text\n")
    run(*GIT, "add", "added", cwd=tree)
    run(*GIT, "commit", "-qm", "topic", cwd=tree)
    run(*GIT, "rebase", "-q", "main", cwd=tree)
    run(*GIT, "merge", "-q", "--no-ff", "-m", "merged", "topic", cwd=clone)
    assert (clone / "added").read_text() == "text\n"
    put(clone / "added", "other\n")
    run(*GIT, "stash", "-q", cwd=clone)
    assert is_clean(clone)
    run(*GIT, "stash", "pop", "-q", cwd=clone)
    assert (clone / "added").read_text() == "other\n"
    run(*GIT, "checkout", "-q", "--force", "HEAD~10", cwd=clone)
    assert is_clean(clone)
    run(*GIT, "checkout", "-q", "main", cwd=clone)
    run(*GIT, "mv", "src/0", "moved", cwd=clone)
    run(*GIT, "clean", "-qfdx", cwd=clone)
    run(*GIT, "reset", "-q", "--hard", cwd=clone)
    run(*GIT, "worktree", "remove", "--force", "../tree", cwd=clone)
    run(*GIT, "gc", "-q", "--prune=now", cwd=clone)
    run(*GIT, "fsck", "--full", "--strict", cwd=clone)
    assert run("./run", cwd=clone).stdout == "ran\n"


def test_git_sees_a_checkout_of_ours(mounted: Mounted, origin: Path) -> None:
    run(*GIT, "init", "-q", "-b", "main", cwd=mounted.path)
    run(*GIT, "pull", "-q", origin, "main", cwd=mounted.path)
    mounted.commit("as pulled")
    put(mounted.path / "src/1/file-1.c", "changed\n")
    (mounted.path / "src/2/file-2.c").unlink()
    expected = " M src/1/file-1.c\n D src/2/file-2.c\n"
    assert run(*GIT, "status", "--porcelain", cwd=mounted.path).stdout == expected
    mounted.commit("changed")
    mounted.control("reset", "--hard HEAD~1\n")
    assert is_clean(mounted.path)
    mounted.control("undo", "\n")
    assert run(*GIT, "status", "--porcelain", cwd=mounted.path).stdout == expected
    mounted.remount()
    assert run(*GIT, "status", "--porcelain", cwd=mounted.path).stdout == expected
    run(*GIT, "fsck", "--strict", cwd=mounted.path)


def test_make_builds_what_changed(mounted: Mounted) -> None:
    root = mounted.path
    for number in range(20):
        put(root / f"f{number}.c", f'#include "f.h"\nint f{number}(void) {{ return ONE; }}\n')
    put(root / "f.h", "#define ONE 1\n")
    calls = " + ".join(f"f{number}()" for number in range(20))
    declared = "".join(f"int f{number}(void);\n" for number in range(20))
    put(root / "main.c", f"{declared}int main(void) {{ return {calls} != 20; }}\n")
    put(
        root / "Makefile",
        "objects := $(patsubst %.c,%.o,$(wildcard *.c))\n"
        "prog: $(objects)\n\tgcc -o $@ $^\n"
        "f%.o: f%.c f.h\n\tgcc -c -o $@ $<\n"
        "clean:\n\trm -f prog *.o\n",
    )
    assert run("make", "-j4", cwd=root).stdout.count("gcc -c") == 20
    run("./prog", cwd=root)
    assert "up to date" in run("make", cwd=root).stdout
    mounted.commit("built")
    put(root / "f3.c", '#include "f.h"\nint f3(void) { return 2 * ONE; }\n')
    assert run("make", cwd=root).stdout.count("gcc -c") == 1
    assert run("./prog", cwd=root, ok=False).returncode == 1
    # What was built comes back with what it was built from, times included.
    mounted.control("reset", "--hard HEAD\n")
    assert "up to date" in run("make", cwd=root).stdout
    run("./prog", cwd=root)


_WRITER = """
import sqlite3, sys
database = sqlite3.connect("data.db", timeout=50, isolation_level=None)
for number in range(40):
    database.execute("begin immediate")
    count, = database.execute("select count(*) from t").fetchone()
    database.execute("insert into t values (?, ?)", (count, sys.argv[1] * 500))
    database.execute("commit")
database.close()
"""


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_sqlite_with_several_writers(mounted: Mounted, journal: str) -> None:
    database = sqlite3.connect(mounted.path / "data.db", timeout=50)
    assert database.execute(f"pragma journal_mode={journal}").fetchone() == (journal,)
    database.execute("create table t (number unique, text)")
    database.commit()
    writers = [
        subprocess.Popen([sys.executable, "-ISc", _WRITER, letter], cwd=mounted.path)
        for letter in "abcd"
    ]
    commits = []
    try:
        rows = 0
        while rows < 160:
            (count,) = database.execute("select count(*) from t").fetchone()
            if count > rows:
                rows = count
                mounted.control("command", f"commit --allow-empty -m '{count} rows'\n")
                commits.append((mounted.path / ".helios/HEAD").read_text().strip())
        assert [writer.wait(SECONDS) for writer in writers] == [0] * 4
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert database.execute("select count(*), max(number) from t").fetchone() == (160, 159)
    assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()
    mounted.remount()
    again = sqlite3.connect(mounted.path / "data.db")
    assert again.execute("select count(*) from t").fetchone() == (160,)
    again.close()
    for commit in commits[:: max(1, len(commits) // 5)]:
        # Each commit holds the database as a crash at that moment would have left it.
        copy = mounted.path / commit[:8]
        shutil.copytree(mounted.path / ".helios/view" / commit, copy)
        old = sqlite3.connect(copy / "data.db")
        assert old.execute("pragma integrity_check").fetchone() == ("ok",)
        old.close()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all kinds that archivers keep."""
    root = tmp_path_factory.mktemp("tree") / "tree"
    put(root / "a/file", "text")
    put(root / "a/large", "0123456789" * 200_000)
    put(root / "b/c/empty", "")
    os.link(root / "a/file", root / "b/hard")
    (root / "b/link").symlink_to("../a/file")
    (root / "b/dangling").symlink_to("nowhere")
    os.mkfifo(root / "fifo", 0o600)
    (root / "a/file").chmod(0o4750)
    (root / "b").chmod(0o2775)
    with open(root / "sparse", "wb") as file:
        file.truncate(3_000_000)
        file.seek(1_000_000)
        file.write(b"middle")
    os.utime(root / "a/large", ns=(1, 1_234_567_890_123_456_789))
    os.utime(root / "b/c", ns=(1, 1_111_111_111_111_111_111))
    return root


def test_rsync(mounter: Mounter, tree: Path) -> None:
    mounted = mounter("-o", "xattr")
    os.setxattr(tree / "a/file", "user.note", b"kept") if _has_xattrs(tree) else None
    archive = ["rsync", "-aHX", "--delete"]
    run(*archive, f"{tree}/", "copy/", cwd=mounted.path)
    differences = [*archive, "--checksum", "--dry-run", "--itemize-changes"]
    assert run(*differences, f"{tree}/", "copy/", cwd=mounted.path).stdout == ""
    run(*archive, "copy/", "again/", cwd=mounted.path)
    assert run(*differences, f"{tree}/", "again/", cwd=mounted.path).stdout == ""
    mounted.commit("copied")
    put(mounted.path / "again/a/large", "9876543210" * 200_000)
    put(mounted.path / "again/new", "extra")
    run(*archive, "--inplace", "--no-whole-file", "copy/", "again/", cwd=mounted.path)
    snapshot = mounted.path / ".helios/snapshots/HEAD/again"
    assert run(*differences, f"{snapshot}/", "again/", cwd=mounted.path).stdout == ""


def _has_xattrs(path: Path) -> bool:
    try:
        os.setxattr(path, "user.probe", b"")
        os.removexattr(path, "user.probe")
    except OSError:
        return False
    return True


def test_tar(mounted: Mounted, tree: Path) -> None:
    run("tar", "-cSf", mounted.path / "one.tar", "-C", tree.parent, "tree", cwd=mounted.path)
    run("tar", "-xpf", "one.tar", cwd=mounted.path)
    run("tar", "-df", "one.tar", cwd=mounted.path)
    mounted.remount()
    run("tar", "-df", "one.tar", cwd=mounted.path)
    shell("tar -cf - tree | (mkdir out && cd out && tar -xpf -)", cwd=mounted.path)
    run("tar", "-df", "../one.tar", cwd=mounted.path / "out")
    with open(mounted.path / "one.tar", "rb") as archive:
        assert len(archive.read()) > 2_000_000


def test_a_virtual_environment(mounted: Mounted) -> None:
    run(sys.executable, "-m", "venv", "env", cwd=mounted.path)
    python = mounted.path / "env/bin/python"
    assert "pip" in run(python, "-m", "pip", "list", cwd=mounted.path).stdout
    put(mounted.path / "pkg/thing.py", "def answer():\n    return 42\n")
    put(mounted.path / "use.py", "import thing\nprint(thing.answer())\n")
    (site,) = (mounted.path / "env/lib").glob("python*/site-packages")
    put(site / "thing.pth", f"{mounted.path}/pkg\n")
    assert run(python, "-I", "use.py", cwd=mounted.path).stdout == "42\n"
    mounted.commit("an environment")
    put(mounted.path / "pkg/thing.py", "def answer():\n    return 4711\n")
    assert run(python, "-I", "use.py", cwd=mounted.path).stdout == "4711\n"
    mounted.control("reset", "--hard HEAD\n")
    assert run(python, "-I", "use.py", cwd=mounted.path).stdout == "42\n"
    run(python, "-m", "pip", "uninstall", "-q", "-y", "pip", cwd=mounted.path)
    assert run(python, "-m", "pip", cwd=mounted.path, ok=False).returncode == 1


def save_by_rename(path: Path, text: str) -> None:
    """A new file beside it, synced, put in its place (VS Code's atomic save, gedit)."""
    new = path.with_name(f".{path.name}.tmp")
    with open(new, "x") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)


def save_with_backup(path: Path, text: str) -> None:
    """The old file becomes the backup, the new one is written (vim, emacs)."""
    backup = path.with_name(path.name + "~")
    os.rename(path, backup)
    with open(path, "x") as file:
        file.write(text)
        os.fsync(file.fileno())
    shutil.copymode(backup, path)


def save_in_place(path: Path, text: str) -> None:
    """The old bytes are copied away, and the file is written over (vim's backupcopy)."""
    shutil.copy2(path, path.with_name(path.name + ".bak"))
    with open(path, "r+") as file:
        file.write(text)
        file.truncate()
        file.flush()
        os.fdatasync(file.fileno())


@pytest.mark.parametrize("save", [save_by_rename, save_with_backup, save_in_place])
def test_editors_save(mounted: Mounted, save: Callable[[Path, str], None]) -> None:
    path = mounted.path / "text"
    put(path, "the first text, a long one\n")
    path.chmod(0o640)
    expected = []
    for number in range(5):
        text = f"version {number}\n" * (number + 1)
        save(path, text)
        assert path.read_text() == text
        expected.append((mounted.commit(f"version {number}"), text))
    for commit, text in expected:
        assert (mounted.path / f".helios/view/{commit}/text").read_text() == text


def test_flock_keeps_a_counter(mounted: Mounted) -> None:
    put(mounted.path / "count", "0\n")
    script = (
        "for p in 1 2 3 4; do (for i in 1 2 3 4 5 6 7 8 9 10; do"
        " flock lock sh -c 'echo $(($(cat count) + 1)) > count'; done) & done; wait"
    )
    shell(script, mounted.path, "sh")
    assert (mounted.path / "count").read_text() == "40\n"


def test_a_bind_mount_as_containers_make_them(mounted: Mounted) -> None:
    put(mounted.path / "project/file", "text\n")
    (mounted.path / "inside").mkdir()
    script = "mount --bind project inside && cat inside/file && echo more >> inside/file"
    done = run(*UNSHARED, script, cwd=mounted.path)
    assert done.stdout == "text\n"
    assert (mounted.path / "project/file").read_text() == "text\nmore\n"
    assert list((mounted.path / "inside").iterdir()) == []


def test_the_lower_directory_of_an_overlay(mounted: Mounted, tmp_path: Path) -> None:
    """A container's own layer over the workspace, which does not change."""
    place = tmp_path / "place"
    place.mkdir()
    put(mounted.path / "project/file", "text\n")
    put(mounted.path / "project/gone/file", "to go\n")
    (mounted.path / "project/link").symlink_to("file")
    mounted.commit("before")
    script = """
        mount -t tmpfs none "$1"
        mkdir "$1"/upper "$1"/work "$1"/merged
        options="lowerdir=project,upperdir=$1/upper,workdir=$1/work"
        mount -t overlay -o "$options" none "$1"/merged
        cd "$1"/merged
        echo more >> link
        rm -r gone
        mkdir gone
        cat file
        find . | sort
    """
    done = run(*UNSHARED, script, "sh", place, cwd=mounted.path)
    assert done.stdout.split() == ["text", "more", ".", "./file", "./gone", "./link"]
    assert (mounted.path / "project/file").read_text() == "text\n"
    assert "clean" in mounted.helios("status")


def test_a_workspace_bound_read_only(mounted: Mounted, tmp_path: Path) -> None:
    """All of it, `.helios` included: what is outside still writes."""
    place = tmp_path / "place"
    place.mkdir()
    put(mounted.path / "file", "one\n")
    script = """
        mount --rbind . "$1"
        mount -o remount,bind,ro "$1"
        cat "$1"/file
        echo two > file
        echo from outside > .helios/ctl/commit
        cmp "$1"/file file
        cat "$1"/.helios/snapshots/HEAD/file
        ! echo three > "$1"/file
    """
    done = run(*UNSHARED, script, "sh", place, cwd=mounted.path)
    assert done.stdout == "one\ntwo\n"
    assert (mounted.path / "file").read_text() == "two\n"
